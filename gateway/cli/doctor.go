package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/gateway"
	"postern/gateway/doctor"
	"postern/webhooks/ssf"
)

type doctorCommands struct {
	Connection doctorConnection `cmd:"" help:"Say what is wrong with a connection, and what to do about it."`
	App        doctorApp        `cmd:"" help:"Say what is wrong with an app, and what to do about it."`
	Sink       doctorSink       `cmd:"" help:"Say what is wrong with a sink, and what to do about it."`
	Audit      doctorAudit      `cmd:"" help:"Say what is wrong with the audit stream and with Kafka, and what to do about it."`
	Coverage   doctorCoverage   `cmd:"" help:"Print which action at which identity provider reaches Postern, by which door, and how late."`
}

// doctorConnection examines a connection.
type doctorConnection struct {
	ofConnection `embed:""`
	reached      `embed:""`
	AllowPrivate bool   `help:"Reach identity providers at private and loopback addresses." env:"POSTERN_ALLOW_PRIVATE"`
	SelfTest     bool   `name:"self-test" help:"Knock at each door through the public address." default:"true" negatable:""`
	Format       string `help:"text or json." enum:"text,json" default:"text"`
}

// Help is shown by 'postern doctor connection --help'.
func (doctorConnection) Help() string {
	return `Reads the identity provider's discovery document, keys and clock, looks at what each door last accepted and refused, and knocks at each door through the public address with a token that every door refuses: how it refuses tells whether names, TLS, proxies and routes lead there.

  postern doctor connection Okta --workspace acme

The exit code is 0 when nothing is at fault, and 1 when something is.`
}

func (c doctorConnection) Run(ctx context.Context, terminal terminal) error {
	if err := gateway.CheckPublicURL(c.PublicURL); err != nil {
		return flag("--public-url", err)
	}
	c.JSON = c.JSON || c.Format == "json"
	return c.with(ctx, func(s *setup, connection directory.Connection) error {
		examiner := &doctor.Doctor{
			DB: s.db, Directory: s.people, Signals: s.signals(), Streams: &ssf.Service{DB: s.db, PublicURL: c.PublicURL}, PublicURL: c.PublicURL,
			HTTP: atTransmitter{AllowPrivate: c.AllowPrivate}.client(), Self: &http.Client{Timeout: 10 * time.Second},
		}
		found, err := examiner.Diagnose(ctx, s.workspace.ID, connection.ID, doctor.Options{SelfTest: c.SelfTest})
		if err != nil {
			return err
		}
		if err := c.show(terminal, found, func(sheet sheet) { sheet.diagnosis(found) }); err != nil {
			return err
		}
		if !found.Healthy {
			return &core.Error{Kind: core.KindInternal, Code: "not_healthy", Message: fmt.Sprintf("faults: %d", found.Count(doctor.Fault))}
		}
		return nil
	})
}

// diagnosis prints what was found.
func (s sheet) diagnosis(d doctor.Diagnosis) {
	s.say("%s (%s)\n", d.Name, d.Provider)
	s.findings(d.Findings, doctor.DoorName)
	when := func(at *time.Time) string {
		if at == nil {
			return "never"
		}
		return at.UTC().Format("2006-01-02 15:04")
	}
	s.say("\nDoors                     last worked (UTC)   last refused")
	for _, one := range d.Doors {
		refused := "-"
		if len(one.Failures) > 0 {
			refused = when(&one.Failures[0].At) + " at " + one.Failures[0].Stage
		}
		s.say("  %-23s %-19s %s", doctor.DoorName(one.Door), when(one.Last), refused)
	}
	if len(d.Streams)+len(d.Hooks) > 0 {
		s.say("\nStreams and hooks         last heard (UTC)    last failure")
	}
	for _, one := range d.Streams {
		s.say("  %-23s %-19s %s", "stream, "+one.Delivery, when(one.LastEvent), cmp.Or(one.Wrong, "-"))
	}
	for _, one := range d.Hooks {
		failed := "-"
		if one.Failed != nil {
			failed = when(&one.Failed.At) + " at " + one.Failed.Stage
		}
		s.say("  %-23s %-19s %s", one.Name+" ("+one.Kind+")", when(one.Heard), failed)
		if one.Expires != nil {
			s.say("    subscription until %s", when(one.Expires))
		}
	}
	for _, key := range d.Keys {
		s.say("  key %s, %s, certificate since %s", key.ID, key.Algorithm, when(key.Made))
	}
	s.say("\nWhat reaches Postern, and after how long everybody meant is out at the latest")
	for _, one := range d.Coverage {
		s.say("  %-50s %-18s by %s", one.Action, doctor.Late(one.Bound, one.Assumed), doctor.DoorName(one.By))
	}
	s.say("\nTo paste at the identity provider")
	for _, one := range d.Paste {
		s.say("  %s: %s\n    %s", one.Where, one.Field, one.Value)
	}
}

// doctorCoverage prints the whole matrix.
type doctorCoverage struct {
	Format string `help:"text (Markdown) or json." enum:"text,json" default:"text"`
}

func (c doctorCoverage) Run(_ context.Context, terminal terminal) error {
	if c.Format == "json" {
		encoder := json.NewEncoder(terminal.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(doctor.Actions())
	}
	sheet{terminal.out}.say("%s", doctor.Table())
	return nil
}
