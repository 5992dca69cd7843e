package replay

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
)

// step is what requests build on and none of them tells of: an account came to be, somebody else than
// the connection gave somebody access to it or took it back, or the connection did so before the journal.
type step struct {
	at      time.Time
	what    deed
	account account
	grant   grant
}

// deed is what a step does. Of one moment they happen in this order: sharing again takes, then gives.
type deed int

const (
	makes deed = iota
	takes
	gives
)

// account is a login that entitlements are about.
type account struct {
	ID       core.ID   `db:"id"`
	App      string    `db:"app_name"`
	Username string    `db:"username"`
	Created  time.Time `db:"created"`
}

// grant is somebody's own access to an account.
type grant struct {
	ID      core.ID       `db:"id"`
	Account core.ID       `db:"account_id"`
	User    core.ID       `db:"user_id"`
	Role    accounts.Role `db:"role"`
	Created time.Time     `db:"created"`
	Expires *time.Time    `db:"expires"`
	Revoked *time.Time    `db:"revoked"`
	Given   bool          `db:"given"` // by the connection
}

// asked is that a request about somebody names an account.
type asked struct{ user, account core.ID }

const selectAccounts = `
select a.id, p.name as app_name, a.username, a.created
from accounts a join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where a.workspace_id = @workspace and (a.id = any(@known::uuid[]) or exists (
	select from grants g where g.workspace_id = a.workspace_id and g.account_id = a.id and g.user_id = any(@known::uuid[])))`

const selectGiven = `
select g.id, g.account_id, g.user_id, g.role, g.created, g.expires, g.revoked, coalesce(g.giver ->> 'id' = @connection::text, false) as given
from grants g
where g.workspace_id = @workspace and g.user_id = any(@known::uuid[])
	and (g.revoked is null or g.revoked > @first) and (g.expires is null or g.expires > @first)`

// prepare finds the steps between the requests, if the connection grants at all.
func (p *player) prepare(ctx context.Context) error {
	if !p.connection.Provisioning.Entitlements || p.total == 0 {
		return nil
	}
	args := pgx.StrictNamedArgs{"workspace": p.workspace, "known": slices.Concat(slices.Collect(maps.Keys(p.made)), slices.Collect(maps.Keys(p.mentions)))}
	logins, err := postgres.Many[account](ctx, p.live, selectAccounts, args)
	if err != nil {
		return err
	}
	args["connection"], args["first"] = p.connection.ID.String(), p.first
	grants, err := postgres.Many[grant](ctx, p.live, selectGiven, args)
	if err != nil {
		return err
	}
	if err := p.scratch.shelter(ctx, logins); err != nil {
		return err
	}
	for _, one := range logins {
		p.steps = append(p.steps, step{at: one.Created, what: makes, account: one})
	}
	for _, one := range grants {
		if one.Given && p.asked[asked{one.User, one.Account}] && !one.Created.Before(p.first) {
			continue // by a request that is played
		}
		p.steps = append(p.steps, step{at: one.Created, what: gives, grant: one})
		if one.Revoked != nil {
			p.steps = append(p.steps, step{at: *one.Revoked, what: takes, grant: one})
		}
	}
	slices.SortStableFunc(p.steps, func(one, other step) int {
		return cmp.Or(one.at.Compare(other.at), cmp.Compare(one.what, other.what), cmp.Compare(one.grant.ID.String(), other.grant.ID.String()))
	})
	return nil
}

// catchUp takes the steps up to a time. What the scratch refuses is not taken and told.
func (p *player) catchUp(ctx context.Context, until time.Time) error {
	for len(p.steps) > 0 && !p.steps[0].at.After(until) {
		next := p.steps[0]
		p.steps = p.steps[1:]
		p.scratch.at.Store(&next.at)
		err := p.scratch.db.Tx(ctx, func(tx pgx.Tx) error { return p.take(ctx, tx, next) })
		switch kind := core.KindOf(err); {
		case err == nil || kind == core.KindNotFound: // taken back already
		case kind == core.KindInvalid || kind == core.KindConflict:
			p.report.Seeded = append(p.report.Seeded, Seeded{Kind: "grant", ID: next.grant.ID, Name: next.account.Username, Reason: "not taken: " + core.AsError(err).Message})
		default:
			return err
		}
	}
	return nil
}

// take does one step in the scratch. Everything there has an owner of its own beside those it had, who
// is nobody's and never leaves: what an account passes on to is a step as well.
func (p *player) take(ctx context.Context, tx pgx.Tx, next step) error {
	s := p.scratch
	cause := core.NewCause(core.System, next.at)
	inside := func(id core.ID) core.ID {
		if other, known := p.scratchOf[id.String()]; known {
			id, _ = core.ParseID(other)
		}
		return id
	}
	switch next.what {
	case makes:
		made, err := s.account(ctx, tx, cause, next.account)
		if err != nil {
			return err
		}
		p.scratchOf[next.account.ID.String()], p.liveOf[made.String()] = made.String(), next.account.ID.String()
		p.report.Seeded = append(p.report.Seeded, Seeded{Kind: "account", ID: next.account.ID, Name: next.account.App + " (" + next.account.Username + ")"})
		return nil
	case gives:
		given, err := s.accounts.Share(ctx, tx, cause, s.workspace, inside(next.grant.Account), accounts.Sharing{
			Subject: accounts.Subject{User: inside(next.grant.User)}, Role: next.grant.Role, Expires: next.grant.Expires,
		})
		p.scratchOf[next.grant.ID.String()] = given.ID.String()
		return err
	case takes:
	}
	return s.accounts.Unshare(ctx, tx, cause, s.workspace, inside(next.grant.ID))
}

// shelter makes what accounts need: somebody who owns them all, and the apps they are in.
func (s *scratch) shelter(ctx context.Context, logins []account) error {
	return s.db.Tx(ctx, func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, *s.at.Load())
		s.apps = map[string]core.ID{}
		owner, err := s.directory.InsertUser(ctx, tx, directory.User{Workspace: s.workspace, UserName: "owner@replay.invalid", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		s.owner = owner.ID
		for _, one := range logins {
			if _, made := s.apps[one.App]; made {
				continue
			}
			app, err := s.accounts.CreateApp(ctx, tx, cause, s.workspace, accounts.NewApp{
				Name: one.App, Domains: []string{"replay.invalid"}, SignInURL: publicURL + "/", Connector: "browser",
			})
			if err != nil {
				return err
			}
			s.apps[one.App] = app.ID
		}
		return nil
	})
}

// account makes a login that looks like the live one and opens nothing.
func (s *scratch) account(ctx context.Context, tx pgx.Tx, cause core.Cause, like account) (core.ID, error) {
	made, err := s.accounts.CreateAccount(ctx, tx, cause, s.workspace, accounts.NewAccount{
		App: s.apps[like.App], Username: like.Username, Password: seal.NewSecret("none: this is a replay"), Owner: s.owner,
	})
	return made.ID, err
}
