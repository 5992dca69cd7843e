package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/lifecycle"
	"postern/core/signals"
)

type signalCommands struct {
	List   listSignals          `cmd:"" help:"List what identity providers said and what it did."`
	Show   showSignal           `cmd:"" help:"Show the receipt of one signal."`
	Policy signalPolicyCommands `cmd:"" help:"Say what is done about each kind of signal."`
	Hold   signalHoldCommands   `cmd:"" help:"Decide on crowds of signals that wait."`
	Lift   liftRestriction      `cmd:"" help:"Let somebody have passwords again whom a signal restricted."`
}

// signals is what reads receipts and decides.
func (s *setup) signals() *signals.Signals {
	logins := &accounts.Accounts{DB: s.db, Directory: s.people}
	return &signals.Signals{DB: s.db, Directory: s.people, Accounts: logins, Lifecycle: &lifecycle.Lifecycle{DB: s.db, Directory: s.people, Accounts: logins}}
}

// signalRow is a receipt.
type signalRow struct {
	ID           core.ID           `json:"id"`
	Connection   string            `json:"connection,omitempty"`
	Door         signals.Door      `json:"door"`
	Kind         signals.Kind      `json:"kind"`
	Subject      string            `json:"subject"`
	SID          string            `json:"sid,omitempty"`
	Outcome      signals.Outcome   `json:"outcome"`
	Note         string            `json:"note,omitempty"`
	Users        []string          `json:"users"`
	Sessions     int               `json:"sessions"`
	Commands     []signals.Command `json:"commands"`
	Waiting      []signals.Command `json:"waiting,omitempty"`
	Rotations    []core.ID         `json:"rotations"`
	Open         int               `json:"rotations_open"`
	DuplicateOf  core.ID           `json:"duplicate_of,omitzero"`
	Hold         core.ID           `json:"hold,omitzero"`
	Occurred     time.Time         `json:"occurred"`
	Received     time.Time         `json:"received"`
	Committed    time.Time         `json:"committed"`
	Rotated      *time.Time        `json:"rotated,omitempty"`
	TimeToEffect float64           `json:"time_to_effect"`
	Issuer       string            `json:"issuer,omitempty"`
	TokenID      string            `json:"token_id,omitempty"`
	Type         string            `json:"type,omitempty"`
	Digest       string            `json:"digest,omitempty"`
	Quirks       []string          `json:"quirks,omitempty"`
	Facts        map[string]string `json:"facts,omitempty"`
	Transaction  string            `json:"transaction,omitempty"`
	Correlation  core.ID           `json:"correlation"`
}

func signalRowOf(k signals.Kept) signalRow {
	return signalRow{
		k.ID, k.ConnectionName, k.Door, k.Kind, k.Subject, k.SID, k.Outcome, k.Note, append([]string{}, k.Names...), k.Sessions,
		append([]signals.Command{}, k.Commands...), k.Waiting, append([]core.ID{}, k.Rotations...), k.Open, k.Duplicate, k.Hold, k.Occurred, k.Received,
		k.Committed, k.Rotated, k.ToEffect().Seconds(), k.Evidence.Issuer, k.Evidence.TokenID, k.Evidence.Type, hex.EncodeToString(k.Evidence.Digest),
		k.Evidence.Quirks, k.Evidence.Facts, k.Transaction, k.Correlation,
	}
}

// listSignals shows receipts, the newest first.
type listSignals struct {
	inWorkspace `embed:""`
	Connection  string `help:"Only of this connection: its name or id." placeholder:"NAME"`
	Door        string `help:"Only those that came in by it, such as universal_logout or ssf_push." placeholder:"DOOR"`
	Kind        string `help:"Only of this kind, such as logout or credential_compromised." placeholder:"KIND"`
	Outcome     string `help:"Only with this outcome: done, duplicate, late, held, nobody, ignored, rejected or failed." enum:",done,duplicate,late,held,nobody,ignored,rejected,failed" default:"" placeholder:"OUTCOME"`
	Limit       int    `help:"How many." default:"50" placeholder:"N"`
}

func (l listSignals) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	query := signals.Query{Door: signals.Door(l.Door), Kind: signals.Kind(l.Kind), Outcome: signals.Outcome(l.Outcome), Limit: l.Limit}
	if l.Connection != "" {
		connection, err := s.connection(ctx, l.Connection)
		if err != nil {
			return err
		}
		query.Connection = connection.ID
	}
	found, err := s.signals().List(ctx, s.db, s.workspace.ID, query)
	if err != nil {
		return err
	}
	rows := make([]signalRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, signalRowOf(one))
	}
	return l.show(terminal, map[string]any{"signals": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("no signals")
			return
		}
		sheet.say("%-36s  %-16s  %-19s  %-24s  %-9s  %-8s  %s", "SIGNAL", "RECEIVED (UTC)", "DOOR", "KIND", "OUTCOME", "SESSIONS", "ABOUT")
		for _, one := range rows {
			about := strings.Join(one.Users, ", ")
			if about == "" {
				about = one.Subject
			}
			sheet.say("%s  %-16s  %-19s  %-24s  %-9s  %-8d  %s", one.ID, one.Received.UTC().Format("2006-01-02 15:04"), one.Door, one.Kind, one.Outcome, one.Sessions, about)
		}
	})
}

// showSignal shows one receipt.
type showSignal struct {
	inWorkspace `embed:""`
	Signal      string `arg:"" help:"Id of the signal."`
}

func (g showSignal) Run(ctx context.Context, terminal terminal) error {
	id, err := core.ParseID(g.Signal)
	if err != nil {
		return err
	}
	s, err := g.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := s.signals().Read(ctx, s.db, s.workspace.ID, id)
	if err != nil {
		return err
	}
	return g.show(terminal, signalRowOf(found), func(sheet sheet) { sheet.signal(found) })
}

// signal prints a receipt.
func (s sheet) signal(k signals.Kept) {
	s.say("%s said by %s: %s", k.Kind, k.Actor, k.Outcome)
	if k.Note != "" {
		s.say("%s", k.Note)
	}
	s.say("\nWhat was said")
	for _, one := range []struct{ name, value string }{
		{"door", string(k.Door)}, {"subject", k.Subject}, {"session", k.SID}, {"issuer", k.Evidence.Issuer}, {"token id", k.Evidence.TokenID},
		{"type", k.Evidence.Type}, {"digest of the claims", hex.EncodeToString(k.Evidence.Digest)}, {"transaction", k.Transaction},
		{"quirks", strings.Join(k.Evidence.Quirks, ", ")},
	} {
		if one.value != "" {
			s.row(one.name, one.value)
		}
	}
	s.say("\nWhat it did")
	s.row("people", strings.Join(k.Names, ", "))
	s.row("sessions ended", fmt.Sprint(k.Sessions))
	s.row("commands", joined(k.Commands))
	if len(k.Waiting) > 0 {
		s.row("wait for a decision", joined(k.Waiting)+", hold "+k.Hold.String())
	}
	if !k.Duplicate.IsZero() {
		s.row("told first by", k.Duplicate.String())
	}
	s.row("rotations", fmt.Sprintf("%d, %d not done yet", len(k.Rotations), k.Open))
	s.say("\nHow long it took")
	s.row("occurred", k.Occurred.UTC().Format(time.RFC3339))
	s.row("received", k.Received.UTC().Format(time.RFC3339))
	s.row("sessions dead after", k.ToEffect().Round(time.Microsecond).String())
	if k.Rotated != nil {
		s.row("last password dead after", k.ToRotated().Round(time.Millisecond).String())
	}
	s.row("story", "GET /events?correlation="+k.Correlation.String())
}

func joined(commands []signals.Command) string {
	texts := make([]string, len(commands))
	for i, one := range commands {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}

// liftRestriction ends what signals left with a user.
type liftRestriction struct {
	oneUser `embed:""`
}

func (l liftRestriction) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := l.find(ctx, s)
	if err != nil {
		return err
	}
	if err := s.signals().LiftRestriction(ctx, s.cause, s.workspace.ID, found.ID); err != nil {
		return err
	}
	return l.show(terminal, struct {
		ID       core.ID `json:"id"`
		UserName string  `json:"user_name"`
	}{found.ID, found.UserName}, func(sheet sheet) { sheet.say("%s is not restricted.", found.Name()) })
}
