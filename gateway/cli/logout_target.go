package cli

import (
	"context"
	"slices"

	"postern/core"
	"postern/gateway"
	"postern/webhooks/delivery"
	"postern/webhooks/outlogout"
)

type logoutTargetCommands struct {
	Add    addLogoutTarget    `cmd:"" help:"Have an app told when somebody is logged out everywhere or leaves."`
	List   listLogoutTargets  `cmd:"" help:"List the apps that are told, and how it goes."`
	Show   showLogoutTarget   `cmd:"" help:"Print a logout target, with what it did not take."`
	State  setLogoutTarget    `cmd:"" help:"Let it run, pause it or disable it."`
	Retry  retryLogoutTarget  `cmd:"" help:"Send dead letters again."`
	Remove removeLogoutTarget `cmd:"" help:"Tell an app no more."`
}

// logoutTargetRow is a target and how it goes.
type logoutTargetRow struct {
	ID            core.ID `json:"id"`
	Name          string  `json:"name"`
	Kind          string  `json:"kind"`
	Address       string  `json:"address"`
	ClientID      string  `json:"client_id"`
	SubjectFormat string  `json:"subject_format"`
	Issuer        string  `json:"issuer"`
	State         string  `json:"state"`
	Reason        string  `json:"reason,omitempty"`
	Waiting       int     `json:"waiting"`
	DeadLetters   int     `json:"dead_letters"`
	LastError     string  `json:"last_error,omitempty"`
	Letters       []dead  `json:"letters,omitempty"` // with show
}

func (o toOthers) logouts(ctx context.Context, work func(s *setup, l *outlogout.Service) error) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := gateway.CheckPublicURL(o.PublicURL); err != nil {
		return flag("--public-url", err)
	}
	return work(s, &outlogout.Service{DB: s.db, Directory: s.people, Deliveries: &delivery.Deliveries{DB: s.db}, PublicURL: o.PublicURL, AllowPrivate: o.AllowPrivate})
}

func logoutTargetRowOf(ctx context.Context, s *setup, l *outlogout.Service, one outlogout.Target) (logoutTargetRow, error) {
	row := logoutTargetRow{
		ID: one.ID, Name: one.Name, Kind: one.Kind, Address: one.Address, ClientID: one.ClientID, SubjectFormat: one.SubjectFormat, Issuer: l.Issuer(one.Workspace),
	}
	lane, err := l.Deliveries.Lane(ctx, s.db, one.Workspace, one.ID)
	if err != nil {
		return row, err
	}
	backlog, err := l.Deliveries.Backlog(ctx, s.db, one.Workspace, one.ID)
	row.State, row.Reason, row.LastError, row.Waiting, row.DeadLetters = string(lane.State), lane.Reason, lane.LastError, backlog.Waiting, backlog.Dead
	return row, err
}

func (s sheet) logoutTarget(row logoutTargetRow) {
	s.say("Logout target %s", row.Name)
	for _, one := range [][2]string{
		{"id", row.ID.String()}, {"kind", row.Kind}, {"address", row.Address}, {"client id", row.ClientID}, {"knows people by", row.SubjectFormat},
		{"issuer of our tokens", row.Issuer}, {"state", row.State}, {"reason", row.Reason}, {"last error", row.LastError},
	} {
		if one[1] != "" {
			s.row(one[0], one[1])
		}
	}
	s.say("  %d waiting, %d dead letters", row.Waiting, row.DeadLetters)
	s.letters(row.Letters)
}

// addLogoutTarget registers an app.
type addLogoutTarget struct {
	toOthers      `embed:""`
	Name          string `arg:"" help:"What it is called here."`
	Address       string `arg:"" help:"Where the app takes logouts."`
	Kind          string `help:"back_channel: an OpenID Connect logout token. global_token_revocation: what Okta Universal Logout calls." enum:"back_channel,global_token_revocation" default:"back_channel"`
	ClientID      string `name:"client-id" help:"What the app calls itself at its identity provider: aud of a logout token, sub of a revocation's." required:"" placeholder:"ID"`
	SubjectFormat string `help:"How the app knows people: email, iss_sub, user_id or external_id." enum:"email,iss_sub,user_id,external_id" default:"email"`
}

// Help is shown by 'postern logout-target add --help'.
func (addLogoutTarget) Help() string {
	return `An app that is told ends a person's sessions when an administrator logs them out everywhere, when a signal does by policy, and when they leave. It is sent a token signed by the workspace's key: the app has to trust the issuer, and to read keys from /jwks/ and the workspace's id.

  postern logout-target add Wiki https://wiki.example.com/backchannel-logout --workspace acme --client-id wiki
  postern logout-target add Shop https://shop.example.com/revoke --workspace acme --kind global_token_revocation --client-id 0oa1`
}

func (a addLogoutTarget) Run(ctx context.Context, terminal terminal) error {
	return a.logouts(ctx, func(s *setup, l *outlogout.Service) error {
		made, err := l.Add(ctx, s.cause, outlogout.Target{
			Workspace: s.workspace.ID, Name: a.Name, Kind: a.Kind, Address: a.Address, ClientID: a.ClientID, SubjectFormat: a.SubjectFormat,
		})
		if err != nil {
			return err
		}
		row, err := logoutTargetRowOf(ctx, s, l, made)
		if err != nil {
			return err
		}
		return a.show(terminal, row, func(sheet sheet) { sheet.logoutTarget(row) })
	})
}

type listLogoutTargets struct {
	toOthers `embed:""`
}

func (t listLogoutTargets) Run(ctx context.Context, terminal terminal) error {
	return t.logouts(ctx, func(s *setup, l *outlogout.Service) error {
		all, err := l.Targets(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		rows := make([]logoutTargetRow, 0, len(all))
		for _, one := range all {
			row, err := logoutTargetRowOf(ctx, s, l, one)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return t.show(terminal, map[string]any{"logout_targets": rows}, func(sheet sheet) {
			if len(rows) == 0 {
				sheet.say("No app is told of logouts: postern logout-target add --help")
				return
			}
			sheet.say("%-36s  %-24s  %-23s  %-8s  %7s  %s", "LOGOUT TARGET", "NAME", "BY", "STATE", "WAITING", "DEAD")
			for _, row := range rows {
				sheet.say("%s  %-24s  %-23s  %-8s  %7d  %d", row.ID, row.Name, row.Kind, row.State, row.Waiting, row.DeadLetters)
			}
		})
	})
}

// oneLogoutTarget is part of every command about one of them.
type oneLogoutTarget struct {
	toOthers `embed:""`
	Target   string `arg:"" help:"Its name or id."`
}

func (o oneLogoutTarget) with(ctx context.Context, work func(s *setup, l *outlogout.Service, one outlogout.Target) error) error {
	return o.logouts(ctx, func(s *setup, l *outlogout.Service) error {
		all, err := l.Targets(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(one outlogout.Target) bool { return one.Name == o.Target || one.ID.String() == o.Target })
		if at < 0 {
			return core.NotFound("logout target")
		}
		return work(s, l, all[at])
	})
}

type showLogoutTarget struct {
	oneLogoutTarget `embed:""`
}

func (t showLogoutTarget) Run(ctx context.Context, terminal terminal) error {
	return t.with(ctx, func(s *setup, l *outlogout.Service, one outlogout.Target) error {
		row, err := logoutTargetRowOf(ctx, s, l, one)
		if err != nil {
			return err
		}
		found, err := l.Deliveries.DeadLetters(ctx, s.db, one.Workspace, one.ID, 100)
		if err != nil {
			return err
		}
		row.Letters = lettersOf(found)
		return t.show(terminal, row, func(sheet sheet) { sheet.logoutTarget(row) })
	})
}

type setLogoutTarget struct {
	oneLogoutTarget `embed:""`
	State           string `arg:"" help:"running; paused: logouts wait; disabled: they are not kept." enum:"running,paused,disabled"`
}

func (t setLogoutTarget) Run(ctx context.Context, terminal terminal) error {
	return t.with(ctx, func(s *setup, l *outlogout.Service, one outlogout.Target) error {
		if err := l.SetState(ctx, s.cause, s.workspace.ID, one.ID, delivery.State(t.State), ""); err != nil {
			return err
		}
		return t.show(terminal, map[string]any{"id": one.ID, "state": t.State}, func(sheet sheet) { sheet.say("%s is %s.", one.Name, t.State) })
	})
}

type retryLogoutTarget struct {
	oneLogoutTarget `embed:""`
	Letter          string `help:"Only this one; all of them when left out." placeholder:"ID"`
}

func (t retryLogoutTarget) Run(ctx context.Context, terminal terminal) error {
	id, err := letter(t.Letter)
	if err != nil {
		return err
	}
	return t.with(ctx, func(s *setup, l *outlogout.Service, one outlogout.Target) error {
		count, err := l.Retry(ctx, s.cause, s.workspace.ID, one.ID, id)
		if err != nil {
			return err
		}
		return t.show(terminal, map[string]any{"messages": count}, func(sheet sheet) { sheet.say("%d logouts are sent again.", count) })
	})
}

type removeLogoutTarget struct {
	oneLogoutTarget `embed:""`
}

func (t removeLogoutTarget) Run(ctx context.Context, terminal terminal) error {
	return t.with(ctx, func(s *setup, l *outlogout.Service, one outlogout.Target) error {
		if err := l.Delete(ctx, s.cause, s.workspace.ID, one.ID); err != nil {
			return err
		}
		return t.show(terminal, map[string]any{"id": one.ID}, func(sheet sheet) { sheet.say("%s is told of no logouts any more.", one.Name) })
	})
}
