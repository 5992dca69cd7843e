package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
	"postern/core/rotation"
)

// Apps examines apps. Every field is needed except AllowPrivate and Now.
type Apps struct {
	DB         *postgres.DB
	Accounts   *accounts.Accounts
	Rotations  *rotation.Rotations
	Connectors rotation.Connectors
	Settings   map[string]func(json.RawMessage) error // check an app's settings, by its connector
	// AllowPrivate lets connectors look at private addresses.
	AllowPrivate bool
	Now          func() time.Time // nil: time.Now
}

// AppDiagnosis is everything about one app at one moment.
type AppDiagnosis struct {
	App       core.ID                `json:"app"`
	Name      string                 `json:"name"`
	Connector string                 `json:"connector"`
	Changes   bool                   `json:"changes"` // its connector can change passwords
	Taken     time.Time              `json:"taken"`
	Healthy   bool                   `json:"healthy"`
	Findings  []Finding              `json:"findings"`
	States    map[accounts.State]int `json:"states"` // of its accounts
	Recent    []rotation.Rotation    `json:"recent"` // the newest rotation of each account, those first that moved last
}

// recently is how many rotations are looked at.
const recently = 20

// lookTimeout bounds the look at the app.
const lookTimeout = time.Minute

// Diagnose examines an app of a workspace: what talks to it, whether it answers as that expects, and how the last
// rotations went. It signs in nowhere. Its error is about reading our own records; all else is a finding.
func (d *Apps) Diagnose(ctx context.Context, workspace, app core.ID) (AppDiagnosis, error) {
	found, err := d.Accounts.App(ctx, d.DB, workspace, app)
	if err != nil {
		return AppDiagnosis{}, err
	}
	now := time.Now
	if d.Now != nil {
		now = d.Now
	}
	out := AppDiagnosis{App: found.ID, Name: found.Name, Connector: found.Connector, Taken: now(), Findings: []Finding{}}
	if d.connector(found, &out) {
		d.look(ctx, found, &out)
	}
	if rules := found.Rules(); !rules.IsZero() {
		out.find(Note, "passwords", "New passwords are made by these rules: "+rules.String()+".", "")
	}
	if out.States, err = d.Accounts.AppStates(ctx, d.DB, workspace, app); err != nil {
		return AppDiagnosis{}, err
	}
	out.states()
	if out.Recent, err = d.Rotations.OfApp(ctx, d.DB, workspace, app, recently); err != nil {
		return AppDiagnosis{}, err
	}
	out.recent()
	out.Healthy = countOf(out.Findings, Fault) == 0
	return out, nil
}

func (d *AppDiagnosis) find(level Level, about, says, advice string) {
	d.Findings = append(d.Findings, Finding{level, about, says, advice})
}

// connector looks at what talks to the app; whether it can look at the app is the answer.
func (d *Apps) connector(app accounts.App, out *AppDiagnosis) bool {
	connector, known := d.Connectors[app.Connector]
	if !known {
		out.find(Fault, "connector", fmt.Sprintf("There is no connector named %s here.", app.Connector),
			"If it is a program of its own, list it with --plugins, for the doctor as for the workers.")
		return false
	}
	if check := d.Settings[app.Connector]; check != nil {
		if err := check(app.Settings); err != nil {
			out.find(Fault, "settings", "The connector cannot read the app's settings: "+core.AsError(err).Message+".", "Correct them: 'postern app update', with settings as connectors/README.md shows them.")
			return false
		}
	}
	if out.Changes = slices.Contains(rotation.Capabilities(connector, app.Settings), rotation.CanChange); out.Changes {
		out.find(Good, "connector", fmt.Sprintf("The connector %s signs in and changes passwords.", app.Connector), "")
	} else {
		out.find(Warning, "connector", fmt.Sprintf("The connector %s signs in and cannot change passwords.", app.Connector), "Change them by hand, or choose another connector.")
	}
	return true
}

// look has the connector look at the app without signing in.
func (d *Apps) look(ctx context.Context, app accounts.App, out *AppDiagnosis) {
	looker, can := d.Connectors[app.Connector].(rotation.Looker)
	if !can {
		out.find(Note, "app", "This connector cannot look at an app without signing in.", "Have an account of it checked: postern account health ID.")
		return
	}
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	report := looker.Look(ctx, rotation.Target{
		Workspace: app.Workspace, AppName: app.Name, Domains: app.Domains, SignInURL: app.SignInURL, ChangeURL: app.ChangeURL, Settings: app.Settings,
		AllowPrivate: d.AllowPrivate,
	})
	if report.Outcome == rotation.Found {
		out.find(Good, "app", app.SignInURL+": "+report.Detail, "")
		return
	}
	advice := map[rotation.Outcome]string{
		rotation.Unreachable:  "Try the address from this machine. A private one needs --allow-private, another host a place among the app's domains.",
		rotation.TimedOut:     "Try the address from this machine, and see whether a firewall or proxy holds the answer back.",
		rotation.FormNotFound: "Open the address in a browser. If the form is elsewhere correct the address; if it is there, name its fields in the settings (connectors/browser/settings.go).",
		rotation.Challenge:    "Have the app let Postern in without it, by its address or for this account.",
	}[report.Outcome]
	out.find(Fault, "app", app.SignInURL+": "+report.Words(), cmp.Or(advice, "See what the page shows, and try again."))
}

// states says which accounts automation has stopped for.
func (d *AppDiagnosis) states() {
	if len(d.States) == 0 {
		d.find(Note, "accounts", "The app has no accounts.", "postern account add")
	}
	for _, one := range []struct {
		state  accounts.State
		level  Level
		says   string
		advice string
	}{
		{accounts.AtRisk, Fault, "may still be known to somebody who left", "See why with 'postern rotation list ACCOUNT', put it right, then 'postern rotation start ACCOUNT'."},
		{accounts.Desynced, Warning, "are stopped: the app refuses the stored password", "Store the app's password, or set one in the app and store it."},
		{accounts.DesyncSuspected, Warning, "may have another password in the app", "They are looked at again; 'postern account health ACCOUNT' does so now."},
		{accounts.AppDisabled, Warning, "are locked or disabled by the app", "Unlock or enable them in the app, then have them checked."},
		{accounts.Unvalidated, Note, "have not been proved by a sign-in yet", ""},
	} {
		if count := d.States[one.state]; count > 0 {
			d.find(one.level, "accounts", fmt.Sprintf("%d of its accounts %s.", count, one.says), one.advice)
		}
	}
}

// recent says how the last rotations went.
func (d *AppDiagnosis) recent() {
	done, blocked, waiting := 0, 0, 0
	var last, stopped, delayed *rotation.Rotation
	for i := range d.Recent {
		switch one := &d.Recent[i]; {
		case one.Finished != nil:
			done++
			last = cmp.Or(last, one)
		case one.State == rotation.StateBlocked:
			blocked++
			stopped = cmp.Or(stopped, one)
		default:
			waiting++
			delayed = cmp.Or(delayed, one)
		}
	}
	if stopped != nil {
		d.find(Warning, "rotations", fmt.Sprintf("%d wait for a person. The latest: %s", blocked, stopped.Detail), "postern rotation show "+stopped.ID.String())
	}
	if delayed != nil {
		d.find(Note, "rotations", fmt.Sprintf("%d are under way. The latest: %s", waiting, cmp.Or(delayed.Detail, string(delayed.State)+".")), "postern rotation show "+delayed.ID.String())
	}
	if last != nil {
		d.find(Good, "rotations", fmt.Sprintf("%d ended well lately, the last at %s UTC.", done, last.Finished.UTC().Format("2006-01-02 15:04")), "")
	}
}
