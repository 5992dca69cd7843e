package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"postern/core"
	"postern/gateway/api"
)

// encoded is a thing put together here, as if the gateway had said it.
func encoded(thing any) json.RawMessage {
	text, err := json.Marshal(thing)
	if err != nil {
		return nil
	}
	return text
}

type serviceCredentialCommands struct {
	Add    addServiceCredential    `cmd:"" help:"Give a service account something to get in with."`
	List   listServiceCredentials  `cmd:"" help:"List what a service account gets in with."`
	Remove removeServiceCredential `cmd:"" help:"End a credential and all its values."`
}

type addServiceCredential struct {
	oneService `embed:""`
	Name       string   `arg:"" help:"What it is called."`
	Kind       string   `help:"password, key or token." enum:"password,key,token" default:"token"`
	Vault      bool     `help:"It is of another system, and its value kept in the vault."`
	Account    string   `help:"Id of the account whose password it is." placeholder:"ID"`
	TokenOf    string   `help:"Id of the account whose app makes and ends it as a token." placeholder:"ID"`
	ValueFile  string   `help:"With --vault: file that holds the value, one line; - is standard input. A password may be left for Postern to make." placeholder:"PATH"`
	Days       int      `help:"Days it is good for; for ever when 0." default:"90" placeholder:"N"`
	Every      int      `help:"Days from one rotation to the next, by schedule." placeholder:"N"`
	Overlap    string   `help:"How long the old value is to be unused before it is revoked." default:"24h" placeholder:"TIME"`
	Consumer   []string `help:"With --vault, --account or --token-of: what it is used by; may be repeated." placeholder:"NAME"`
}

// Help is shown by 'postern service credential add --help'.
func (addServiceCredential) Help() string {
	return `Without --vault, --account and --token-of it is a token for Postern's API. What Postern made is shown this once. What an app
makes is tried there and kept in the vault; a rotation has the app make another one, and end the old one once nobody uses it.

  postern service credential add ci API --days 90 --every 60
  postern service credential add ci "deploy key" --vault --kind key --value-file key.txt --consumer builder
  postern service credential add ci wiki --kind password --account 0198c7e2-…
  postern service credential add ci blog --token-of 0198c7e2-… --every 30 --consumer builder`
}

// newCredential is what is asked for.
type newCredential struct {
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`
	Held      string     `json:"held"`
	Account   core.ID    `json:"account,omitzero"`
	Value     string     `json:"value,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Consumers []string   `json:"consumers,omitempty"`
	Overlap   int64      `json:"overlap_seconds,omitempty"`
	Every     int        `json:"every_days,omitempty"`
}

// Run asks the gateway.
func (a addServiceCredential) Run(ctx context.Context, terminal terminal) error {
	wanted := newCredential{Name: a.Name, Kind: a.Kind, Held: "postern", Consumers: a.Consumer, Every: a.Every}
	overlap, err := time.ParseDuration(a.Overlap)
	if err != nil || overlap < 0 {
		return core.Invalid("--overlap", "a time such as 24h")
	}
	wanted.Overlap = int64(overlap / time.Second)
	switch {
	case a.Vault && a.Account != "":
		return core.Invalid("--account", "it is either in a vault or an account's")
	case a.TokenOf != "" && (a.Vault || a.Account != ""):
		return core.Invalid("--token-of", "an app makes it, so it is neither another system's value nor an account's password")
	case a.Vault:
		wanted.Held = "vault"
	case a.Account != "":
		wanted.Held = "account"
		if wanted.Account, err = core.ParseID(a.Account); err != nil {
			return core.Invalid("--account", "an account is named by its id")
		}
	case a.TokenOf != "":
		wanted.Held = "app"
		if wanted.Account, err = core.ParseID(a.TokenOf); err != nil {
			return core.Invalid("--token-of", "an account is named by its id")
		}
	}
	if wanted.Account.IsZero() {
		if wanted.Expires, err = (lifetime{Days: a.Days}).expires(); err != nil {
			return err
		}
	}
	if wanted.Value, err = valueFrom(a.ValueFile); err != nil {
		return err
	}
	c, one, err := a.find(ctx)
	if err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, serviceAt(one)+"/credentials", nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, made, func(sheet sheet, credential api.MadeServiceCredential) {
		sheet.say("%s has %s now.", visible(one.Name), visible(credential.Name))
		sheet.row("credential", credential.ID.String())
		if credential.Held == "app" {
			sheet.say("The app is asked to make it; 'postern service credential list %s' shows when it has.", visible(one.Name))
		}
		sheet.secret(credential.Secret)
	})
}

// secret shows what was made, if anything was.
func (s sheet) secret(secret string) {
	if secret != "" {
		s.row("value, shown once", secret)
	}
}

func valueFrom(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	value, err := readLine("--value-file", path)
	if err != nil {
		return "", err
	}
	return value.Reveal(), nil
}

type listServiceCredentials struct {
	oneService `embed:""`
}

// Run asks the gateway.
func (l listServiceCredentials) Run(ctx context.Context, terminal terminal) error {
	c, one, err := l.find(ctx)
	if err != nil {
		return err
	}
	newest := func(one api.ServiceCredential, read func(api.ServiceVersion) *time.Time) string {
		if len(one.Versions) == 0 {
			return "-"
		}
		return utc(read(one.Versions[0]))
	}
	return rows(terminal, l.remote, c.pages(ctx, serviceAt(one)+"/credentials", nil, 0),
		column[api.ServiceCredential]{"ID", func(one api.ServiceCredential) string { return one.ID.String() }},
		column[api.ServiceCredential]{"NAME", func(one api.ServiceCredential) string { return one.Name }},
		column[api.ServiceCredential]{"KIND", func(one api.ServiceCredential) string { return one.Kind }},
		column[api.ServiceCredential]{"HELD", func(one api.ServiceCredential) string { return one.Held }},
		column[api.ServiceCredential]{"LAST USED (UTC)", func(one api.ServiceCredential) string {
			return newest(one, func(v api.ServiceVersion) *time.Time { return v.LastUsed })
		}},
		column[api.ServiceCredential]{"EXPIRES (UTC)", func(one api.ServiceCredential) string {
			return newest(one, func(v api.ServiceVersion) *time.Time { return v.Expires })
		}},
		column[api.ServiceCredential]{"THE APP", func(one api.ServiceCredential) string {
			if one.Detail == "" {
				return "-"
			}
			return one.Detail + " Asked again " + utc(one.Retry) + "."
		}})
}

type removeServiceCredential struct {
	remote     `embed:""`
	Credential string `arg:"" help:"Id of the credential."`
	Abandon    bool   `help:"Without having its app end what it made: the app is gone, or does not do it."`
}

// Run asks the gateway.
func (r removeServiceCredential) Run(ctx context.Context, terminal terminal) error {
	if r.Abandon {
		return r.removeAs(ctx, terminal, "/service-credentials/", r.Credential, url.Values{"abandon": {"true"}},
			"Ended here. What the app made may still be good: end it there.")
	}
	return r.remove(ctx, terminal, "/service-credentials/", r.Credential, "Ended. What an app made is ended there too, and the credential goes then; what else it opened elsewhere is for you to end there.")
}

type rotateCredential struct {
	remote     `embed:""`
	Credential string `arg:"" help:"Id of the credential ('postern service show' tells it)."`
	ValueFile  string `help:"Of another system: file that holds the new value, one line; - is standard input." placeholder:"PATH"`
	Days       int    `help:"Days the new value is good for; for ever when 0." default:"0" placeholder:"N"`
}

// Help is shown by 'postern service rotate --help'.
func (rotateCredential) Help() string {
	return `The new value takes the free slot; the old one stays good until the new one was seen in use.

  postern service rotate CREDENTIAL        make it; it is shown this once, or made and tried by its app
  postern service distribute ROTATION      it is where it is used
  postern service verify ROTATION          it was seen in use, or --reason says why it can be relied on
  postern service revoke ROTATION          the old one ends`
}

// Run asks the gateway.
func (r rotateCredential) Run(ctx context.Context, terminal terminal) error {
	path, err := pathOf("/service-credentials/", r.Credential)
	if err != nil {
		return err
	}
	var wanted struct {
		Value   string     `json:"value,omitempty"`
		Expires *time.Time `json:"expires,omitempty"`
	}
	if wanted.Value, err = valueFrom(r.ValueFile); err != nil {
		return err
	}
	if wanted.Expires, err = (lifetime{Days: r.Days}).expires(); err != nil {
		return err
	}
	c, err := r.connect()
	if err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, path+"/rotations", nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, made, func(sheet sheet, one api.MadeServiceRotation) {
		sheet.say("The rotation is %s; the old value stays good.", one.State)
		sheet.row("rotation", one.ID.String())
		sheet.secret(one.Secret)
	})
}

// oneValue is part of every command about the rotation of a credential.
type oneValue struct {
	remote   `embed:""`
	Rotation string `arg:"" help:"Id of the rotation."`
}

// advance goes on with the rotation.
func (o oneValue) advance(ctx context.Context, terminal terminal, to, reason string) error {
	path, err := pathOf("/service-rotations/", o.Rotation)
	if err != nil {
		return err
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/steps", nil, map[string]string{"to": to, "reason": reason})
	if err != nil {
		return err
	}
	return thing(terminal, o.remote, text, sheet.credentialRotation)
}

func (s sheet) credentialRotation(one api.ServiceRotation) {
	s.say("The rotation is %s.", one.State)
	for at, step := range one.Steps {
		s.say("  %3d. %s  %-12s  %s: %s", at+1, utc(&step.At), step.State, visible(step.Actor), visible(step.Detail))
	}
}

type showCredentialRotation struct {
	oneValue `embed:""`
}

// Run asks the gateway.
func (s showCredentialRotation) Run(ctx context.Context, terminal terminal) error {
	path, err := pathOf("/service-rotations/", s.Rotation)
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.credentialRotation)
}

type distributeValue struct {
	oneValue `embed:""`
}

// Run asks the gateway.
func (d distributeValue) Run(ctx context.Context, terminal terminal) error {
	return d.advance(ctx, terminal, "distributed", "")
}

type verifyValue struct {
	oneValue `embed:""`
	Reason   string `help:"Why it can be relied on, if it was not seen in use." placeholder:"TEXT"`
}

// Run asks the gateway.
func (v verifyValue) Run(ctx context.Context, terminal terminal) error {
	return v.advance(ctx, terminal, "verified", v.Reason)
}

type revokeValue struct {
	oneValue `embed:""`
	Reason   string `help:"Why it may be revoked, if it is still in use." placeholder:"TEXT"`
}

// Run asks the gateway.
func (r revokeValue) Run(ctx context.Context, terminal terminal) error {
	return r.advance(ctx, terminal, "done", r.Reason)
}

type rollBackValue struct {
	oneValue `embed:""`
	Reason   string `help:"Why." placeholder:"TEXT"`
}

// Run asks the gateway.
func (r rollBackValue) Run(ctx context.Context, terminal terminal) error {
	return r.advance(ctx, terminal, "rolled_back", r.Reason)
}

type serviceFindingCommands struct {
	List        listServiceFindings   `cmd:"" help:"List what is odd about service accounts, latest first."`
	Acknowledge acknowledgeFinding    `cmd:"" help:"Say that somebody looks after a finding."`
	Resolve     resolveServiceFinding `cmd:"" help:"Resolve a finding, with a note."`
}

type listServiceFindings struct {
	remote  `embed:""`
	Service string `help:"Name or id of one service account." placeholder:"NAME"`
	State   string `help:"open, acknowledged, resolved or all." enum:"open,acknowledged,resolved,all" default:"open"`
	Limit   int    `help:"At most so many rows; 0 is all." default:"100" placeholder:"N"`
}

// Run asks the gateway.
func (l listServiceFindings) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.State != "all" {
		query.Set("state", l.State)
	}
	if l.Service != "" {
		one, err := c.service(ctx, l.Service)
		if err != nil {
			return err
		}
		query.Set("account", one.ID.String())
	}
	return rows(terminal, l.remote, c.pages(ctx, "/service-findings", query, l.Limit),
		column[api.ServiceFinding]{"ID", func(one api.ServiceFinding) string { return one.ID.String() }},
		column[api.ServiceFinding]{"OPENED (UTC)", func(one api.ServiceFinding) string { return utc(&one.Opened) }},
		column[api.ServiceFinding]{"SERVICE ACCOUNT", func(one api.ServiceFinding) string { return one.Name }},
		column[api.ServiceFinding]{"KIND", func(one api.ServiceFinding) string { return one.Kind }},
		column[api.ServiceFinding]{"STATE", func(one api.ServiceFinding) string { return one.State }},
		column[api.ServiceFinding]{"WHAT", func(one api.ServiceFinding) string { return one.Detail }})
}

// oneFinding is part of every command about one finding.
type oneFinding struct {
	remote  `embed:""`
	Finding string `arg:"" help:"Id of the finding."`
}

func (o oneFinding) decide(ctx context.Context, terminal terminal, state, note string) error {
	path, err := pathOf("/service-findings/", o.Finding)
	if err != nil {
		return err
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, path+"/decision", nil, map[string]string{"state": state, "note": note})
	if err != nil {
		return err
	}
	return thing(terminal, o.remote, text, func(sheet sheet, one api.ServiceFinding) {
		sheet.say("%s of %s is %s.", strconv.Quote(one.Kind), visible(one.Name), one.State)
	})
}

type acknowledgeFinding struct {
	oneFinding `embed:""`
	Note       string `help:"For whoever reads it later." placeholder:"TEXT"`
}

// Run asks the gateway.
func (a acknowledgeFinding) Run(ctx context.Context, terminal terminal) error {
	return a.decide(ctx, terminal, "acknowledged", a.Note)
}

type resolveServiceFinding struct {
	oneFinding `embed:""`
	Note       string `help:"What it was." required:"" placeholder:"TEXT"`
}

// Run asks the gateway.
func (r resolveServiceFinding) Run(ctx context.Context, terminal terminal) error {
	return r.decide(ctx, terminal, "resolved", r.Note)
}
