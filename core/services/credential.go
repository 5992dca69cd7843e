package services

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/postgres"
	"postern/core/seal"
)

// Kind is what a credential is where it is used.
type Kind string

// The kinds of credentials.
const (
	Password Kind = "password"
	Key      Kind = "key"
	Token    Kind = "token"
)

// Held says where the value of a credential is.
type Held string

// Where values are.
const (
	ByPostern Held = "postern" // a token for Postern's API: of its value there is a hash alone
	ByVault   Held = "vault"   // of another system: sealed, given to the service account when it asks
	ByAccount Held = "account" // the password of an account, which core/rotation changes in its app
	InApp     Held = "app"     // a token of an account, which Postern has its app make and end; sealed, given to the service account when it asks
)

// Credential is something a service account gets in with. Its values are its versions, of which two are good at a time at most.
type Credential struct {
	ID        core.ID       `db:"id"`
	Account   core.ID       `db:"service_account_id"`
	Name      string        `db:"name"`
	Kind      Kind          `db:"kind"`
	Held      Held          `db:"held"`
	Login     core.ID       `db:"account_id"` // held by this account, or a token of it in its app
	Vault     core.ID       `db:"vault_id"`   // its values are in this vault
	Consumers []string      `db:"consumers"`  // what it is used by; each says its name when it asks for the value
	Overlap   time.Duration `db:"overlap"`    // how long the old value is to be unused before it is revoked
	Every     int           `db:"every"`      // days from one rotation to the next; 0: none by schedule
	Next      *time.Time    `db:"next"`       // when the schedule asks for one
	Created   time.Time     `db:"created"`
	// Detail is, held by an app, why it has not done yet what it was asked for; it is asked again at Retry.
	Detail string     `db:"detail"`
	Retry  *time.Time `db:"retry"`
}

// Target is the credential as what something happened to.
func (c Credential) Target() core.Target {
	return core.Target{Kind: "credential", ID: c.ID, Name: c.Name}
}

// Version is one value of a credential.
type Version struct {
	Version int     `db:"version"`
	Slot    int     `db:"slot"`     // 1 or 2
	Token   core.ID `db:"token_id"` // held by Postern: the token
	// LoginVersion is, held by an account, which of its passwords this is.
	LoginVersion int        `db:"login_version"`
	AppToken     string     `db:"app_token"` // held by an app: its id of the token
	Created      time.Time  `db:"created"`
	Expires      *time.Time `db:"expires"`
	FirstUsed    *time.Time `db:"first_used"`
	LastUsed     *time.Time `db:"last_used"`
	Revoked      *time.Time `db:"revoked"`
	// Knower is the person who was shown the value, or typed it in, since Known; zero: nobody, or from before that was written down.
	Knower     core.ID    `db:"knower"`
	KnowerName string     `db:"knower_name"`
	Known      *time.Time `db:"known"`
	// Ending is, held by an app, since when the app is to end it, and EndingReason why. Revoked is when it was seen to let nobody in.
	Ending       *time.Time `db:"ending"`
	EndingReason string     `db:"ending_reason"`
}

// Live reports whether the version opens anything at a time, and is to.
func (v Version) Live(at time.Time) bool {
	return v.Revoked == nil && v.Ending == nil && (v.Expires == nil || v.Expires.After(at))
}

const credentialColumns = `
select id, service_account_id, name, kind, held, account_id, vault_id, consumers, overlap, every, next, created,
	coalesce((select w.detail from service_app_work w where w.workspace_id = service_credentials.workspace_id and w.credential_id = service_credentials.id), '') as detail,
	(select w.next_attempt from service_app_work w where w.workspace_id = service_credentials.workspace_id and w.credential_id = service_credentials.id and w.detail <> '') as retry
from service_credentials`

const selectCredentials = credentialColumns + `
where workspace_id = @workspace and service_account_id = @account order by created, id`

// Credentials lists what a service account gets in with, oldest first.
func (s *Services) Credentials(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Credential, error) {
	return postgres.Many[Credential](ctx, q, selectCredentials, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

const selectCredential = credentialColumns + ` where workspace_id = @workspace and id = @id`

// Credential finds one by its id.
func (s *Services) Credential(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Credential, error) {
	return postgres.One[Credential](ctx, q, "credential", selectCredential, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

// A token's own row tells of uses that nobody observed, such as a receiver's.
const selectVersions = `
select v.version, v.slot, v.token_id, v.login_version, v.created, v.expires, coalesce(v.first_used, t.last_used) as first_used, greatest(v.last_used, t.last_used) as last_used, v.revoked,
	v.app_token, v.ending, v.ending_reason, e.user_id as knower, coalesce(nullif(u.display_name, ''), u.user_name, '') as knower_name, e.seen as known
from service_versions v
left join service_account_tokens t on t.workspace_id = v.workspace_id and t.id = v.token_id
left join service_exposures e on e.workspace_id = v.workspace_id and (e.token_id = v.token_id or e.credential_id = v.credential_id and e.version = v.version)
left join users u on u.workspace_id = e.workspace_id and u.id = e.user_id
where v.workspace_id = @workspace and v.credential_id = @credential order by v.version desc`

// Versions lists the values a credential has had, without the values, newest first.
func (s *Services) Versions(ctx context.Context, q postgres.Querier, workspace, credential core.ID) ([]Version, error) {
	return postgres.Many[Version](ctx, q, selectVersions, pgx.StrictNamedArgs{"workspace": workspace, "credential": credential})
}

// NewCredential is what a credential is made of.
type NewCredential struct {
	Name      string
	Kind      Kind
	Held      Held
	Login     core.ID     // held by an account, or by an app: which account
	Value     seal.Secret // held by a vault: what the other system knows. A password may be left for Postern to make
	Expires   *time.Time  // nil: never
	Consumers []string
	Overlap   time.Duration // 0: a day
	Every     int
}

// The limits of a credential.
const (
	maxConsumers   = 50
	maxCredentials = 50
	maxEvery       = 366
	maxOverlap     = 30 * 24 * time.Hour
	usualOverlap   = 24 * time.Hour
)

func (n NewCredential) checked(now time.Time) (NewCredential, error) {
	if err := checkText("name", n.Name, 1, maxName); err != nil {
		return n, err
	}
	n.Overlap = cmp.Or(n.Overlap, usualOverlap)
	n.Consumers = slices.Compact(slices.Sorted(slices.Values(n.Consumers)))
	if len(n.Consumers) > maxConsumers {
		return n, core.Invalid("consumers", "%d at most", maxConsumers)
	}
	for _, consumer := range n.Consumers {
		if err := checkText("consumers", consumer, 1, maxName); err != nil {
			return n, err
		}
	}
	switch {
	case n.Kind != Password && n.Kind != Key && n.Kind != Token:
		return n, core.Invalid("kind", "a password, a key or a token")
	case n.Held != ByPostern && n.Held != ByVault && n.Held != ByAccount && n.Held != InApp:
		return n, core.Invalid("held", "by postern, a vault, an account or an app")
	case n.Held == ByPostern && n.Kind != Token:
		return n, core.Invalid("kind", "what opens Postern is a token")
	case n.Held == ByPostern && len(n.Consumers) > 0:
		return n, core.Invalid("consumers", "who uses a token for Postern is seen by its networks; there is nothing to name")
	case n.Held == ByAccount && n.Kind != Password:
		return n, core.Invalid("kind", "what an account holds is its password")
	case n.Held == InApp && n.Kind == Password:
		return n, core.Invalid("kind", "what an app makes is a token or a key")
	case (n.Held == ByAccount || n.Held == InApp) == n.Login.IsZero():
		return n, core.Invalid("account", "name the account that holds it, or whose token it is, and only then")
	case n.Held == ByVault && n.Kind != Password && n.Value.IsZero():
		return n, core.Invalid("value", "give the value; Postern makes only passwords")
	case n.Held != ByVault && !n.Value.IsZero():
		return n, core.Invalid("value", "only a vault takes a value")
	case n.Overlap < 0 || n.Overlap > maxOverlap:
		return n, core.Invalid("overlap", "up to 30 days")
	case n.Every < 0 || n.Every > maxEvery:
		return n, core.Invalid("every", "every 1 to %d days, or 0", maxEvery)
	case n.Held == ByAccount && n.Every > 0:
		return n, core.Invalid("every", "the account is rotated as its policies say; schedule it there")
	case (n.Held == ByAccount || n.Held == InApp) && n.Expires != nil:
		return n, core.Invalid("expires", "what an app knows does not expire here")
	}
	return n, checkExpires(n.Expires, now)
}

func checkExpires(expires *time.Time, now time.Time) error {
	if expires != nil && !expires.After(now) {
		return core.Invalid("expires", "this is over already")
	}
	return nil
}

const countCredentials = `select count(*) from service_credentials where workspace_id = @workspace and service_account_id = @account`

const insertCredential = `
insert into service_credentials (id, workspace_id, service_account_id, name, kind, held, account_id, vault_id, consumers, overlap, every, next, created)
values (@id, @workspace, @account, @name, @kind, @held, @login, @vault, @consumers, @overlap, @every, @next, @now)`

const insertVersion = `
insert into service_versions (workspace_id, credential_id, version, slot, token_id, login_version, app_token, created, expires, first_used, last_used)
values (@workspace, @credential, @version, @slot, @token, @login, @app_token, @now, @expires, @used, @used)`

// What the password of an account gets at is its app.
const insertReachOfLogin = `
insert into service_reaches (id, workspace_id, service_account_id, name, app_id, unit, risk, sensitivity)
select @id, c.workspace_id, c.id, p.name, p.id, c.unit, c.risk, c.sensitivity
from service_accounts c
join accounts a on a.workspace_id = c.workspace_id and a.id = @login
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where c.workspace_id = @workspace and c.id = @account and not exists (
	select from service_reaches r where r.workspace_id = c.workspace_id and r.service_account_id = c.id and r.app_id = p.id)
on conflict do nothing`

// AddCredential gives a service account something to get in with. What Postern made is returned, the only time it can be seen: a
// token for its API, or a password. Its owners may, administrators, other service accounts and the system; an account's password may be
// handed over by whoever may share the account.
func (s *Services) AddCredential(ctx context.Context, cause core.Cause, workspace, account core.ID, wanted NewCredential) (Credential, seal.Secret, error) {
	now := s.now()
	wanted, err := wanted.checked(now)
	if err != nil {
		return Credential{}, seal.Secret{}, err
	}
	made := Credential{
		ID: core.NewID(), Account: account, Name: wanted.Name, Kind: wanted.Kind, Held: wanted.Held, Login: wanted.Login, Consumers: wanted.Consumers,
		Overlap: wanted.Overlap, Every: wanted.Every, Created: now,
	}
	if made.Consumers == nil {
		made.Consumers = []string{}
	}
	if made.Every > 0 {
		made.Next = new(now.AddDate(0, 0, made.Every))
	}
	var secret seal.Secret
	err = s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		found, err := s.ownersOf(ctx, tx, cause, workspace, account)
		if err != nil {
			return nil, err
		}
		var already int
		if err := tx.QueryRow(ctx, countCredentials, pgx.StrictNamedArgs{"workspace": workspace, "account": account}).Scan(&already); err != nil {
			return nil, postgres.Classify(err)
		}
		if already >= maxCredentials {
			return nil, core.Conflict("", "a service account has %d credentials at most", maxCredentials).WithCode("too_many_credentials")
		}
		if err := s.adopt(ctx, tx, workspace, account); err != nil {
			return nil, err
		}
		if made.Held == ByVault || made.Held == InApp {
			if made.Vault, err = s.Accounts.Vault.Prepare(ctx, tx, workspace); err != nil {
				return nil, err
			}
		}
		if !made.Login.IsZero() {
			if err := s.mayHandOver(ctx, tx, cause, workspace, made.Login); err != nil {
				return nil, err
			}
			if _, err := s.Accounts.Account(ctx, tx, workspace, made.Login); core.KindOf(err) == core.KindNotFound {
				return nil, core.Invalid("account", "there is no such account in this workspace")
			} else if err != nil {
				return nil, err
			}
			if _, err := tx.Exec(ctx, insertReachOfLogin, pgx.StrictNamedArgs{"id": core.NewID(), "workspace": workspace, "account": account, "login": made.Login}); err != nil {
				return nil, postgres.Classify(err)
			}
		}
		if made.Held == InApp {
			if can, err := s.Rotations.Issues(ctx, tx, workspace, made.Login); err != nil {
				return nil, err
			} else if !found.Owned() {
				return nil, core.Conflict("", "who answers for the service account answers for its tokens in apps: name its owners first").WithCode("ownerless")
			} else if !can {
				return nil, core.Invalid("account", "nobody makes tokens in this account's app: its connector, or the definition in its settings, has to say how")
			}
		}
		if _, err := tx.Exec(ctx, insertCredential, pgx.StrictNamedArgs{
			"id": made.ID, "workspace": workspace, "account": account, "name": made.Name, "kind": made.Kind, "held": made.Held, "login": made.Login,
			"vault": made.Vault, "consumers": made.Consumers, "overlap": made.Overlap, "every": made.Every, "next": made.Next, "now": now,
		}); err != nil {
			return nil, collision(err)
		}
		bench := &bench{Account: found, Credential: made}
		var begun []core.Event
		switch made.Held {
		case ByAccount:
			_, err = s.keepUp(ctx, tx, cause, bench)
		case InApp:
			begun, err = s.order(ctx, tx, cause, bench, Manual)
		case ByVault, ByPostern:
			secret, err = s.mint(ctx, tx, cause, bench, wanted.Value, wanted.Expires)
		}
		event := core.NewEvent(core.ServiceAccountCredentialAdded, workspace, cause, now, found.Target(), made.Target()).
			With("kind", string(made.Kind)).With("held", string(made.Held))
		return append([]core.Event{event}, begun...), err
	})
	return made, secret, err
}

// mint gives a credential one more value, in the slot that is free, and returns what Postern made of it.
func (s *Services) mint(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench, value seal.Secret, expires *time.Time) (seal.Secret, error) {
	workspace := b.Account.Workspace
	if b.Credential.Held == ByPostern {
		if err := s.mayGive(ctx, tx, cause, workspace, b.Account.Scopes); err != nil {
			return seal.Secret{}, err
		}
		token, err := s.Directory.CreateServiceAccountToken(ctx, tx, cause, workspace, b.Account.ID, expires)
		if err != nil {
			return seal.Secret{}, err
		}
		return token, s.reload(ctx, tx, b)
	}
	var secret seal.Secret
	if value.IsZero() {
		if b.Credential.Kind != Password {
			return seal.Secret{}, core.Invalid("value", "give the value; Postern makes only passwords")
		}
		secret = seal.GeneratePassword(seal.PasswordPolicy{})
		value = secret
	}
	version := b.newest() + 1
	if err := s.insertVersion(ctx, tx, b, Version{Version: version, Created: s.now(), Expires: expires}); err != nil {
		return seal.Secret{}, err
	}
	if err := s.Directory.ExposeService(ctx, tx, cause, workspace, directory.ServiceExposure{
		Account: b.Account.ID, Kind: string(b.Credential.Kind), Credential: b.Credential.ID, Version: version, Name: b.Credential.Name,
		Entered: secret.IsZero(), Expires: expires,
	}); err != nil {
		return seal.Secret{}, err
	}
	return secret, s.Accounts.Vault.Put(ctx, tx, workspace, b.Credential.Vault, b.Credential.ID, string(b.Credential.Kind), version, value)
}

// insertVersion puts a version into the slot that is free.
func (s *Services) insertVersion(ctx context.Context, tx pgx.Tx, b *bench, version Version) error {
	version.Slot = b.free()
	if version.Slot == 0 {
		return core.Conflict("", "both slots are taken: the value that is not used has to be revoked first").WithCode("service_slot")
	}
	if _, err := tx.Exec(ctx, insertVersion, pgx.StrictNamedArgs{
		"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": version.Version, "slot": version.Slot, "token": version.Token, "login": version.LoginVersion, "app_token": version.AppToken,
		"now": version.Created, "expires": version.Expires, "used": version.LastUsed,
	}); err != nil {
		return collision(err)
	}
	b.Versions = append([]Version{version}, b.Versions...)
	return nil
}

const deleteCredential = `delete from service_credentials where workspace_id = @workspace and id = @id`

// RemoveCredential ends a credential and all its values. A token for Postern opens nothing from that commit on; what an app made is given
// out no more, and the credential goes once the app has ended it; what opens another system is for its owners to end there. Its owners may, administrators, other service accounts and the system.
//
// With abandon what an app made is not ended there: the app is gone, or does not do it. Only administrators may, other service accounts
// and the system.
func (s *Services) RemoveCredential(ctx context.Context, cause core.Cause, workspace, credential core.ID, abandon bool) error {
	return s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		b, err := s.at(ctx, tx, workspace, credential)
		if err != nil {
			return nil, err
		}
		if err := s.owner(ctx, tx, cause, workspace, b.Account.ID); err != nil {
			return nil, err
		}
		removed := core.NewEvent(core.ServiceAccountCredentialRemoved, workspace, cause, s.now(), b.Account.Target(), b.Credential.Target())
		switch {
		case b.Credential.Held != InApp:
		case abandon:
			if err := s.administrator(ctx, tx, cause, workspace, b.Account.ID); err != nil {
				return nil, err
			}
			removed = removed.Because("what the app made was not ended there")
		default:
			return []core.Event{removed.Because("the app is asked to end what it made")}, s.removeFromApp(ctx, tx, b)
		}
		var events []core.Event
		for _, version := range b.Versions {
			if version.Revoked != nil {
				continue
			}
			ended, err := s.revoke(ctx, tx, cause, b, version)
			if err != nil {
				return nil, err
			}
			events = append(events, ended...)
		}
		if _, err := tx.Exec(ctx, deleteCredential, pgx.StrictNamedArgs{"workspace": workspace, "id": credential}); err != nil {
			return nil, postgres.Classify(err)
		}
		return append(events, removed), nil
	})
}
