package services

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
)

// Account is a service account and what is known of it.
type Account struct {
	ID          core.ID    `db:"id"`
	Workspace   core.ID    `db:"workspace_id"`
	Name        string     `db:"name"`
	Purpose     string     `db:"purpose"`
	Unit        string     `db:"unit"`        // of the organisation
	Risk        int        `db:"risk"`        // 1 to 5: how bad it were in wrong hands
	Sensitivity int        `db:"sensitivity"` // 1 to 5: of the data it works with
	Scopes      []string   `db:"scopes"`      // what it may do in Postern
	Networks    []string   `db:"networks"`    // where it is expected to be; none: where it was before
	Version     int        `db:"version"`
	Created     time.Time  `db:"created"`
	Used        *time.Time `db:"used"`     // nil: never seen
	People      int        `db:"people"`   // living owners that are people
	Teams       int        `db:"teams"`    // owning teams with active members
	Findings    int        `db:"findings"` // that are open
	Reached     int        `db:"reached"`  // risk times sensitivity of its reaches, summed up
}

// Target is the service account as what something happened to.
func (a Account) Target() core.Target {
	return core.Target{Kind: "service_account", ID: a.ID, Name: a.Name}
}

// Owned reports whether it has the owners it must have: two people, or a team with active members.
func (a Account) Owned() bool { return a.People >= 2 || a.Teams > 0 }

// Settings are what an administrator says of a service account.
type Settings struct {
	Name        string
	Purpose     string
	Unit        string
	Risk        int
	Sensitivity int
	Scopes      []string
	Networks    []string // CIDR prefixes
}

// Settings are the account's as they are.
func (a Account) Settings() Settings {
	return Settings{a.Name, a.Purpose, a.Unit, a.Risk, a.Sensitivity, a.Scopes, a.Networks}
}

// The limits of texts, in characters.
const (
	maxName    = 100
	maxPurpose = 500
	// maxNetworks is how many expected networks, and maxOwners how many owners a service account may have.
	maxNetworks = 50
	maxOwners   = 20
)

func checkText(field, text string, least, most int) error {
	length := utf8.RuneCountInString(text)
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || length < least || length > most || strings.TrimSpace(text) != text {
		return core.Invalid(field, "%d to %d characters, without spaces around them", least, most)
	}
	return nil
}

func checkLevel(field string, level int) error {
	if level < 1 || level > 5 {
		return core.Invalid(field, "1 (least) to 5 (most)")
	}
	return nil
}

func (s Settings) checked() (Settings, error) {
	err := cmp.Or(
		checkText("name", s.Name, 1, maxName), checkText("purpose", s.Purpose, 0, maxPurpose), checkText("unit", s.Unit, 0, maxName),
		checkLevel("risk", s.Risk), checkLevel("sensitivity", s.Sensitivity),
	)
	if err != nil {
		return s, err
	}
	if s.Scopes, err = checkScopes(s.Scopes); err != nil {
		return s, err
	}
	if len(s.Networks) > maxNetworks {
		return s, core.Invalid("networks", "%d at most", maxNetworks)
	}
	networks := []string{}
	for _, text := range s.Networks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return s, core.Invalid("networks", "a network is a prefix such as 192.0.2.0/24 or 2001:db8::/48")
		}
		networks = append(networks, prefix.Masked().String())
	}
	slices.Sort(networks)
	s.Networks = slices.Compact(networks)
	return s, nil
}

// living is true of a user u who may own something now.
const living = `(u.active and u.deleted is null and u.role not in ('login_only', 'guest'))`

// columns reads an account a. Who leaves counts no more from that commit on, and neither does a team without anybody.
const columns = `
select a.id, a.workspace_id, a.name, a.purpose, a.unit, a.risk, a.sensitivity, a.scopes, a.networks, a.version, a.created,
	(select max(s.last) from service_uses s where s.workspace_id = a.workspace_id and s.service_account_id = a.id) as used,
	(select count(*) from service_owners o join users u on u.workspace_id = o.workspace_id and u.id = o.user_id
		where o.workspace_id = a.workspace_id and o.service_account_id = a.id and ` + living + `) as people,
	(select count(*) from service_owners o join teams t on t.workspace_id = o.workspace_id and t.id = o.team_id and t.deleted is null
		where o.workspace_id = a.workspace_id and o.service_account_id = a.id and exists (
			select from team_members m join users u on u.workspace_id = m.workspace_id and u.id = m.user_id
			where m.workspace_id = o.workspace_id and m.team_id = o.team_id and m.suspended is null and ` + living + `)) as teams,
	(select count(*) from service_findings f where f.workspace_id = a.workspace_id and f.service_account_id = a.id and f.state = 'open') as findings,
	(select coalesce(sum(r.risk * r.sensitivity), 0) from service_reaches r
		where r.workspace_id = a.workspace_id and r.service_account_id = a.id) as reached
from service_accounts a`

const selectAccount = columns + ` where a.workspace_id = @workspace and a.id = @id`

// Account finds a service account by its id. It asks nobody's leave: the caller does.
func (s *Services) Account(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Account, error) {
	return postgres.One[Account](ctx, q, "service account", selectAccount, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const lockServiceAccount = `select id from service_accounts where workspace_id = @workspace and id = @id for no key update`

// lock keeps others from changing the account, its owners, credentials and findings until the transaction ends, and
// reads it as it is then.
func (s *Services) lock(ctx context.Context, tx pgx.Tx, workspace, id core.ID) (Account, error) {
	args := pgx.StrictNamedArgs{"workspace": workspace, "id": id}
	if _, err := postgres.Column[core.ID](ctx, tx, lockServiceAccount, args); err != nil {
		return Account{}, err
	}
	return postgres.One[Account](ctx, tx, "service account", selectAccount, args)
}

// Query narrows List. The zero query is the workspace's first page.
type Query struct {
	Search      string // how the name begins, whatever the case
	Unit        string
	Risk        int
	Sensitivity int
	Unowned     bool    // only those that lack owners
	Owner       core.ID // only what this user answers for, directly or by a team
	Limit       int     // default 100, at most 500
	After       core.ID // the last one of the page before
}

const selectAccounts = `
select * from (` + columns + `
	where a.workspace_id = @workspace and (@after::uuid is null or a.id > @after) and (@search = '' or starts_with(fold(a.name), fold(@search)))
		and (@unit = '' or a.unit = @unit) and (@risk::integer = 0 or a.risk = @risk) and (@sensitivity::integer = 0 or a.sensitivity = @sensitivity)
		and (@user::uuid is null or exists (
			select from service_owners o
			where o.workspace_id = a.workspace_id and o.service_account_id = a.id and (o.user_id = @user or o.team_id in (
				select m.team_id from team_members m where m.workspace_id = @workspace and m.user_id = @user and m.suspended is null))))
) found
where not @unowned or (people < 2 and teams = 0)
order by id
limit @limit`

// List gives the workspace's service accounts, oldest first, a page at a time.
func (s *Services) List(ctx context.Context, q postgres.Querier, workspace core.ID, query Query) ([]Account, error) {
	return postgres.Many[Account](ctx, q, selectAccounts, pgx.StrictNamedArgs{
		"workspace": workspace, "after": query.After, "search": query.Search, "unit": query.Unit, "risk": query.Risk, "sensitivity": query.Sensitivity,
		"unowned": query.Unowned, "user": query.Owner, "limit": postgres.Page(query.Limit),
	})
}

const updateServiceAccount = `
update service_accounts set name = @name, purpose = @purpose, unit = @unit, risk = @risk, sensitivity = @sensitivity, scopes = @scopes,
	networks = @networks, version = @version
where workspace_id = @workspace and id = @id`

func (s *Services) save(ctx context.Context, tx pgx.Tx, workspace, id core.ID, settings Settings, version int) error {
	_, err := tx.Exec(ctx, updateServiceAccount, pgx.StrictNamedArgs{
		"workspace": workspace, "id": id, "name": settings.Name, "purpose": settings.Purpose, "unit": settings.Unit, "risk": settings.Risk,
		"sensitivity": settings.Sensitivity, "scopes": settings.Scopes, "networks": settings.Networks, "version": version,
	})
	return collision(err)
}

// Create adds a service account with its owners: two active people at least, or a team with active members. Administrators
// may and the system, and service accounts up to the scopes they have themselves.
func (s *Services) Create(ctx context.Context, cause core.Cause, workspace core.ID, settings Settings, owners []accounts.Subject) (Account, error) {
	settings, err := settings.checked()
	if err != nil {
		return Account{}, err
	}
	var made Account
	err = s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		if err := s.Accounts.Administrator(ctx, tx, cause, workspace); err != nil {
			return nil, err
		}
		if err := s.mayGive(ctx, tx, cause, workspace, settings.Scopes); err != nil {
			return nil, err
		}
		created, err := s.Directory.CreateServiceAccount(ctx, tx, cause, workspace, settings.Name, settings.Scopes)
		if err != nil {
			return nil, err
		}
		if err := s.save(ctx, tx, workspace, created.ID, settings, 1); err != nil {
			return nil, err
		}
		target := core.Target{Kind: "service_account", ID: created.ID, Name: created.Name}
		var events []core.Event
		for _, owner := range owners {
			event, err := s.insertOwner(ctx, tx, cause, workspace, target, owner)
			if err != nil {
				return nil, err
			}
			events = append(events, event)
		}
		if made, err = s.Account(ctx, tx, workspace, created.ID); err != nil {
			return nil, err
		}
		if !made.Owned() || len(owners) > maxOwners {
			return nil, core.Invalid("owners", "name two active people at least, or a team with active members; %d owners at most", maxOwners).WithCode("too_few_owners")
		}
		return events, nil
	})
	return made, err
}

// Change replaces what is said of a service account by what edit makes of it. version, if not 0, is the one the change is
// based on: Stale if there is a newer one. Administrators may and the system, and other service accounts up to the scopes they
// have themselves. With nothing to change nothing happens.
func (s *Services) Change(ctx context.Context, cause core.Cause, workspace, id core.ID, version int, edit func(*Settings)) (Account, error) {
	var after Account
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		if err := s.administrator(ctx, tx, cause, workspace, id); err != nil {
			return nil, err
		}
		before, err := s.lock(ctx, tx, workspace, id)
		if err != nil {
			return nil, err
		}
		if version != 0 && version != before.Version {
			return nil, core.Stale("the service account was changed meanwhile; read it again")
		}
		wanted := before.Settings()
		edit(&wanted)
		if slices.Equal(wanted.Scopes, before.Scopes) {
			wanted.Scopes = nil // as they are, even those that were given before there was a grammar
		} else if err := s.mayGive(ctx, tx, cause, workspace, wanted.Scopes); err != nil {
			return nil, err
		}
		kept := wanted.Scopes == nil
		if wanted, err = wanted.checked(); err != nil {
			return nil, err
		}
		if kept {
			wanted.Scopes = before.Scopes
		}
		if after = before; same(wanted, before.Settings()) {
			return nil, nil
		}
		if err := s.save(ctx, tx, workspace, id, wanted, before.Version+1); err != nil {
			return nil, err
		}
		if after, err = s.Account(ctx, tx, workspace, id); err != nil {
			return nil, err
		}
		return []core.Event{wanted.tell(core.NewEvent(core.ServiceAccountUpdated, workspace, cause, s.now(), after.Target()), before)}, nil
	})
	return after, err
}

// TakeScopes takes a service account all its scopes in a transaction: its tokens open nothing in Postern any more. It asks nobody's leave:
// the caller does.
func (s *Services) TakeScopes(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace, id core.ID) error {
	before, err := s.lock(ctx, tx, workspace, id)
	if err != nil || len(before.Scopes) == 0 {
		return err
	}
	left := before.Settings()
	left.Scopes = []string{}
	if err := s.save(ctx, tx, workspace, id, left, before.Version+1); err != nil {
		return err
	}
	return audit.Append(ctx, tx, left.tell(core.NewEvent(core.ServiceAccountUpdated, workspace, cause, s.now(), before.Target()), before))
}

func same(one, other Settings) bool {
	return one.Name == other.Name && one.Purpose == other.Purpose && one.Unit == other.Unit && one.Risk == other.Risk &&
		one.Sensitivity == other.Sensitivity && slices.Equal(one.Scopes, other.Scopes) && slices.Equal(one.Networks, other.Networks)
}

// tell adds to an event what was changed. That scopes grew is a fact of its own: it asks for a review.
func (s Settings) tell(event core.Event, before Account) core.Event {
	if !slices.Equal(s.Scopes, before.Scopes) {
		event = event.With("scopes", strings.Join(s.Scopes, " ")).With("scopes_before", strings.Join(before.Scopes, " "))
		if !allCovered(before.Scopes, s.Scopes) {
			event = event.With("scopes_grew", "true")
		}
	}
	if s.Name != before.Name {
		event = event.With("name_before", before.Name)
	}
	return event
}

// allCovered reports whether the scopes someone has cover all the wanted ones.
func allCovered(held, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(text string) bool {
		scope, err := ParseScope(text)
		return err != nil || !Allow(held, scope)
	})
}

const selectAppTokens = `
select exists (select from service_credentials where workspace_id = @workspace and service_account_id = @account and held = 'app')`

// Remove ends a service account, its tokens and credentials: what they open in Postern at once, what they open elsewhere is
// for whoever keeps that. Credentials that apps hold have to be removed before (Conflict, code "app_tokens"). Administrators may and the system, and other service accounts.
func (s *Services) Remove(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	return s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		if err := s.administrator(ctx, tx, cause, workspace, id); err != nil {
			return nil, err
		}
		account, err := s.lock(ctx, tx, workspace, id)
		if err != nil {
			return nil, err
		}
		var tokens bool
		if err := tx.QueryRow(ctx, selectAppTokens, pgx.StrictNamedArgs{"workspace": workspace, "account": id}).Scan(&tokens); err != nil {
			return nil, postgres.Classify(err)
		}
		if tokens {
			return nil, core.Conflict("", "it has tokens in apps that would live on; remove those credentials first, and Postern has the apps end them").WithCode("app_tokens")
		}
		if err := s.Directory.DeleteServiceAccount(ctx, tx, workspace, id); err != nil {
			return nil, inUse(err)
		}
		return []core.Event{core.NewEvent(core.ServiceAccountDeleted, workspace, cause, s.now(), account.Target())}, nil
	})
}
