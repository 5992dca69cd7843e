package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"postern/core"
	"postern/core/vault"
	"postern/gateway"
	"postern/webhooks/delivery"
	"postern/webhooks/transmitter"
)

type receiverCommands struct {
	Add    addReceiver     `cmd:"" help:"Let somebody hear Shared Signals from Postern, and print what they need."`
	List   listReceivers   `cmd:"" help:"List the receivers and how their streams go."`
	Show   showReceiver    `cmd:"" help:"Print everything about a receiver, with what it did not take."`
	Change changeReceiver  `cmd:"" help:"Change how a receiver is told."`
	Status setReceiver     `cmd:"" help:"Enable, pause or disable its stream."`
	Retry  retryReceiver   `cmd:"" help:"Send dead letters again."`
	Secret receiverSecrets `cmd:"" help:"Replace the client secret without a gap: two may live at a time."`
	Remove removeReceiver  `cmd:"" help:"End its stream, its tokens and its secret."`
}

// toOthers is part of every command about what Postern tells others.
type toOthers struct {
	inWorkspace  `embed:""`
	reached      `embed:""`
	AllowPrivate bool `help:"Allow addresses without https." env:"POSTERN_ALLOW_PRIVATE"`
}

// transmitter is what tells receivers. The command line delivers nothing itself.
func (o toOthers) transmitter(s *setup) (*transmitter.Service, error) {
	if err := gateway.CheckPublicURL(o.PublicURL); err != nil {
		return nil, flag("--public-url", err)
	}
	return &transmitter.Service{
		DB: s.db, Directory: s.people, Vault: &vault.Vault{DB: s.db}, Deliveries: &delivery.Deliveries{DB: s.db}, PublicURL: o.PublicURL, AllowPrivate: o.AllowPrivate,
	}, nil
}

// receiverRow is a receiver with its stream.
type receiverRow struct {
	ID            core.ID  `json:"id"`
	Name          string   `json:"name"`
	ClientID      core.ID  `json:"client_id"`
	ClientSecret  string   `json:"client_secret,omitempty"` // when it was just made
	Issuer        string   `json:"issuer"`
	Discovery     string   `json:"discovery"`
	TokenEndpoint string   `json:"token_endpoint"`
	SubjectFormat string   `json:"subject_format"`
	Audience      string   `json:"audience"`
	Sessions      bool     `json:"sessions"`
	Accounts      bool     `json:"accounts"`
	Status        string   `json:"status"` // none: it has made no stream yet
	Reason        string   `json:"reason,omitempty"`
	Delivery      string   `json:"delivery,omitempty"`
	Endpoint      string   `json:"endpoint_url,omitempty"`
	Events        []string `json:"events_delivered"`
	Waiting       int      `json:"waiting"`
	DeadLetters   int      `json:"dead_letters"`
	LastError     string   `json:"last_error,omitempty"`
	Letters       []dead   `json:"letters,omitempty"` // with show
	stream        core.ID  // zero: none
}

// dead is a message nobody took.
type dead struct {
	ID       core.ID `json:"id"`
	Type     string  `json:"type"`
	Attempts int     `json:"attempts"`
	Created  string  `json:"created"`
	Error    string  `json:"error"`
}

func lettersOf(found []delivery.Delivery) []dead {
	rows := make([]dead, 0, len(found))
	for _, one := range found {
		kind, _, _ := strings.Cut(one.Type, " ")
		rows = append(rows, dead{one.ID, kind, one.Attempts, minute(one.Created), one.LastError})
	}
	return rows
}

func receiverRowOf(ctx context.Context, s *setup, t *transmitter.Service, one transmitter.Receiver) (receiverRow, error) {
	issuer := t.Issuer(one.Workspace)
	row := receiverRow{
		ID: one.ID, Name: one.Name, ClientID: one.Account, Issuer: issuer, Discovery: t.Discovery(one.Workspace), TokenEndpoint: issuer + "/token",
		SubjectFormat: one.SubjectFormat, Audience: one.Audience, Sessions: one.Sessions, Accounts: one.Accounts, Status: "none", Events: []string{},
	}
	stream, err := t.StreamOf(ctx, s.db, one.Workspace, one.ID)
	if err != nil && core.KindOf(err) == core.KindNotFound {
		return row, nil
	}
	if err != nil {
		return row, err
	}
	lane, err := t.Deliveries.Lane(ctx, s.db, one.Workspace, stream.ID)
	if err != nil {
		return row, err
	}
	backlog, err := t.Deliveries.Backlog(ctx, s.db, one.Workspace, stream.ID)
	row.stream, row.Status, row.Reason, row.Delivery, row.Endpoint, row.Events = stream.ID, stream.Status(), stream.Reason, stream.Delivery, stream.EndpointURL, stream.Delivered
	row.Waiting, row.DeadLetters, row.LastError = backlog.Waiting, backlog.Dead, lane.LastError
	return row, err
}

func (s sheet) receiver(row receiverRow) {
	s.say("Receiver %s", row.Name)
	s.row("id", row.ID.String())
	s.row("issuer", row.Issuer)
	s.row("discovery", row.Discovery)
	s.row("token endpoint", row.TokenEndpoint)
	s.row("client id", row.ClientID.String())
	if row.ClientSecret != "" {
		s.row("client secret, shown once", row.ClientSecret)
	}
	s.row("audience", row.Audience)
	s.row("knows people by", row.SubjectFormat)
	s.row("hears of single sessions", strconv.FormatBool(row.Sessions))
	s.row("hears of rotations", strconv.FormatBool(row.Accounts))
	s.row("stream", strings.TrimSuffix(row.Status+", "+row.Reason, ", "))
	if row.Status == "none" {
		return
	}
	s.row("delivery", strings.TrimSpace(row.Delivery+" "+row.Endpoint))
	s.row("waiting", strconv.Itoa(row.Waiting))
	s.row("dead letters", strconv.Itoa(row.DeadLetters))
	if row.LastError != "" {
		s.row("last error", row.LastError)
	}
	for _, uri := range row.Events {
		s.row("event", uri)
	}
	s.letters(row.Letters)
}

func (s sheet) letters(letters []dead) {
	for _, one := range letters {
		s.say("  %s  %s  %s  after %d: %s", one.ID, one.Created, one.Type, one.Attempts, one.Error)
	}
}

// addReceiver registers a receiver.
type addReceiver struct {
	toOthers      `embed:""`
	Name          string `arg:"" help:"What it is called here."`
	SubjectFormat string `help:"How it knows people: email, or iss_sub (what their identity provider calls them)." enum:"email,iss_sub" default:"email"`
	Audience      string `help:"The aud of its tokens; its client id when left out." placeholder:"AUD"`
	Sessions      bool   `help:"Tell it of single sessions too." default:"true" negatable:""`
	Accounts      bool   `help:"Tell it of rotations of shared accounts."`
	ReadOnly      bool   `help:"It may poll and look, but not make or change its stream."`
}

// Help is shown by 'postern receiver add --help'.
func (addReceiver) Help() string {
	return `A receiver of Shared Signals hears what happens to people of the workspace: sessions that were revoked, accounts that were disabled, enabled or deleted, and what SCIM changed (CAEP, RISC, RFC 9967). It is given an issuer, a client id and a client secret, and makes its stream itself: by push (RFC 8935) or by poll (RFC 8936).

  postern receiver add "Globex SIEM" --workspace acme
  postern receiver add Apple --workspace acme --subject-format email --no-sessions

Every field is explained in webhooks/transmitter/README.md.`
}

func (a addReceiver) Run(ctx context.Context, terminal terminal) error {
	return a.about(ctx, func(s *setup, t *transmitter.Service) error {
		made, secret, err := t.AddReceiver(ctx, s.cause, s.workspace.ID, transmitter.NewReceiver{
			Name: a.Name, SubjectFormat: a.SubjectFormat, Audience: a.Audience, Sessions: a.Sessions, Accounts: a.Accounts, ReadOnly: a.ReadOnly,
		})
		if err != nil {
			return err
		}
		row, err := receiverRowOf(ctx, s, t, made)
		if err != nil {
			return err
		}
		row.ClientSecret = secret.Reveal()
		return a.show(terminal, row, func(sheet sheet) {
			sheet.receiver(row)
			sheet.say("\nGive the receiver the issuer, the client id and the secret, with the scopes %s.", strings.Join(transmitter.Scopes(), " "))
		})
	})
}

// about opens what a command about receivers works with.
func (o toOthers) about(ctx context.Context, work func(s *setup, t *transmitter.Service) error) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	t, err := o.transmitter(s)
	if err != nil {
		return err
	}
	return work(s, t)
}

// oneReceiver is part of every command about one of them.
type oneReceiver struct {
	toOthers `embed:""`
	Receiver string `arg:"" help:"Its name or id."`
}

// with finds the receiver.
func (o oneReceiver) with(ctx context.Context, work func(s *setup, t *transmitter.Service, one transmitter.Receiver) error) error {
	return o.about(ctx, func(s *setup, t *transmitter.Service) error {
		all, err := t.Receivers(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(one transmitter.Receiver) bool { return one.Name == o.Receiver || one.ID.String() == o.Receiver })
		if at < 0 {
			return core.NotFound("receiver")
		}
		return work(s, t, all[at])
	})
}

func (o oneReceiver) print(ctx context.Context, terminal terminal, s *setup, t *transmitter.Service, one transmitter.Receiver) error {
	row, err := receiverRowOf(ctx, s, t, one)
	if err != nil {
		return err
	}
	if !row.stream.IsZero() {
		found, err := t.Deliveries.DeadLetters(ctx, s.db, one.Workspace, row.stream, 100)
		if err != nil {
			return err
		}
		row.Letters = lettersOf(found)
	}
	return o.show(terminal, row, func(sheet sheet) { sheet.receiver(row) })
}

type listReceivers struct {
	toOthers `embed:""`
}

func (l listReceivers) Run(ctx context.Context, terminal terminal) error {
	return l.about(ctx, func(s *setup, t *transmitter.Service) error {
		all, err := t.Receivers(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		rows := make([]receiverRow, 0, len(all))
		for _, one := range all {
			row, err := receiverRowOf(ctx, s, t, one)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return l.show(terminal, map[string]any{"receivers": rows}, func(sheet sheet) {
			if len(rows) == 0 {
				sheet.say("No receiver: postern receiver add --help")
				return
			}
			sheet.say("%-36s  %-24s  %-8s  %-6s  %7s  %s", "RECEIVER", "NAME", "STREAM", "BY", "WAITING", "DEAD")
			for _, row := range rows {
				sheet.say("%s  %-24s  %-8s  %-6s  %7d  %d", row.ID, row.Name, row.Status, row.Delivery, row.Waiting, row.DeadLetters)
			}
		})
	})
}

type showReceiver struct {
	oneReceiver `embed:""`
}

func (r showReceiver) Run(ctx context.Context, terminal terminal) error {
	return r.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		return r.print(ctx, terminal, s, t, one)
	})
}

type changeReceiver struct {
	oneReceiver   `embed:""`
	SubjectFormat *string `help:"How it knows people: email or iss_sub." enum:"email,iss_sub"`
	Audience      *string `help:"The aud of its tokens." placeholder:"AUD"`
	Sessions      *bool   `help:"Tell it of single sessions too." negatable:""`
	Accounts      *bool   `help:"Tell it of rotations of shared accounts." negatable:""`
}

func (r changeReceiver) Run(ctx context.Context, terminal terminal) error {
	return r.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		changed, err := t.ChangeReceiver(ctx, s.cause, s.workspace.ID, one.ID, transmitter.Change{
			SubjectFormat: r.SubjectFormat, Audience: r.Audience, Sessions: r.Sessions, Accounts: r.Accounts,
		})
		if err != nil {
			return err
		}
		return r.print(ctx, terminal, s, t, changed)
	})
}

type setReceiver struct {
	oneReceiver `embed:""`
	Status      string `arg:"" help:"enabled; paused: what happens waits; disabled: it is not kept." enum:"enabled,paused,disabled"`
	Reason      string `help:"Why, for the receiver." placeholder:"TEXT"`
}

func (r setReceiver) Run(ctx context.Context, terminal terminal) error {
	return r.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		if _, err := t.SetStatus(ctx, s.cause, s.workspace.ID, one.ID, r.Status, r.Reason); err != nil {
			return err
		}
		return r.print(ctx, terminal, s, t, one)
	})
}

type retryReceiver struct {
	oneReceiver `embed:""`
	Letter      string `help:"Only this one; all of them when left out." placeholder:"ID"`
}

// letter is the id of a dead letter, zero for all.
func letter(text string) (core.ID, error) {
	if text == "" {
		return core.ID{}, nil
	}
	id, err := core.ParseID(text)
	if err != nil {
		return core.ID{}, core.Invalid("--letter", "give the id that is listed")
	}
	return id, nil
}

func (r retryReceiver) Run(ctx context.Context, terminal terminal) error {
	id, err := letter(r.Letter)
	if err != nil {
		return err
	}
	return r.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		count, err := t.Retry(ctx, s.cause, s.workspace.ID, one.ID, id)
		if err != nil {
			return err
		}
		return r.show(terminal, map[string]any{"messages": count}, func(sheet sheet) { sheet.say("%d messages are sent again.", count) })
	})
}

type removeReceiver struct {
	oneReceiver `embed:""`
}

func (r removeReceiver) Run(ctx context.Context, terminal terminal) error {
	return r.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		if err := t.DeleteReceiver(ctx, s.cause, s.workspace.ID, one.ID); err != nil {
			return err
		}
		return r.show(terminal, map[string]any{"id": one.ID}, func(sheet sheet) { sheet.say("Postern tells %s nothing any more.", one.Name) })
	})
}
