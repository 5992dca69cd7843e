package doctor

import (
	"context"
	"fmt"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/ocsf"
	"postern/siem/sink"
	"postern/siem/sinks"
)

// Sinks examines where a workspace has its events delivered to.
type Sinks struct {
	DB    *postgres.DB
	Sinks *sinks.Service
	Now   func() time.Time // nil: time.Now
}

// SinkDiagnosis is everything about one sink at one moment.
type SinkDiagnosis struct {
	ID       core.ID   `json:"id"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Healthy  bool      `json:"healthy" doc:"Nothing is at fault"`
	Findings []Finding `json:"findings" nullable:"false"`
}

// How far things may go before they are told.
const (
	sinkSkew    = 5 * time.Minute
	sinkSilence = 2 * time.Minute
	sinkLag     = 10_000
	sinkExpiry  = 21 * 24 * time.Hour
)

// Diagnose looks at a sink and at its receiver, and sends it a test event: only that proves the credentials and the
// index.
func (d *Sinks) Diagnose(ctx context.Context, cause core.Cause, workspace, id core.ID) (SinkDiagnosis, error) {
	one, err := d.Sinks.Sink(ctx, d.DB, workspace, id)
	if err != nil {
		return SinkDiagnosis{}, err
	}
	told := SinkDiagnosis{ID: one.ID, Name: one.Name, Kind: one.Kind, Findings: []Finding{}}
	d.state(one, told.say)
	if places, err := d.Sinks.Check(ctx, one); err == nil { // the test says what cannot be worked with
		d.places(places, told.say)
	}
	answer, err := d.Sinks.Test(ctx, cause, workspace, id)
	if err != nil {
		return SinkDiagnosis{}, err
	}
	told.tested(answer.Verdict, answer.Reason, answer.Took)
	return told, nil
}

func (t *SinkDiagnosis) say(level Level, about, says, advice string) {
	t.Findings = append(t.Findings, Finding{level, about, says, advice})
}

// tested says what came of a test event, and so whether anything is at fault.
func (t *SinkDiagnosis) tested(verdict, reason string, took time.Duration) {
	say := t.say
	switch verdict {
	case "accepted":
		says := fmt.Sprintf("a test event was taken after %s", took.Round(time.Millisecond))
		if reason != "" {
			says += ", with a warning: " + reason
		}
		say(Good, "credentials and index", says, "")
	case "busy":
		say(Fault, "receiver", reason, "The sink asks again by itself. Look at the receiver's load, and at what stands between it and Postern.")
	case "misconfigured":
		say(Fault, "credentials and index", reason, "Change the sink's settings or credentials, or the receiver's: the sink goes on by itself within half a minute.")
	default:
		say(Fault, "test event", reason, "The receiver takes no event of this shape: look at its source type, its parsing and its limits.")
	}
	t.Healthy = true
	for _, finding := range t.Findings {
		t.Healthy = t.Healthy && finding.Level != Fault
	}
}

// DiagnoseShared looks at a sink for all workspaces and at its receiver, to which it sends a test event.
func (d *Sinks) DiagnoseShared(ctx context.Context, cause core.Cause, one sink.Shared, receiver sink.Receiver, mapper ocsf.Mapper) (SinkDiagnosis, error) {
	told := SinkDiagnosis{Name: one.Name, Kind: one.Kind, Findings: []Finding{}}
	d.state(sinks.Sink{State: one.State, Reason: one.Reason, Held: one.Held, Enabled: true, Served: one.Served, Lag: one.Lag, Dead: int(one.Dead)}, told.say)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if checker, able := receiver.(sink.Checker); able {
		d.places(checker.Check(ctx), told.say)
	}
	began := time.Now()
	_, answer, err := sink.Test(ctx, receiver, mapper, cause, one.Name)
	if err != nil {
		return told, err
	}
	told.tested(answer.Verdict.String(), answer.Reason, time.Since(began))
	return told, nil
}

// state is what is known without asking.
func (d *Sinks) state(one sinks.Sink, say func(level Level, about, says, advice string)) {
	now := postgres.Now(d.Now)
	switch {
	case !one.Enabled:
		say(Warning, "state", "the sink is disabled: nothing is delivered", "Enable it; it goes on where it stopped.")
	case one.Held:
		say(Warning, "state", string(one.State)+": "+one.Reason, "Resume it; it goes on where it stopped.")
	case one.State == audit.SinkPaused:
		say(Fault, "state", "paused: "+one.Reason, "Put right what the reason names. The sink tries every half minute; 'resume' has it try now.")
	case one.State == audit.SinkRetrying:
		say(Warning, "state", "retrying: "+one.Reason, "It tries again by itself, for as long as it takes.")
	case one.Reason != "":
		say(Warning, "state", "running, and the receiver says: "+one.Reason, "")
	default:
		say(Good, "state", "running", "")
	}
	switch {
	case one.Enabled && (one.Served == nil || now.Sub(*one.Served) > sinkSilence):
		say(Fault, "process", "no process delivers to this sink", "Start one with the role sink: 'postern serve --roles sink', and look at its log and at Kafka.")
	case one.Enabled:
		say(Good, "process", "a process delivers", "")
	}
	last := "nothing was delivered yet"
	if one.ID.IsZero() { // it serves all workspaces, and nobody keeps when
		last = "of all workspaces"
	} else if one.DeliveredAt != nil {
		last = "last delivered " + one.DeliveredAt.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	if one.Lag > sinkLag {
		say(Warning, "lag", fmt.Sprintf("%d events wait; %s", one.Lag, last), "The receiver takes less than happens: look at the answers it gives, and at its limits.")
	} else {
		say(Good, "lag", fmt.Sprintf("%d events wait; %s", one.Lag, last), "")
	}
	if one.Dead > 0 {
		say(Warning, "dead letters", fmt.Sprintf("the receiver refused %d events for what they are", one.Dead), "Read its answers, put right what they name, and retry them; or discard them with a reason.")
	} else {
		say(Good, "dead letters", "none", "")
	}
}

// places says what was found at each address: whether it is there, its certificate and its clock.
func (d *Sinks) places(all []sink.Place, say func(level Level, about, says, advice string)) {
	now := postgres.Now(d.Now)
	for _, place := range all {
		switch place.Answer.Verdict {
		case sink.Accepted:
			say(Good, "address", place.Host+" answers", "")
		case sink.Misconfigured:
			say(Fault, "address", place.Host+": "+place.Answer.Reason, "Look at the address and at the receiver's certificate: its name, its issuer, and until when it is good. An operator may allow private addresses with --allow-private.")
			continue
		default:
			say(Fault, "address", place.Host+": "+place.Answer.Reason, "Look at the name, the port, the firewalls between here and there, and at how the receiver does.")
			continue
		}
		ends := "the certificate is trusted, and good until " + place.Expires.UTC().Format("2006-01-02")
		switch {
		case place.Expires.IsZero():
			say(Warning, "TLS", "tokens and events travel in clear", "Give an address that begins with https://, or one where TLS is spoken.")
		case place.Expires.Sub(now) < sinkExpiry:
			say(Warning, "TLS", ends, "Renew it: when it ends, the sink pauses.")
		default:
			say(Good, "TLS", ends, "")
		}
		if place.Clock.IsZero() {
			continue
		}
		if skew := place.Clock.Sub(now).Round(time.Second); skew.Abs() > sinkSkew {
			say(Warning, "clock", fmt.Sprintf("the receiver's clock differs by %s", skew), "Set both clocks by NTP: searches by time would miss events.")
		} else {
			say(Good, "clock", "both clocks agree", "")
		}
	}
}
