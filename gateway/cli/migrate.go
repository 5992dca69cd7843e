package cli

import (
	"context"
	"fmt"

	"postern/core"
	"postern/gateway"
)

// migrate brings the schema up to date, and with brokers the topic of the audit stream.
type migrate struct {
	Database            string `help:"PostgreSQL URL. One that holds a password must come as a reference (file:PATH or env:NAME)." env:"POSTERN_DATABASE" required:"" placeholder:"URL|REF"`
	gateway.AuditStream `embed:""`
}

// Help is shown by 'postern migrate --help'.
func (migrate) Help() string {
	return `Brings the database's schema up to date. With --kafka it also makes the topic of the audit stream, if it is absent, and says in which respects an existing one is not as it should be, and what to do; it changes nothing about that one.

The exit code is 5 when the topic loses events or their order: 'postern serve' does not start with such a topic.`
}

func (m migrate) Run(ctx context.Context, terminal terminal) error {
	if len(m.Kafka) > 0 { // what is wrong with flags is told before anything is changed
		if _, err := m.Cluster(); err != nil {
			return err
		}
	}
	applied, err := gateway.Migrate(ctx, m.Database)
	for _, name := range applied {
		fmt.Fprintln(terminal.out, "applied", name)
	}
	if err != nil {
		return err
	}
	if len(applied) == 0 {
		fmt.Fprintln(terminal.out, "the schema is up to date")
	}
	if len(m.Kafka) == 0 {
		return nil
	}
	return m.topic(ctx, sheet{terminal.out})
}

func (m migrate) topic(ctx context.Context, sheet sheet) error {
	topic, made, differences, err := gateway.MigrateStream(ctx, m.AuditStream)
	if err != nil {
		return err
	}
	what := "is there"
	if made {
		what = "was made"
	}
	sheet.say("the topic %s %s: %d partitions on %d of %d brokers each", topic.Name, what, topic.Partitions, topic.Replication, topic.Brokers)
	grave := 0
	for _, one := range differences {
		level := "WARNING"
		if one.Grave {
			level, grave = "FAULT", grave+1
		}
		sheet.say("  %s  %s", level, one)
	}
	if grave > 0 {
		return core.Conflict("topic", "the topic cannot be used as it is")
	}
	return nil
}
