package cli

import (
	"context"

	"postern/core"
	"postern/core/postgres"
	"postern/gateway"
	"postern/gateway/doctor"
	"postern/siem/stream"
)

// doctorAudit examines the audit stream.
type doctorAudit struct {
	onDatabase          `embed:""`
	gateway.AuditStream `embed:""`
}

// Help is shown by 'postern doctor audit --help'.
func (doctorAudit) Help() string {
	return `Says where events wait on their way from the database to Kafka, which open transaction holds them back, whether the brokers can be reached and take the certificate and the login, and in which respects the topic is not as it should be.

  postern doctor audit --kafka kafka-1:9093 --kafka-tls --kafka-sasl scram-sha-512 --kafka-user postern --kafka-password file:kafka-password

The exit code is 0 when nothing is at fault, and 1 when something is.`
}

func (c doctorAudit) Run(ctx context.Context, terminal terminal) error {
	cluster := stream.Cluster{}
	if len(c.Kafka) > 0 {
		var err error
		if cluster, err = c.Cluster(); err != nil {
			return err
		}
	}
	db, err := gateway.OpenDatabase(ctx, c.Database, postgres.Options{MaxConnections: 2, Name: "postern-cli"})
	if err != nil {
		return err
	}
	defer db.Close()
	found, err := (&doctor.Audit{DB: db, Cluster: cluster}).Diagnose(ctx)
	if err != nil {
		return err
	}
	if err := c.show(terminal, found, func(sheet sheet) {
		sheet.findings(found.Findings, func(about string) string { return about })
	}); err != nil {
		return err
	}
	if found.Healthy {
		return nil
	}
	return &core.Error{Kind: core.KindInternal, Code: "not_healthy", Message: "the audit stream has faults"}
}
