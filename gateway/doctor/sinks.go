package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/siem/sink"
	"postern/siem/sinks"
)

// Sinks examines where a workspace has its events delivered to.
type Sinks struct {
	DB    *postgres.DB
	Sinks *sinks.Service
	// HTTP looks at receivers from where sinks do, under the same rules.
	HTTP *http.Client
	Now  func() time.Time // nil: time.Now
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
	say := func(level Level, about, says, advice string) {
		told.Findings = append(told.Findings, Finding{level, about, says, advice})
	}
	d.state(one, say)
	d.receiver(ctx, one, say)
	answer, err := d.Sinks.Test(ctx, cause, workspace, id)
	if err != nil {
		return SinkDiagnosis{}, err
	}
	switch answer.Verdict {
	case "accepted":
		says := fmt.Sprintf("a test event was taken after %s", answer.Took.Round(time.Millisecond))
		if answer.Reason != "" {
			says += ", with a warning: " + answer.Reason
		}
		say(Good, "credentials and index", says, "")
	case "busy":
		say(Fault, "receiver", answer.Reason, "The sink asks again by itself. Look at the receiver's load, and at what stands between it and Postern.")
	case "misconfigured":
		say(Fault, "credentials and index", answer.Reason, "Change the sink's settings or credentials, or the receiver's: the sink goes on by itself within half a minute.")
	default:
		say(Fault, "test event", answer.Reason, "The receiver takes no event of this shape: look at its source type, its parsing and its limits.")
	}
	told.Healthy = true
	for _, finding := range told.Findings {
		told.Healthy = told.Healthy && finding.Level != Fault
	}
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
	if one.DeliveredAt != nil {
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

// receiver looks at each address, its certificate and its clock.
func (d *Sinks) receiver(ctx context.Context, one sinks.Sink, say func(level Level, about, says, advice string)) {
	var settings struct {
		URL  string   `json:"url"`
		URLs []string `json:"urls"`
	}
	if json.Unmarshal(one.Settings, &settings) != nil {
		return
	}
	if settings.URL != "" { // otherwise its address is a secret, or is none of the web
		settings.URLs = append(settings.URLs, settings.URL)
	}
	for _, address := range settings.URLs {
		d.address(ctx, address, say)
	}
}

func (d *Sinks) address(ctx context.Context, address string, say func(level Level, about, says, advice string)) {
	place, err := url.Parse(address)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, place.Scheme+"://"+place.Host+"/", nil)
	if err != nil {
		return
	}
	client := *d.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		said := sink.Unreachable(err)
		advice := "Look at the name, the port, and the firewalls between here and there."
		if denied, ok := errors.AsType[*core.Error](err); ok && denied.Kind == core.KindDenied {
			advice = "An operator may allow private addresses with --allow-private."
		} else if said.Verdict == sink.Misconfigured {
			advice = "Look at the receiver's certificate: its name, its issuer, and until when it is good."
		}
		say(Fault, "address", place.Host+": "+said.Reason, advice)
		return
	}
	response.Body.Close()
	say(Good, "address", place.Host+" answers", "")
	switch {
	case response.TLS == nil:
		say(Warning, "TLS", "tokens and events travel in clear", "Give an address that begins with https://.")
	case len(response.TLS.PeerCertificates) > 0:
		ends := response.TLS.PeerCertificates[0].NotAfter
		says := "the certificate is trusted, and good until " + ends.UTC().Format("2006-01-02")
		if ends.Sub(postgres.Now(d.Now)) < sinkExpiry {
			say(Warning, "TLS", says, "Renew it: when it ends, the sink pauses.")
		} else {
			say(Good, "TLS", says, "")
		}
	}
	if theirs, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		if skew := theirs.Sub(postgres.Now(d.Now)).Round(time.Second); skew.Abs() > sinkSkew {
			say(Warning, "clock", fmt.Sprintf("the receiver's clock differs by %s", skew), "Set both clocks by NTP: searches by time would miss events.")
		} else {
			say(Good, "clock", "both clocks agree", "")
		}
	}
}
