package cli

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/gateway"
	"postern/webhooks/hooks"
)

type hookCommands struct {
	Create   createHook   `cmd:"" help:"Make a hook for a sender of events, and print what to paste there."`
	List     listHooks    `cmd:"" help:"List the hooks and how they go."`
	Rotate   rotateHook   `cmd:"" help:"Give a hook a new secret; the one before stays good for a while."`
	Backfill backfillHook `cmd:"" help:"Ask the sender again what it told, for what was missed."`
	Test     testHook     `cmd:"" help:"See what a sample message would mean."`
	Delete   deleteHook   `cmd:"" help:"Refuse what a sender sends from now on."`
}

// ofHooks is part of every command about hooks.
type ofHooks struct {
	inWorkspace `embed:""`
	reached     `embed:""`
	sealing     `embed:""`
}

func (o ofHooks) hooks(s *setup) (*hooks.Service, error) {
	if err := gateway.CheckPublicURL(o.PublicURL); err != nil {
		return nil, flag("--public-url", err)
	}
	safe, err := o.vault(s)
	if err != nil {
		return nil, err
	}
	return &hooks.Service{DB: s.db, Directory: s.people, Vault: safe, PublicURL: o.PublicURL}, nil
}

// hookRow is a hook as it is printed.
type hookRow struct {
	ID             core.ID    `json:"id"`
	Connection     core.ID    `json:"connection"`
	Kind           string     `json:"kind"`
	Name           string     `json:"name"`
	URL            string     `json:"url"`
	Secret         string     `json:"secret,omitempty"` // when it was just made
	Verified       *time.Time `json:"verified,omitempty"`
	LastHeard      *time.Time `json:"last_heard,omitempty"`
	LastType       string     `json:"last_type,omitempty"`
	LastError      string     `json:"last_error,omitempty"`
	LastErrorStage string     `json:"last_error_stage,omitempty"`
	Expires        *time.Time `json:"subscription_expires,omitempty"`
}

func hookRowOf(service *hooks.Service, one hooks.Hook) hookRow {
	return hookRow{
		ID: one.ID, Connection: one.Connection, Kind: string(one.Kind), Name: one.Name, URL: service.URL(one), Verified: one.Verified, LastHeard: one.LastHeard,
		LastType: one.LastType, LastError: one.LastError, LastErrorStage: one.LastErrorStage, Expires: one.RemoteEnds,
	}
}

func (s sheet) hook(row hookRow) {
	s.say("Hook %s (%s)", row.Name, row.Kind)
	s.row("id", row.ID.String())
	if row.Kind != string(hooks.Graph) { // whose subscription Postern makes itself
		s.row("URL to paste", row.URL)
	}
	if row.Secret != "" {
		name := "secret, shown once"
		if row.Kind == string(hooks.Okta) {
			name = "Authorization, shown once"
		}
		s.row(name, row.Secret)
	}
	if row.Kind == string(hooks.Okta) {
		s.row("events", strings.Join(hooks.OktaTypes(), ", "))
	}
}

// createHook makes one.
type createHook struct {
	ofHooks       `embed:""`
	Connection    string `arg:"" help:"Name or id of the connection whose people it tells about."`
	Kind          string `help:"okta: Event Hooks. graph: Microsoft Graph change notifications. standard: Standard Webhooks. signed: any other that signs." enum:"okta,graph,standard,signed" required:""`
	Name          string `help:"What administrators call it; the kind when left out." placeholder:"NAME"`
	Settings      string `help:"File with the JSON of mapping and scheme, for standard and signed: see webhooks/hooks/README.md." type:"existingfile" placeholder:"FILE"`
	Secret        string `help:"Reference to the secret the sender gave (file:PATH or env:NAME); one is made when left out." placeholder:"REF"`
	API           string `name:"api" help:"Okta: the organisation, such as https://acme.okta.com, so that its System Log is read for what was missed." placeholder:"URL"`
	Tenant        string `help:"Graph: Entra's tenant id." placeholder:"ID"`
	ClientID      string `name:"client-id" help:"OAuth client at the sender's API. Okta without one: --access is an SSWS token." placeholder:"ID"`
	Access        string `help:"Reference to the client's secret or the token, resolved where 'postern serve' runs (file:PATH or env:NAME)." placeholder:"REF"`
	TokenEndpoint string `name:"token-endpoint" help:"OAuth token endpoint, if it is not where the sender has it." placeholder:"URL"`
}

func (c createHook) Run(ctx context.Context, terminal terminal) error {
	wanted := hooks.NewHook{Kind: hooks.Kind(c.Kind), Name: c.Name}
	if wanted.Name == "" {
		wanted.Name = c.Kind
	}
	if c.Settings != "" {
		text, err := os.ReadFile(c.Settings)
		if err == nil {
			err = json.Unmarshal(text, &wanted.Settings)
		}
		if err != nil {
			return core.Invalid("--settings", "the file is not the JSON that is expected").Because(err)
		}
	}
	if c.Access != "" && !gateway.IsReference(c.Access) {
		return core.Invalid("--access", "put the secret in a file and give file:PATH, or in a variable and give env:NAME")
	}
	if c.API != "" || c.Tenant != "" || c.ClientID != "" || c.Access != "" {
		wanted.Settings.Access = hooks.Access{Address: c.API, ClientID: c.ClientID, Tenant: c.Tenant, SecretReference: c.Access, TokenEndpoint: c.TokenEndpoint}
	}
	var err error
	if wanted.Secret, err = given(c.Secret); err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, c.Connection)
	if err != nil {
		return err
	}
	wanted.Connection = connection.ID
	service, err := c.hooks(s)
	if err != nil {
		return err
	}
	made, err := service.Create(ctx, s.cause, s.workspace.ID, wanted)
	if err != nil {
		return err
	}
	row := hookRowOf(service, made.Hook)
	row.Secret = made.Secret.Reveal()
	return c.show(terminal, row, func(sheet sheet) { sheet.hook(row) })
}

// given is a secret by reference; zero: none.
func given(reference string) (seal.Secret, error) {
	if reference == "" {
		return seal.Secret{}, nil
	}
	if !gateway.IsReference(reference) {
		return seal.Secret{}, core.Invalid("--secret", "put the secret in a file and give file:PATH, or in a variable and give env:NAME")
	}
	return gateway.OpenReference(reference)
}

// listHooks shows all of a workspace.
type listHooks struct {
	ofHooks `embed:""`
}

func (l listHooks) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := l.hooks(s)
	if err != nil {
		return err
	}
	found, err := service.Hooks(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	rows := make([]hookRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, hookRowOf(service, one))
	}
	return l.show(terminal, map[string]any{"hooks": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("no hooks; make one with 'postern hook create'")
			return
		}
		sheet.say("%-36s  %-8s  %-16s  %s", "HOOK", "KIND", "LAST HEARD (UTC)", "NAME")
		for _, one := range rows {
			heard := "never"
			if one.LastHeard != nil {
				heard = one.LastHeard.UTC().Format("2006-01-02 15:04")
			}
			sheet.say("%s  %-8s  %-16s  %s", one.ID, one.Kind, heard, one.Name)
			if one.LastError != "" {
				sheet.say("  fails at %s: %s", one.LastErrorStage, one.LastError)
			}
		}
	})
}

// oneHook is part of every command about one hook.
type oneHook struct {
	ofHooks `embed:""`
	Hook    string `arg:"" help:"Id or name of the hook."`
}

// with finds the hook and does something with it.
func (o oneHook) with(ctx context.Context, work func(s *setup, service *hooks.Service, hook hooks.Hook) error) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := o.hooks(s)
	if err != nil {
		return err
	}
	all, err := service.Hooks(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	var names []string
	for _, one := range all {
		if one.ID.String() == o.Hook || strings.EqualFold(one.Name, o.Hook) {
			return work(s, service, one)
		}
		names = append(names, one.Name)
	}
	return missing("hook", o.Hook, names, "postern hook create")
}

type rotateHook struct {
	oneHook `embed:""`
	Secret  string        `help:"Reference to the secret the sender gave; one is made when left out." placeholder:"REF"`
	Overlap time.Duration `help:"How long the one before is good." default:"24h"`
}

func (r rotateHook) Run(ctx context.Context, terminal terminal) error {
	secret, err := given(r.Secret)
	if err != nil {
		return err
	}
	return r.with(ctx, func(s *setup, service *hooks.Service, hook hooks.Hook) error {
		made, err := service.Rotate(ctx, s.cause, s.workspace.ID, hook.ID, secret, r.Overlap)
		if err != nil {
			return err
		}
		row := hookRowOf(service, made.Hook)
		row.Secret = made.Secret.Reveal()
		return r.show(terminal, row, func(sheet sheet) { sheet.hook(row) })
	})
}

type backfillHook struct {
	oneHook `embed:""`
	Since   time.Duration `help:"How far back." default:"24h"`
}

func (b backfillHook) Run(ctx context.Context, terminal terminal) error {
	return b.with(ctx, func(s *setup, service *hooks.Service, hook hooks.Hook) error {
		since := time.Now().Add(-b.Since)
		if err := service.Fill(ctx, s.workspace.ID, hook.ID, since); err != nil {
			return err
		}
		return b.show(terminal, map[string]any{"hook": hook.ID, "since": since}, func(sheet sheet) {
			sheet.say("'postern serve' reads it now; see what came of it with 'postern signal list'.")
		})
	})
}

type testHook struct {
	oneHook `embed:""`
	Message string `help:"File with a message as the sender sends it." type:"existingfile" required:"" placeholder:"FILE"`
}

func (c testHook) Run(ctx context.Context, terminal terminal) error {
	sample, err := os.ReadFile(c.Message)
	if err != nil {
		return core.Invalid("--message", "the file cannot be read").Because(err)
	}
	return c.with(ctx, func(s *setup, service *hooks.Service, hook hooks.Hook) error {
		found, err := service.Test(ctx, s.workspace.ID, hook.ID, sample)
		if err != nil {
			return err
		}
		return c.show(terminal, map[string]any{"readings": found}, func(sheet sheet) {
			for _, one := range found {
				sheet.row(one.Type, strings.TrimSpace(string(one.Kind)+" "+one.Subject))
			}
		})
	})
}

type deleteHook struct {
	oneHook `embed:""`
}

func (d deleteHook) Run(ctx context.Context, terminal terminal) error {
	return d.with(ctx, func(s *setup, service *hooks.Service, hook hooks.Hook) error {
		if hook.RemoteID != "" {
			return core.Conflict("", "delete it by the API: there the gateway ends its subscription at Microsoft Graph too")
		}
		if err := service.Delete(ctx, s.cause, s.workspace.ID, hook.ID); err != nil {
			return err
		}
		return d.show(terminal, map[string]any{"deleted": hook.ID}, func(sheet sheet) { sheet.say("what it sends is refused from now on") })
	})
}
