package cli

import (
	"context"
	"fmt"
	"time"

	"postern/core"
	"postern/core/lifecycle"
	"postern/core/rotation"
)

type holdCommands struct {
	List    listHolds   `cmd:"" help:"List the mass departures that wait for a decision."`
	Show    showHold    `cmd:"" help:"Show whose departures wait."`
	Approve approveHold `cmd:"" help:"They left: take their access, rotate what they saw."`
	Reject  rejectHold  `cmd:"" help:"It was a mistake: take nothing."`
}

// holdRow is a hold in a list.
type holdRow struct {
	ID         core.ID    `json:"id"`
	Connection string     `json:"connection"`
	Opened     time.Time  `json:"opened"`
	LetGo      int        `json:"let_go"`
	People     int        `json:"people"`
	Waiting    int        `json:"waiting"`
	Deleted    int        `json:"deleted"`
	Active     int        `json:"active"`
	Share      int        `json:"share"`
	Floor      int        `json:"floor"`
	Decided    *time.Time `json:"decided,omitempty"`
	Decision   string     `json:"decision,omitempty"`
	DecidedBy  string     `json:"decided_by,omitempty"`
}

func holdRowOf(hold lifecycle.Hold) holdRow {
	return holdRow{
		hold.ID, hold.ConnectionName, hold.Opened, hold.LetGo, hold.People, hold.Waiting, hold.Deleted, hold.Active, hold.Share, hold.Floor, hold.Decided, hold.Decision, hold.DecidedBy,
	}
}

// state says whether a hold waits, or what was decided.
func (h holdRow) state() string {
	if h.Decided == nil {
		return "waits"
	}
	return h.Decision + " by " + h.DecidedBy
}

// departures is what decides about holds.
func (s *setup) departures() *lifecycle.Lifecycle {
	logins := s.logins()
	return &lifecycle.Lifecycle{
		DB: s.db, Directory: s.people, Accounts: logins, Rotations: &rotation.Rotations{DB: s.db, Accounts: logins, Queue: s.queue},
	}
}

// hold finds a hold by its id; without one, the only one that waits.
func (s *setup) hold(ctx context.Context, given string) (lifecycle.Hold, error) {
	all, err := s.departures().Holds(ctx, s.db, s.workspace.ID, given == "")
	if err != nil {
		return lifecycle.Hold{}, err
	}
	if given == "" && len(all) > 1 {
		return lifecycle.Hold{}, core.Invalid("hold", "%d holds wait: say which ('postern hold list' shows their ids)", len(all))
	}
	for _, one := range all {
		if given == "" || one.ID.String() == given {
			return one, nil
		}
	}
	if given == "" {
		return lifecycle.Hold{}, &core.Error{Kind: core.KindNotFound, Message: "nothing waits for a decision"}
	}
	return lifecycle.Hold{}, core.NotFound("hold")
}

// listHolds shows what waits.
type listHolds struct {
	inWorkspace `embed:""`
	All         bool `help:"Those that were decided, too."`
}

// Help is shown by 'postern hold list --help'.
func (listHolds) Help() string {
	return `When more people of one identity provider leave within an hour than its guard lets through (see --guard-share of 'postern connection update'), their sessions die at once, but nothing else is taken until somebody decides.

  postern hold list --workspace acme
  postern hold show --workspace acme                 who they are
  postern hold approve --workspace acme              they did leave
  postern hold reject --workspace acme               a mistake`
}

func (l listHolds) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := s.departures().Holds(ctx, s.db, s.workspace.ID, !l.All)
	if err != nil {
		return err
	}
	rows := make([]holdRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, holdRowOf(one))
	}
	return l.show(terminal, map[string]any{"holds": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("no holds")
			return
		}
		sheet.say("%-36s  %-16s  %-16s  %-5s  %-5s  %s", "HOLD", "CONNECTION", "SINCE (UTC)", "LEFT", "WAIT", "STATE")
		for _, one := range rows {
			sheet.say("%s  %-16s  %-16s  %-5d  %-5d  %s", one.ID, one.Connection, one.Opened.UTC().Format("2006-01-02 15:04"), one.LetGo+one.People, one.Waiting, one.state())
		}
	})
}

// oneHold is part of every command about one hold.
type oneHold struct {
	inWorkspace `embed:""`
	Hold        string `arg:"" optional:"" help:"Id of the hold; the only one that waits when left out."`
}

// showHold lists the people.
type showHold struct {
	oneHold `embed:""`
	Limit   int `help:"How many people to list." default:"1000" placeholder:"N"`
}

// heldRow is somebody in a list.
type heldRow struct {
	User     core.ID   `json:"user"`
	UserName string    `json:"user_name"`
	At       time.Time `json:"at"`
	Deleted  bool      `json:"deleted"`
	State    string    `json:"state"`
}

func (h showHold) Run(ctx context.Context, terminal terminal) error {
	s, err := h.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	hold, err := s.hold(ctx, h.Hold)
	if err != nil {
		return err
	}
	people, err := s.departures().HeldUsers(ctx, s.db, s.workspace.ID, hold.ID, h.Limit)
	if err != nil {
		return err
	}
	rows := make([]heldRow, 0, len(people))
	for _, one := range people {
		rows = append(rows, heldRow{one.User, one.UserName, one.At, one.Deleted, string(one.State)})
	}
	row := holdRowOf(hold)
	return h.show(terminal, struct {
		holdRow
		Users []heldRow `json:"users"`
	}{row, rows}, func(sheet sheet) {
		sheet.say("%d people of %s left, too many within an hour: %d were let go, %d held, %d wait. State: %s.\n",
			row.LetGo+row.People, row.Connection, row.LetGo, row.People, row.Waiting, row.state())
		sheet.row("hold", row.ID.String())
		sheet.row("since", row.Opened.UTC().Format(time.DateTime)+" UTC")
		sheet.row("were active", fmt.Sprint(row.Active))
		sheet.row("may leave unasked", fmt.Sprintf("%d %% and %d people", row.Share, row.Floor))
		sheet.say("\n%-40s  %-16s  %-11s  %s", "USER", "LEFT (UTC)", "WAS", "STATE")
		for _, one := range rows {
			was := "deactivated"
			if one.Deleted {
				was = "deleted"
			}
			sheet.say("%-40s  %-16s  %-11s  %s", one.UserName, one.At.UTC().Format("2006-01-02 15:04"), was, one.State)
		}
		if row.Decided == nil {
			sheet.say("\nTheir sessions are dead; nothing else is taken until you decide:")
			sheet.say("  postern hold approve %s --workspace %s", row.ID, s.workspace.Slug)
			sheet.say("  postern hold reject %s --workspace %s", row.ID, s.workspace.Slug)
		}
	})
}

// approveHold lets the departures go on.
type approveHold struct {
	oneHold `embed:""`
}

// Help is shown by 'postern hold approve --help'.
func (approveHold) Help() string {
	return `The worker of 'postern serve' takes the access of everybody who is still away and has what they saw rotated. What is taken does not come back by itself.`
}

func (a approveHold) Run(ctx context.Context, terminal terminal) error {
	return a.decide(ctx, terminal, (*lifecycle.Lifecycle).ApproveHold, "Approved: access is taken from everybody of %s who is still away.")
}

// rejectHold calls the departures a mistake.
type rejectHold struct {
	oneHold `embed:""`
}

// Help is shown by 'postern hold reject --help'.
func (rejectHold) Help() string {
	return `Nothing is taken from anybody. Whom the identity provider deleted is restored; everybody stays shut out until it makes them active again, and then has all they had.`
}

func (r rejectHold) Run(ctx context.Context, terminal terminal) error {
	return r.decide(ctx, terminal, (*lifecycle.Lifecycle).RejectHold, "Rejected: nothing is taken from anybody of %s.")
}

func (o oneHold) decide(ctx context.Context, terminal terminal, how func(*lifecycle.Lifecycle, context.Context, core.Cause, core.ID, core.ID) error, said string) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	hold, err := s.hold(ctx, o.Hold)
	if err != nil {
		return err
	}
	if err := how(s.departures(), ctx, s.cause, s.workspace.ID, hold.ID); err != nil {
		return err
	}
	after, err := s.hold(ctx, hold.ID.String())
	if err != nil {
		return err
	}
	return o.show(terminal, holdRowOf(after), func(sheet sheet) { sheet.say(said, hold.ConnectionName) })
}
