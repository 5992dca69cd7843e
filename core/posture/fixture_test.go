package posture_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/posture"
	"postern/core/seal"
	"postern/core/services"
)

// world is posture over every slice.
type world struct {
	*posture.Posture
	core  *coretest.Core
	clock *coretest.Clock
}

// house is a workspace with two apps, people and a team.
type house struct {
	world
	id     core.ID
	system core.Cause
	people map[string]directory.User
	teams  map[string]core.ID
	apps   []accounts.App
	made   int
}

var morning = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func open(t testing.TB) world {
	t.Helper()
	c := coretest.NewClock(morning)
	all := coretest.Open(t, c.Now)
	w := world{core: all, clock: c}
	w.Posture = w.another(t)
	return w
}

// another is what another process would use.
func (w world) another(t testing.TB) *posture.Posture {
	t.Helper()
	queue, err := jobs.NewQueue(w.core.DB, nil)
	coretest.Must(t, err)
	return &posture.Posture{DB: w.core.DB, Accounts: w.core.Accounts, Lifecycle: w.core.Lifecycle, Queue: queue, Mail: true, Now: w.clock.Now}
}

// pair is a workspace to work in and another one, with the same names and the same faults in it, that nothing may touch.
func pair(t testing.TB) (*house, *house) {
	t.Helper()
	w := open(t)
	other := w.house(t, "other")
	other.faulty(t)
	return w.house(t, "acme"), other
}

func (w world) house(t testing.TB, slug string) *house {
	t.Helper()
	h := &house{world: w, system: core.NewCause(core.System, w.clock.Now()), people: map[string]directory.User{}, teams: map[string]core.ID{}}
	w.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := w.core.Directory.CreateWorkspace(ctx, tx, h.system, slug, slug)
		if err != nil {
			return err
		}
		h.id, h.apps = made.ID, nil
		for name, role := range map[string]directory.Role{
			"ana": directory.RoleUser, "ben": directory.RoleUser, "ada": directory.RoleAdmin, "gus": directory.RoleGuest, "leo": directory.RoleLoginOnly,
		} {
			user, err := w.core.Directory.InsertUser(ctx, tx, directory.User{Workspace: h.id, UserName: name + "@example.com", DisplayName: name, Active: true, Role: role})
			if err != nil {
				return err
			}
			h.people[name] = user
		}
		for _, name := range []string{"ops", "empty"} {
			team, err := w.core.Directory.InsertTeam(ctx, tx, directory.Team{ID: core.NewID(), Workspace: h.id, DisplayName: name})
			if err != nil {
				return err
			}
			h.teams[name] = team.ID
		}
		if _, err := w.core.Directory.AddMembers(ctx, tx, h.id, h.teams["ops"], []core.ID{h.people["ben"].ID}); err != nil {
			return err
		}
		for _, name := range []string{"Harbour", "Wiki"} {
			app, err := w.core.Accounts.CreateApp(ctx, tx, h.system, h.id, accounts.NewApp{
				Name: name, Domains: []string{"app.example.com"}, SignInURL: "https://app.example.com/", Connector: "browser",
			})
			if err != nil {
				return err
			}
			h.apps = append(h.apps, app)
		}
		return nil
	})
	return h
}

// account adds one that ana owns, with a password.
func (h *house) account(t testing.TB, password string) accounts.Account {
	t.Helper()
	var made accounts.Account
	h.made++
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = h.core.Accounts.CreateAccount(ctx, tx, h.system, h.id, accounts.NewAccount{
			App: h.apps[h.made%2].ID, Username: fmt.Sprint("shared", h.made), Password: seal.NewSecret(password), Owner: h.people["ana"].ID,
		})
		return err
	})
	return made
}

// strong is a password nobody else has.
func strong() string { return seal.GeneratePassword(seal.PasswordPolicy{}).Reveal() }

func (h *house) share(t testing.TB, account core.ID, subject accounts.Subject, role accounts.Role, expires *time.Time) {
	t.Helper()
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.core.Accounts.Share(ctx, tx, h.system, h.id, account, accounts.Sharing{Subject: subject, Role: role, Expires: expires})
		return err
	})
}

func (h *house) as(name string) core.Cause {
	return core.NewCause(h.people[name].Actor(), h.clock.Now())
}

// orphan takes an account's owners as if they had left.
func (h *house) orphan(t testing.TB, accounts ...core.ID) {
	t.Helper()
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `update grants set revoked = @now, revoke_cause = 'left' where workspace_id = @workspace and account_id = any(@accounts)`,
			pgx.StrictNamedArgs{"now": h.clock.Now(), "workspace": h.id, "accounts": accounts}); err != nil {
			return err
		}
		_, err := h.core.Accounts.CheckOwners(ctx, tx, h.system, h.id, accounts...)
		return err
	})
}

func (h *house) exec(t testing.TB, query string, args pgx.StrictNamedArgs) {
	t.Helper()
	all := pgx.StrictNamedArgs{"workspace": h.id}
	for name, value := range args {
		all[name] = value
	}
	_, err := h.DB.Exec(t.Context(), query, all)
	coretest.Must(t, err)
}

func (h *house) state(t testing.TB, account core.ID, state accounts.State) {
	t.Helper()
	h.exec(t, `update accounts set state = @state, state_since = created where workspace_id = @workspace and id = @account`, pgx.StrictNamedArgs{"state": string(state), "account": account})
}

func (h *house) count(t testing.TB, query string, args pgx.StrictNamedArgs) int {
	t.Helper()
	return h.core.Count(t, h.id, query, args)
}

func (h *house) events(t testing.TB, kind core.EventType) int {
	t.Helper()
	return h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type`, pgx.StrictNamedArgs{"type": string(kind)})
}

// faulty makes one finding of every kind, each of an account of its own where it can be.
func (h *house) faulty(t testing.TB) map[posture.Kind]core.ID {
	t.Helper()
	of := map[posture.Kind]core.ID{}
	for _, state := range []accounts.State{accounts.AtRisk, accounts.Desynced, accounts.AppDisabled, accounts.Unmanaged, accounts.DesyncSuspected} {
		one := h.account(t, strong()).ID
		of[posture.Kind(state)] = one
		h.state(t, one, state)
	}
	fine := func(password string) core.ID {
		one := h.account(t, password).ID
		h.state(t, one, accounts.Validated)
		return one
	}
	of[posture.Unvalidated] = h.account(t, strong()).ID
	of[posture.Orphaned] = fine(strong())
	h.orphan(t, of[posture.Orphaned])
	same := strong()
	of[posture.PasswordReused] = fine(same)
	fine(same)
	of[posture.PasswordWeak] = fine("Summer2026!")
	of[posture.PasswordStale] = fine(strong())
	h.exec(t, `update accounts set created = @old where workspace_id = @workspace and id = @account`,
		pgx.StrictNamedArgs{"old": h.clock.Now().Add(-posture.StaleAfter - time.Hour), "account": of[posture.PasswordStale]})
	of[posture.RotationFailing] = fine(strong())
	h.exec(t, `insert into rotations (id, workspace_id, account_id, reason, cause, priority, state, detail, created, updated)
		values (gen_random_uuid(), @workspace, @account, 'manual', '{}', 2, 'blocked', 'the app asks something only a person can answer', @now, @now)`,
		pgx.StrictNamedArgs{"account": of[posture.RotationFailing], "now": h.clock.Now()})
	of[posture.GrantEnding] = fine(strong())
	h.share(t, of[posture.GrantEnding], accounts.Subject{User: h.people["ben"].ID}, accounts.Collaborator, new(h.clock.Now().Add(time.Hour)))
	// Cy was deactivated: of those who answer for partners, one is there no more.
	h.exec(t, `insert into users (id, workspace_id, user_name, active, role, created, updated)
		values (gen_random_uuid(), @workspace, 'cy', false, 'user', @now, @now)`, pgx.StrictNamedArgs{"now": h.clock.Now()})
	h.exec(t, `insert into partners (id, workspace_id, name, sponsor_id, ends, ended, created)
		select gen_random_uuid(), @workspace, p.name, u.id, p.ends, p.ended, @now
		from (values ('Auditors', 'cy', null::timestamptz, null::timestamptz), ('Kept', 'ana', null, null), ('Ended', 'cy', null, @now), ('Over', 'cy', @now, null)) p (name, sponsor, ends, ended)
		join users u on u.workspace_id = @workspace and u.user_name = p.sponsor`, pgx.StrictNamedArgs{"now": h.clock.Now()})
	of[posture.LinkOld] = fine(strong())
	h.exec(t, `insert into links (id, workspace_id, account_id, owner_id, hash, level, recipients, domains, once, device_lock, purpose, linger, created, expires, due, look)
		values (gen_random_uuid(), @workspace, @account, @owner, uuid_send(gen_random_uuid()), 'filled', '{kim@example.com}', '{}', false, false, 'audit', '0', @created, @due, @due, @due)`,
		pgx.StrictNamedArgs{"account": of[posture.LinkOld], "owner": h.people["ana"].ID, "created": h.clock.Now().Add(-8 * 24 * time.Hour), "due": h.clock.Now().Add(time.Hour)})
	h.exec(t, `insert into dry_runs (workspace_id, app_id, asked, result, outcome, detail, failing_since)
		values (@workspace, @app, @now, 'failed', 'form_not_found', 'the form has gone', @now)`, pgx.StrictNamedArgs{"app": h.apps[0].ID, "now": h.clock.Now()})
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := h.core.Directory.CreateServiceAccount(ctx, tx, h.system, h.id, "robot", nil)
		if err != nil {
			return err
		}
		_, err = h.core.Directory.CreateServiceAccountToken(ctx, tx, h.system, h.id, made.ID, new(h.clock.Now().Add(24*time.Hour)))
		return err
	})
	for kind, found := range map[posture.Kind]services.FindingKind{
		posture.ServiceOwnerless: services.Ownerless, posture.ServiceMisused: services.InteractiveUse, posture.ServiceExpiring: services.ExpiresSoon,
		posture.ServiceOneOwner: services.OneOwner, posture.ServiceUnusual: services.NewNetwork, posture.ServiceKnown: services.KnownByLeaver,
	} {
		of[kind] = h.service(t, "service "+string(found))
		h.odd(t, of[kind], found, "10.1.2.0/24", "open")
	}
	return of
}

// service adds a service account.
func (h *house) service(t testing.TB, name string) core.ID {
	t.Helper()
	var id core.ID
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := h.core.Directory.CreateServiceAccount(ctx, tx, h.system, h.id, name, nil)
		id = made.ID
		return err
	})
	return id
}

// odd has core/services tell something of a service account.
func (h *house) odd(t testing.TB, service core.ID, kind services.FindingKind, cause, state string) {
	t.Helper()
	h.exec(t, `insert into service_findings (id, workspace_id, service_account_id, kind, cause, detail, state, opened)
		values (@id, @workspace, @service, @kind, @cause, @detail, @state, @now)`,
		pgx.StrictNamedArgs{"id": core.NewID(), "service": service, "kind": string(kind), "cause": cause, "detail": "told of " + cause, "state": state, "now": h.clock.Now()})
}

// findings are what is found, read in pages of a size: kind and username or name, in their order.
func (h *house) findings(t testing.TB, filter posture.Filter, size int) []posture.Finding {
	t.Helper()
	var all []posture.Finding
	for after := ""; ; {
		found, next, err := h.Findings(t.Context(), h.DB, h.id, posture.Query{Filter: filter, Limit: size, After: after})
		coretest.Must(t, err)
		if len(found) > size {
			t.Fatalf("%d on a page of %d", len(found), size)
		}
		all = append(all, found...)
		if next == "" {
			return all
		}
		after = next
	}
}

func kindsOf(found []posture.Finding) string {
	var all []string
	for _, one := range found {
		all = append(all, string(one.Kind))
	}
	return strings.Join(slices.Compact(all), " ")
}
