package services

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
)

// bench is a credential under its service account's lock, with all a rotation works on.
type bench struct {
	Account    Account
	Credential Credential
	Versions   []Version // newest first
	Rotation   *Rotation // that is open
}

func (b *bench) newest() int {
	newest := 0
	for _, version := range b.Versions {
		newest = max(newest, version.Version)
	}
	return newest
}

// free is a slot nothing is in; 0: both are taken.
func (b *bench) free() int {
	taken := map[int]bool{}
	for _, version := range b.Versions {
		if version.Revoked == nil {
			taken[version.Slot] = true
		}
	}
	for slot := 1; slot <= 2; slot++ {
		if !taken[slot] {
			return slot
		}
	}
	return 0
}

// version finds one by its number; the zero version if there is none.
func (b *bench) version(number int) Version {
	at := slices.IndexFunc(b.Versions, func(v Version) bool { return v.Version == number })
	if at < 0 {
		return Version{}
	}
	return b.Versions[at]
}

// ending is a value an app is being asked to end.
func (b *bench) ending() (version Version, some bool) {
	at := slices.IndexFunc(b.Versions, func(v Version) bool { return v.Ending != nil && v.Revoked == nil })
	if at < 0 {
		return Version{}, false
	}
	return b.Versions[at], true
}

// given is the version that is given out: the newest that is not revoked and, while it is only created, the one before it.
func (b *bench) given() (Version, bool) {
	for _, version := range b.Versions {
		hidden := b.Rotation != nil && b.Rotation.New == version.Version && b.Rotation.State == Created
		if version.Revoked == nil && version.Ending == nil && !hidden {
			return version, true
		}
	}
	return Version{}, false
}

// at locks the service account of a credential and reads all there is of it, as it is now: what others did to its tokens or its
// account is taken over.
func (s *Services) at(ctx context.Context, tx pgx.Tx, workspace, credential core.ID) (*bench, error) {
	found, err := s.Credential(ctx, tx, workspace, credential)
	if err != nil {
		return nil, err
	}
	b := &bench{Credential: found}
	if b.Account, err = s.lock(ctx, tx, workspace, found.Account); err != nil {
		return nil, err
	}
	return b, s.reload(ctx, tx, b)
}

func (s *Services) reload(ctx context.Context, tx pgx.Tx, b *bench) (err error) {
	workspace := b.Account.Workspace
	if b.Credential.Held == ByPostern {
		if err := s.adopt(ctx, tx, workspace, b.Account.ID); err != nil {
			return err
		}
	}
	if b.Credential, err = s.Credential(ctx, tx, workspace, b.Credential.ID); err != nil {
		return err
	}
	if b.Versions, err = s.Versions(ctx, tx, workspace, b.Credential.ID); err != nil {
		return err
	}
	b.Rotation, err = s.openRotation(ctx, tx, workspace, b.Credential.ID)
	return err
}

const selectTokensCredential = `select id from service_credentials where workspace_id = @workspace and service_account_id = @account and held = 'postern'`

// A token that is gone was revoked by whoever took it; one that has expired opens nothing any more.
const revokeGone = `
update service_versions v set revoked = least(coalesce(v.expires, @now), @now)
where v.workspace_id = @workspace and v.credential_id = @credential and v.revoked is null and (
	v.expires <= @now or not exists (select from service_account_tokens t where t.workspace_id = v.workspace_id and t.id = v.token_id))`

// tokensName is what the credential is called that tokens are which nobody named.
const tokensName = "Postern API"

// What was shown to somebody was a token before it was a version of a credential.
const updateAdopted = `
update service_exposures e set credential_id = v.credential_id, version = v.version, name = c.name
from service_versions v join service_credentials c on c.workspace_id = v.workspace_id and c.id = v.credential_id
where v.workspace_id = @workspace and v.credential_id = @credential and e.workspace_id = v.workspace_id and e.token_id = v.token_id and e.version is null`

// adopt makes the tokens of a locked service account the versions of one credential, wherever they were made or revoked.
func (s *Services) adopt(ctx context.Context, tx pgx.Tx, workspace, account core.ID) error {
	now := s.now()
	tokens, err := s.Directory.ServiceAccountTokens(ctx, tx, workspace, account)
	if err != nil {
		return err
	}
	args := pgx.StrictNamedArgs{"workspace": workspace, "account": account}
	found, err := postgres.Column[core.ID](ctx, tx, selectTokensCredential, args)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if len(tokens) == 0 {
			return nil
		}
		id := core.NewID()
		if _, err := tx.Exec(ctx, insertCredential, pgx.StrictNamedArgs{
			"id": id, "workspace": workspace, "account": account, "name": tokensName, "kind": Token, "held": ByPostern, "login": core.ID{}, "vault": core.ID{},
			"consumers": []string{}, "overlap": usualOverlap, "every": 0, "next": nil, "now": now,
		}); err != nil {
			return collision(err)
		}
		found = []core.ID{id}
	}
	if _, err := tx.Exec(ctx, revokeGone, pgx.StrictNamedArgs{"workspace": workspace, "credential": found[0], "now": now}); err != nil {
		return postgres.Classify(err)
	}
	b := &bench{Account: Account{ID: account, Workspace: workspace}, Credential: Credential{ID: found[0]}}
	if b.Versions, err = s.Versions(ctx, tx, workspace, found[0]); err != nil {
		return err
	}
	for _, token := range tokens {
		known := slices.ContainsFunc(b.Versions, func(v Version) bool { return v.Token == token.ID })
		if known || !token.Live(now) {
			continue
		}
		version := Version{Version: b.newest() + 1, Token: token.ID, Created: token.Created, Expires: token.Expires, LastUsed: token.LastUsed}
		if err := s.insertVersion(ctx, tx, b, version); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, updateAdopted, pgx.StrictNamedArgs{"workspace": workspace, "credential": found[0]})
	return postgres.Classify(err)
}

// keepUp follows the password of the account that holds a credential: what core/rotation, or a person, made of it there is a
// rotation here, with the same proofs.
func (s *Services) keepUp(ctx context.Context, tx pgx.Tx, cause core.Cause, b *bench) ([]core.Event, error) {
	versions, err := s.Accounts.Versions(ctx, tx, b.Account.Workspace, b.Credential.Login)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(versions, func(v accounts.Version) bool { return v.Label == accounts.LabelCurrent })
	if at < 0 {
		return nil, nil
	}
	current, now := versions[at], s.now()
	old, there := b.given()
	if !there {
		return nil, s.insertVersion(ctx, tx, b, Version{Version: b.newest() + 1, LoginVersion: current.Version, Created: now})
	}
	refused := func(version Version) bool {
		return slices.ContainsFunc(versions, func(v accounts.Version) bool { return v.Version == version.LoginVersion && v.Refused != nil })
	}
	if old.LoginVersion == current.Version {
		if b.Rotation == nil || b.Rotation.State != Verified || !refused(b.version(b.Rotation.Old)) {
			return nil, nil
		}
		return s.finish(ctx, tx, cause, b, "the app refused the old one")
	}
	var events []core.Event
	if b.Rotation != nil && b.Rotation.State == Verified { // and before the old one was proven dead there was the next
		if events, err = s.finish(ctx, tx, cause, b, "it was replaced again"); err != nil {
			return nil, err
		}
	}
	if err := s.insertVersion(ctx, tx, b, Version{Version: b.newest() + 1, LoginVersion: current.Version, Created: now}); err != nil {
		return nil, err
	}
	begun, err := s.created(ctx, tx, cause, b, ByApp, old.Version, "the account has a new password")
	if err != nil {
		return nil, err
	}
	events = append(events, begun...)
	proof := "the account's current password"
	if current.Proven != nil {
		proof = "the app accepted it at " + current.Proven.UTC().Format(time.RFC3339)
	}
	for _, step := range []struct {
		to     State
		detail string
	}{{Distributed, "it is given out from now on"}, {Verified, proof}} {
		told, err := s.step(ctx, tx, cause, b, step.to, step.detail)
		if err != nil {
			return nil, err
		}
		events = append(events, told...)
	}
	if refused(old) {
		told, err := s.finish(ctx, tx, cause, b, "the app refused the old one")
		return append(events, told...), err
	}
	return events, nil
}
