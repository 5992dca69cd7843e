package services

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// Use is that a service account's token was let in.
type Use struct {
	Workspace core.ID
	Account   core.Actor
	Token     core.ID
	Origin    core.Origin
	Browser   bool // what sent it says that a page of a browser did
}

// interactive reports whether a person sits behind it.
func (u Use) interactive() bool {
	return u.Browser || strings.HasPrefix(u.Origin.UserAgent, "Mozilla/")
}

// networkOf is the network an address is in: 256 addresses of IPv4, a site's prefix of IPv6; "" if it is no address.
func networkOf(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	parsed = parsed.Unmap().WithZone("")
	bits := 48
	if parsed.Is4() {
		bits = 24
	}
	prefix, err := parsed.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// maxSeen bounds what is remembered of uses.
const maxSeen = 10_000

// seen is what this process wrote down of uses lately: a busy token must not turn every request into a write.
type seen struct {
	mutex sync.Mutex
	at    map[string]time.Time
}

func (s *seen) claim(what string, now time.Time) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if last, known := s.at[what]; known && now.Sub(last) < coarse {
		return false
	}
	if s.at == nil || len(s.at) >= maxSeen {
		s.at = map[string]time.Time{}
	}
	s.at[what] = now
	return true
}

func (s *seen) release(what string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.at, what)
}

const selectTokenCredential = `
select v.credential_id from service_versions v where v.workspace_id = @workspace and v.token_id = @token and v.revoked is null`

// Observe writes down that a token was used, where and by what, once a minute for each network, and finds what is odd about it: the
// first use after long, another network, a person's browser, an owner who has left. It goes on with the rotation that waited for the token
// to be used.
func (s *Services) Observe(ctx context.Context, use Use) error {
	network := networkOf(use.Origin.Address)
	key := use.Token.String() + " " + network + " " + strconv.FormatBool(use.interactive())
	if !s.seen.claim(key, s.now()) {
		return nil
	}
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		account, err := s.lock(ctx, tx, use.Workspace, use.Account.ID)
		if err != nil {
			return nil, err
		}
		args := pgx.StrictNamedArgs{"workspace": use.Workspace, "token": use.Token}
		found, err := postgres.Column[core.ID](ctx, tx, selectTokenCredential, args)
		if err == nil && len(found) == 0 {
			if err = s.adopt(ctx, tx, use.Workspace, account.ID); err == nil {
				found, err = postgres.Column[core.ID](ctx, tx, selectTokenCredential, args)
			}
		}
		if err != nil || len(found) == 0 { // it was revoked meanwhile
			return nil, err
		}
		b, err := s.at(ctx, tx, use.Workspace, found[0])
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(b.Versions, func(v Version) bool { return v.Token == use.Token })
		if at < 0 {
			return nil, nil
		}
		cause := core.NewCause(use.Account, s.now())
		cause.Origin = use.Origin
		events, err := s.odd(ctx, tx, cause, account, b.Versions[at], use, network)
		if err != nil {
			return nil, err
		}
		if err := s.note(ctx, tx, b, at, network, "", use.interactive(), use.Origin.UserAgent); err != nil {
			return nil, err
		}
		went, err := s.progress(ctx, tx, cause, b)
		return append(events, went...), err
	})
	if core.KindOf(err) == core.KindNotFound { // removed meanwhile
		return nil
	}
	if err != nil {
		s.seen.release(key)
	}
	return err
}

const upsertUse = `
insert into service_uses as u (workspace_id, service_account_id, credential_id, version, network, consumer, interactive, agent, first, last)
values (@workspace, @account, @credential, @version, @network, @consumer, @interactive, @agent, @now, @now)
on conflict (workspace_id, credential_id, version, network, consumer, interactive) do update set agent = excluded.agent, last = greatest(u.last, excluded.last)`

const updateUsed = `
update service_versions set first_used = coalesce(first_used, @now), last_used = greatest(last_used, @now)
where workspace_id = @workspace and credential_id = @credential and version = @version`

// note writes down the use of a version.
func (s *Services) note(ctx context.Context, tx pgx.Tx, b *bench, at int, network, consumer string, interactive bool, agent string) error {
	now, version := s.now(), &b.Versions[at]
	args := pgx.StrictNamedArgs{"workspace": b.Account.Workspace, "credential": b.Credential.ID, "version": version.Version, "now": now}
	if _, err := tx.Exec(ctx, updateUsed, args); err != nil {
		return postgres.Classify(err)
	}
	if version.LastUsed = &now; version.FirstUsed == nil {
		version.FirstUsed = &now
	}
	args["account"], args["network"], args["consumer"], args["interactive"], args["agent"] = b.Account.ID, network, consumer, interactive, core.Cut(agent, 200)
	_, err := tx.Exec(ctx, upsertUse, args)
	return postgres.Classify(err)
}

const selectNetworkKnown = `
select exists (select from service_uses where workspace_id = @workspace and service_account_id = @account and network = @network)`

// odd finds what is odd about a use that is not written down yet.
func (s *Services) odd(ctx context.Context, tx pgx.Tx, cause core.Cause, account Account, version Version, use Use, network string) ([]core.Event, error) {
	now := s.now()
	type odd struct {
		kind          FindingKind
		about, detail string
		once          bool
	}
	var found []odd
	last := account.Used
	if version.LastUsed != nil && (last == nil || version.LastUsed.After(*last)) && now.Sub(*version.LastUsed) > coarse {
		last = version.LastUsed // from before uses were observed
	}
	if last != nil && now.Sub(*last) >= cmp.Or(max(s.Idle, 0), DefaultIdle) {
		found = append(found, odd{UsedAfterIdle, last.UTC().Format(time.RFC3339),
			fmt.Sprintf("used from %s after %d days without any use", from(use), int(now.Sub(*last).Hours()/24)), once})
	}
	var known bool
	args := pgx.StrictNamedArgs{"workspace": account.Workspace, "account": account.ID, "network": network}
	if err := tx.QueryRow(ctx, selectNetworkKnown, args).Scan(&known); err != nil {
		return nil, postgres.Classify(err)
	}
	switch expected := account.expects(use.Origin.Address); {
	case network == "" || expected:
	case len(account.Networks) > 0:
		found = append(found, odd{NewNetwork, network, "used from " + from(use) + ", which is none of the networks it is expected in", once})
	case !known && account.Used != nil:
		found = append(found, odd{NewNetwork, network, "used from " + from(use) + ", where it never was before", once})
	}
	if use.interactive() {
		found = append(found, odd{InteractiveUse, use.Token.String() + " " + network, "a person's browser used its token, from " + from(use), again})
	}
	owners, err := s.Owners(ctx, tx, account.Workspace, account.ID)
	if err != nil {
		return nil, err
	}
	for _, owner := range owners {
		if !owner.Living && !owner.User.IsZero() {
			found = append(found, odd{UsedAfterOwnerLeft, owner.User.String(), owner.Name + ", who answered for it, has left, and it is used on", once})
		}
	}
	var events []core.Event
	for _, one := range found {
		opened, err := s.raise(ctx, tx, cause, account, one.kind, one.about, one.detail, one.once)
		if err != nil {
			return nil, err
		}
		events = append(events, opened...)
	}
	return events, nil
}

// from is where a use came from, for a person.
func from(use Use) string {
	if use.Origin.Address == "" {
		return "an address that is not known"
	}
	return use.Origin.Address
}

// expects reports whether an address is in a network that was named.
func (a Account) expects(address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(a.Networks, func(text string) bool {
		prefix, err := netip.ParsePrefix(text)
		return err == nil && prefix.Contains(parsed.Unmap().WithZone(""))
	})
}

// Seen is a place where a credential was seen in use.
type Seen struct {
	Credential  core.ID   `db:"credential_id"`
	Version     int       `db:"version"`
	Network     string    `db:"network"`
	Consumer    string    `db:"consumer"`
	Interactive bool      `db:"interactive"`
	Agent       string    `db:"agent"`
	First       time.Time `db:"first"`
	Last        time.Time `db:"last"`
}

const selectSeen = `
select credential_id, version, network, consumer, interactive, agent, first, last from service_uses
where workspace_id = @workspace and service_account_id = @account order by last desc limit 200`

// Seen lists where a service account was seen, latest first.
func (s *Services) Seen(ctx context.Context, q postgres.Querier, workspace, account core.ID) ([]Seen, error) {
	return postgres.Many[Seen](ctx, q, selectSeen, pgx.StrictNamedArgs{"workspace": workspace, "account": account})
}

// Value is what a service account is given of its credential.
type Value struct {
	Credential Credential
	Username   string // of the account that holds it, or whose token it is
	Version    int
	Expires    *time.Time
	Secret     seal.Secret
}

// Read gives a service account, which the cause's actor is, the value of a credential of its own. That is committed, with its event, before
// it is returned, and counts as that the value is in use. consumer says which of the credential's consumers asks; it may be empty. An account
// that is closed refuses (Denied, with its state as the code).
func (s *Services) Read(ctx context.Context, cause core.Cause, workspace, credential core.ID, consumer string) (Value, error) {
	var value Value
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		b, err := s.at(ctx, tx, workspace, credential)
		if err != nil {
			return nil, err
		}
		if cause.Actor.Kind != core.ActorServiceAccount || cause.Actor.ID != b.Account.ID {
			return nil, core.NotFound("credential") // of this service account
		}
		if b.Credential.Held == ByPostern {
			return nil, core.Conflict("", "of a token for Postern there is a hash alone; rotate it").WithCode("not_kept")
		}
		if consumer != "" && !slices.Contains(b.Credential.Consumers, consumer) {
			return nil, core.Invalid("consumer", "the credential has no such consumer")
		}
		var events []core.Event
		if b.Credential.Held == ByAccount {
			if events, err = s.keepUp(ctx, tx, core.NewCause(core.System, s.now()), b); err != nil {
				return nil, err
			}
		}
		given, there := b.given()
		if !there || !given.Live(s.now()) {
			return nil, core.Denied("there is no value to give: it expired, or its app has not made one yet, or is to end it").WithCode("expired")
		}
		value = Value{Credential: b.Credential, Version: given.Version, Expires: given.Expires}
		if value.Username, value.Secret, err = s.open(ctx, tx, b, given); err != nil {
			return nil, err
		}
		at := slices.IndexFunc(b.Versions, func(v Version) bool { return v.Version == given.Version })
		if err := s.note(ctx, tx, b, at, networkOf(cause.Origin.Address), consumer, false, cause.Origin.UserAgent); err != nil {
			return nil, err
		}
		went, err := s.progress(ctx, tx, cause, b)
		event := core.NewEvent(core.ServiceAccountCredentialRead, workspace, cause, s.now(), b.Account.Target(), b.Credential.Target()).With("version", strconv.Itoa(given.Version))
		if consumer != "" {
			event = event.With("consumer", consumer)
		}
		return append(append(events, event), went...), err
	})
	return value, err
}

// open opens the value of a version.
func (s *Services) open(ctx context.Context, tx pgx.Tx, b *bench, version Version) (username string, value seal.Secret, err error) {
	if b.Credential.Held == ByVault {
		value, err = s.sealed(ctx, tx, b, version)
		return "", value, err
	}
	login, err := s.Accounts.Account(ctx, tx, b.Account.Workspace, b.Credential.Login)
	if err != nil {
		return "", seal.Secret{}, err
	}
	if closed := login.Closed(); closed != nil {
		return "", seal.Secret{}, closed
	}
	if b.Credential.Held == InApp {
		value, err = s.sealed(ctx, tx, b, version)
		return login.Username, value, err
	}
	value, err = s.Accounts.Password(ctx, tx, b.Account.Workspace, b.Credential.Login, version.LoginVersion)
	return login.Username, value, err
}

// sealed opens a value the credential's vault keeps.
func (s *Services) sealed(ctx context.Context, q postgres.Querier, b *bench, version Version) (seal.Secret, error) {
	return s.Accounts.Vault.Open(ctx, q, b.Account.Workspace, b.Credential.ID, string(b.Credential.Kind), version.Version)
}
