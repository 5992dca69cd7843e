package doctor

import (
	"context"
	"net/http"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/signals"
	"postern/webhooks/ssf"
)

// Level says how bad a finding is.
type Level string

// The levels. A fault keeps something from working; a warning is something that will, or that leaves a gap.
const (
	Good    Level = "good"
	Note    Level = "note"
	Warning Level = "warning"
	Fault   Level = "fault"
)

// Finding is one thing the doctor saw.
type Finding struct {
	Level  Level  `json:"level" enum:"good,note,warning,fault"`
	About  string `json:"about" doc:"What was looked at: discovery, keys, clock, a door …"`
	Says   string `json:"says"`
	Advice string `json:"advice,omitempty" doc:"What to do about it"`
}

// Paste is a value for a form of the identity provider.
type Paste struct {
	Where string `json:"where"`
	Field string `json:"field"`
	Value string `json:"value"`
}

// Diagnosis is everything about one connection at one moment.
type Diagnosis struct {
	Connection core.ID       `json:"connection"`
	Name       string        `json:"name"`
	Provider   string        `json:"provider" doc:"Whose ways the coverage is of: okta, entra, keycloak, google, generic"`
	Taken      time.Time     `json:"taken"`
	Healthy    bool          `json:"healthy" doc:"No finding is a fault"`
	SelfTested bool          `json:"self_tested"`
	Findings   []Finding     `json:"findings" nullable:"false"`
	Keys       []Key         `json:"keys" nullable:"false" doc:"What the identity provider signs with"`
	Skew       *float64      `json:"clock_skew,omitempty" doc:"Seconds its clock is ahead of ours, to the second"`
	Doors      []Door        `json:"doors" nullable:"false"`
	Streams    []StreamState `json:"streams" nullable:"false"`
	Hooks      []HookState   `json:"hooks" nullable:"false"`
	Paste      []Paste       `json:"paste" nullable:"false" doc:"Values for the identity provider's forms"`
	Coverage   []Covered     `json:"coverage" nullable:"false"`
}

// Count counts the findings of a level.
func (d Diagnosis) Count(level Level) int { return countOf(d.Findings, level) }

func countOf(findings []Finding, level Level) (count int) {
	for _, one := range findings {
		if one.Level == level {
			count++
		}
	}
	return count
}

func (d *Diagnosis) find(level Level, about, says, advice string) {
	d.Findings = append(d.Findings, Finding{level, about, says, advice})
}

// Doctor examines connections. Every field is needed except Now.
type Doctor struct {
	DB        *postgres.DB
	Directory *directory.Directory
	Signals   *signals.Signals
	Streams   *ssf.Service
	// HTTP reaches identity providers. Their addresses are a customer's input: it must refuse private addresses.
	HTTP *http.Client
	// Self reaches PublicURL, which the operator chose, as the identity provider would.
	Self      *http.Client
	PublicURL string
	Now       func() time.Time // nil: time.Now
}

// Options say how far to go.
type Options struct {
	SelfTest bool // knock at each door through the public address
}

// Diagnose examines a connection of a workspace. Its error is about reading our own records; whatever is wrong
// elsewhere is a finding.
func (d *Doctor) Diagnose(ctx context.Context, workspace, connection core.ID, options Options) (Diagnosis, error) {
	found, err := d.Directory.Connection(ctx, d.DB, workspace, connection)
	if err != nil {
		return Diagnosis{}, err
	}
	out := Diagnosis{
		Connection: found.ID, Name: found.Name, Provider: ProviderOf(found), Taken: d.now(), SelfTested: options.SelfTest,
		Findings: []Finding{}, Keys: []Key{}, Doors: []Door{}, Streams: []StreamState{}, Hooks: []HookState{}, Paste: d.paste(found), Coverage: []Covered{},
	}
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	d.provider(ctx, found, &out)
	seen, err := d.doors(ctx, found, &out)
	if err != nil {
		return Diagnosis{}, err
	}
	if err := d.people(ctx, found, seen, &out); err != nil {
		return Diagnosis{}, err
	}
	settings, err := d.Directory.SessionSettings(ctx, d.DB, workspace)
	if err != nil {
		return Diagnosis{}, err
	}
	out.Coverage = cover(out.Provider, out.Doors, settings.Life)
	if options.SelfTest {
		d.selfTest(ctx, found, &out)
	}
	out.Healthy = out.Count(Fault) == 0
	return out, nil
}

func (d *Doctor) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}
