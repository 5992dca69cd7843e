package doctor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/stream"
)

// Audit examines the way of events from the transaction they were written in to Kafka.
type Audit struct {
	DB *postgres.DB
	// Cluster is where they go; without brokers that half is not looked at.
	Cluster stream.Cluster
	Now     func() time.Time // nil: time.Now
}

// AuditDiagnosis is everything about it at one moment.
type AuditDiagnosis struct {
	Healthy  bool      `json:"healthy" doc:"Nothing is at fault"`
	Findings []Finding `json:"findings" nullable:"false"`
}

// How long events may wait at one place before that is told.
const (
	auditSlow  = 10 * time.Second
	auditStuck = time.Minute
)

// Diagnose looks at the database and at Kafka. Its error is about reading our own records.
func (d *Audit) Diagnose(ctx context.Context) (AuditDiagnosis, error) {
	told := AuditDiagnosis{Findings: []Finding{}}
	say := func(level Level, about, says, advice string) {
		told.Findings = append(told.Findings, Finding{level, about, says, advice})
	}
	if err := d.log(ctx, say); err != nil {
		return told, err
	}
	if len(d.Cluster.Brokers) > 0 {
		d.kafka(ctx, say)
	}
	told.Healthy = countOf(told.Findings, Fault) == 0
	return told, nil
}

// log tells where events wait inside PostgreSQL.
func (d *Audit) log(ctx context.Context, say func(Level, string, string, string)) error {
	now := time.Now()
	if d.Now != nil {
		now = d.Now()
	}
	backlog, err := audit.ReadBacklog(ctx, d.DB, now)
	if err != nil {
		return err
	}
	held, err := audit.ReadHorizon(ctx, d.DB, now)
	if err != nil {
		return err
	}
	how := func(wait time.Duration) Level {
		switch {
		case wait < auditSlow:
			return Good
		case wait < auditStuck:
			return Warning
		}
		return Fault
	}
	blocked := held.Blocker != nil && now.Sub(held.Blocker.Since) >= auditSlow
	if blocked {
		one := *held.Blocker
		open := now.Sub(one.Since).Round(time.Second)
		who := fmt.Sprintf("by %s (pid %d, user %s, %s)", cmp.Or(one.Application, "an application without a name"), one.PID, cmp.Or(one.User, "unknown"), cmp.Or(one.State, "in a state this user may not see"))
		advice := fmt.Sprintf("End it there, or by: select pg_terminate_backend(%d). So that none stays open: idle_in_transaction_session_timeout and transaction_timeout of PostgreSQL.", one.PID)
		if one.Prepared != "" {
			who = fmt.Sprintf("as the prepared transaction %q of %s, with nobody connected", one.Prepared, cmp.Or(one.User, "unknown"))
			advice = fmt.Sprintf("Whoever prepared it decides: COMMIT PREPARED '%[1]s' or ROLLBACK PREPARED '%[1]s'.", one.Prepared)
		}
		say(how(open), "sequencer", fmt.Sprintf("a transaction open since %s (%s) %s holds the stream back: %s, the oldest for %s",
			one.Since.UTC().Format("2006-01-02 15:04:05 MST"), open, who, waiting(held.Held), held.Wait.Round(time.Second)), advice)
	}
	switch level := how(backlog.Sequencer); {
	case backlog.Unsequenced == 0:
		say(Good, "sequencer", "every event is in the log", "")
	case level == Good:
		say(Good, "sequencer", fmt.Sprintf("%s for a place in the log, the oldest for %s", waiting(backlog.Unsequenced), backlog.Sequencer.Round(time.Millisecond)), "")
	case !blocked:
		say(level, "sequencer", fmt.Sprintf("%s for a place in the log, the oldest for %s", waiting(backlog.Unsequenced), backlog.Sequencer.Round(time.Second)),
			"Does a 'postern serve' with the role relay run? Its log says what it waits for.")
	}
	switch level := how(backlog.Relay); {
	case backlog.Unpublished == 0:
		say(Good, "relay", "every event of the log is in Kafka", "")
	case level == Good:
		say(Good, "relay", fmt.Sprintf("%s to be published, the oldest for %s", waiting(backlog.Unpublished), backlog.Relay.Round(time.Millisecond)), "")
	default:
		say(level, "relay", fmt.Sprintf("%s to be published, the oldest for %s", waiting(backlog.Unpublished), backlog.Relay.Round(time.Second)),
			"Does a 'postern serve' with the role relay run, and does it reach Kafka? Its log says what it waits for.")
	}
	if backlog.Unreadable > 0 {
		say(Warning, "log", fmt.Sprintf("%d records were damaged in the database and published as tombstones", backlog.Unreadable),
			"Compare with a backup; 'postern audit verify' tells which. What is left of them is among the dead letters.")
	}
	return nil
}

func waiting(events int64) string {
	if events == 1 {
		return "1 event waits"
	}
	return fmt.Sprintf("%d events wait", events)
}

// kafka tells whether the brokers let us in, and what the topic is like.
func (d *Audit) kafka(ctx context.Context, say func(Level, string, string, string)) {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	topic, err := d.Cluster.Describe(ctx)
	if core.KindOf(err) == core.KindNotFound {
		say(Good, "Kafka", fmt.Sprintf("%d brokers answer and take the login", topic.Brokers), "")
		say(Fault, "topic", "there is no topic "+topic.Name, "'postern migrate --kafka …' makes it as it should be; so does 'postern serve'.")
		return
	}
	if err != nil {
		says := core.AsError(err).Message
		if cause := core.AsError(err).Err; cause != nil {
			says += " (" + cause.Error() + ")"
		}
		say(Fault, "Kafka", says, "Events wait in PostgreSQL meanwhile: none is lost.")
		return
	}
	say(Good, "Kafka", fmt.Sprintf("%d brokers answer and take the login", topic.Brokers), "")
	if lacking := topic.Replication - topic.InSync; lacking > 0 {
		say(Warning, "Kafka", fmt.Sprintf("some partition is on %d brokers and in sync on %d of them", topic.Replication, topic.InSync), "Bring the others back before another one fails.")
	}
	differences := d.Cluster.Compare(topic)
	for _, one := range differences {
		level := Warning
		if one.Grave {
			level = Fault
		}
		say(level, "topic", fmt.Sprintf("%s is %s, should be %s: %s", one.Setting, one.Is, one.Should, one.Means), one.Advice)
	}
	if len(differences) == 0 {
		say(Good, "topic", fmt.Sprintf("%s has %d partitions on %d brokers each, and is set as it should be", topic.Name, topic.Partitions, topic.Replication), "")
	}
}
