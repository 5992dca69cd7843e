package cli

import (
	"context"
	"time"

	"postern/core"
	"postern/core/signals"
)

type signalHoldCommands struct {
	List    listSignalHolds   `cmd:"" help:"List the crowds of signals that wait for a decision."`
	Approve approveSignalHold `cmd:"" help:"They are meant: do what waits."`
	Reject  rejectSignalHold  `cmd:"" help:"It was a mistake: never do what waits."`
}

// signalHoldRow is a hold in a list.
type signalHoldRow struct {
	ID         core.ID    `json:"id"`
	Connection string     `json:"connection"`
	Opened     time.Time  `json:"opened"`
	LetGo      int        `json:"let_go"`
	Signals    int        `json:"signals"`
	Waiting    int        `json:"waiting"`
	Active     int        `json:"active"`
	Share      int        `json:"share"`
	Floor      int        `json:"floor"`
	Decided    *time.Time `json:"decided,omitempty"`
	Decision   string     `json:"decision,omitempty"`
	DecidedBy  string     `json:"decided_by,omitempty"`
}

func signalHoldRowOf(h signals.Hold) signalHoldRow {
	return signalHoldRow{h.ID, h.ConnectionName, h.Opened, h.LetGo, h.Signals, h.Waiting, h.Active, h.Share, h.Floor, h.Decided, h.Decision, h.DecidedBy}
}

// listSignalHolds shows what waits.
type listSignalHolds struct {
	inWorkspace `embed:""`
	All         bool `help:"Those that were decided, too."`
}

// Help is shown by 'postern signal hold list --help'.
func (listSignalHolds) Help() string {
	return `When signals of one identity provider mean more people within an hour than its guard lets through (see --guard-share of 'postern connection update'), their sessions die at once, but passwords are changed and people removed only once somebody decides.

  postern signal hold list --workspace acme
  postern signal list --outcome held --workspace acme      who they are
  postern signal hold approve --workspace acme             they are meant
  postern signal hold reject --workspace acme              a mistake`
}

func (l listSignalHolds) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := s.signals().Holds(ctx, s.db, s.workspace.ID, !l.All)
	if err != nil {
		return err
	}
	rows := make([]signalHoldRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, signalHoldRowOf(one))
	}
	return l.show(terminal, map[string]any{"holds": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("no holds")
			return
		}
		sheet.say("%-36s  %-16s  %-16s  %-7s  %-5s  %s", "HOLD", "CONNECTION", "SINCE (UTC)", "SIGNALS", "WAIT", "STATE")
		for _, one := range rows {
			state := "waits"
			if one.Decided != nil {
				state = one.Decision + " by " + one.DecidedBy
			}
			sheet.say("%s  %-16s  %-16s  %-7d  %-5d  %s", one.ID, one.Connection, one.Opened.UTC().Format("2006-01-02 15:04"), one.Signals, one.Waiting, state)
		}
	})
}

// oneSignalHold is part of every decision.
type oneSignalHold struct {
	inWorkspace `embed:""`
	Hold        string `arg:"" optional:"" help:"Id of the hold; the only one that waits when left out."`
}

type approveSignalHold struct {
	oneSignalHold `embed:""`
}

func (a approveSignalHold) Run(ctx context.Context, terminal terminal) error {
	return a.decide(ctx, terminal, (*signals.Signals).ApproveHold, "Approved: the worker of 'postern serve' does what waits of %s.")
}

type rejectSignalHold struct {
	oneSignalHold `embed:""`
}

func (r rejectSignalHold) Run(ctx context.Context, terminal terminal) error {
	return r.decide(ctx, terminal, (*signals.Signals).RejectHold, "Rejected: nothing more is done about the signals of %s.")
}

func (o oneSignalHold) decide(ctx context.Context, terminal terminal, how func(*signals.Signals, context.Context, core.Cause, core.ID, core.ID) error, said string) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	hold, err := s.signalHold(ctx, o.Hold)
	if err != nil {
		return err
	}
	if err := how(s.signals(), ctx, s.cause, s.workspace.ID, hold.ID); err != nil {
		return err
	}
	after, err := s.signals().Hold(ctx, s.db, s.workspace.ID, hold.ID)
	if err != nil {
		return err
	}
	return o.show(terminal, signalHoldRowOf(after), func(sheet sheet) { sheet.say(said, hold.ConnectionName) })
}

// signalHold finds a hold by its id; without one, the only one that waits.
func (s *setup) signalHold(ctx context.Context, given string) (signals.Hold, error) {
	if given != "" {
		id, err := core.ParseID(given)
		if err != nil {
			return signals.Hold{}, err
		}
		return s.signals().Hold(ctx, s.db, s.workspace.ID, id)
	}
	open, err := s.signals().Holds(ctx, s.db, s.workspace.ID, true)
	switch {
	case err != nil:
		return signals.Hold{}, err
	case len(open) == 1:
		return open[0], nil
	case len(open) > 1:
		return signals.Hold{}, core.Invalid("hold", "several wait; name one of 'postern signal hold list'")
	}
	return signals.Hold{}, &core.Error{Kind: core.KindNotFound, Message: "nothing waits for a decision"}
}
