package outlogout

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"postern/core"
	"postern/core/audit"
	"postern/core/postgres"
	"postern/webhooks/delivery"
)

// The ways of telling an app.
const (
	BackChannel           = "back_channel"            // OIDC Back-Channel Logout 1.0
	GlobalTokenRevocation = "global_token_revocation" // draft-parecki-oauth-global-token-revocation
)

// The names an app may know people by.
const (
	ByEmail      = "email"
	ByIssSub     = "iss_sub"     // what their identity provider calls them
	ByUserID     = "user_id"     // Postern's id
	ByExternalID = "external_id" // SCIM's, the identity provider's
)

// Target is an app that is told of logouts.
type Target struct {
	ID            core.ID   `db:"id"`
	Workspace     core.ID   `db:"workspace_id"`
	App           core.ID   `db:"app_id"` // zero: none of the workspace's
	Name          string    `db:"name"`
	Kind          string    `db:"kind"`
	Address       string    `db:"address"`
	ClientID      string    `db:"client_id"` // aud of a logout token; sub of a revocation's token
	SubjectFormat string    `db:"subject_format"`
	Created       time.Time `db:"created"`
	Updated       time.Time `db:"updated"`
}

func (t Target) target() core.Target { return core.Target{Kind: Kind, ID: t.ID, Name: t.Name} }

func (s *Service) check(t Target) error {
	parsed, err := url.Parse(t.Address)
	switch {
	case t.Name == "" || len(t.Name) > 100:
		return core.Invalid("name", "a name has 1 to 100 bytes")
	case !slices.Contains([]string{BackChannel, GlobalTokenRevocation}, t.Kind):
		return core.Invalid("kind", "an app is told by back_channel or global_token_revocation")
	case err != nil || parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" || len(t.Address) > 1024:
		return core.Invalid("address", "an address that begins with https:// is needed")
	case parsed.Scheme != "https" && !(parsed.Scheme == "http" && s.AllowPrivate):
		return core.Invalid("address", "https is needed")
	case t.ClientID == "" || len(t.ClientID) > 255:
		return core.Invalid("client_id", "what the app calls itself to its identity provider is needed")
	case !slices.Contains([]string{ByEmail, ByIssSub, ByUserID, ByExternalID}, t.SubjectFormat):
		return core.Invalid("subject_format", "people are known by email, iss_sub, user_id or external_id")
	}
	return nil
}

const insertTarget = `
insert into logout_targets (id, workspace_id, app_id, name, kind, address, client_id, subject_format, created, updated)
values (@id, @workspace, @app, @name, @kind, @address, @client, @format, @now, @now)`

// Add has an app told of logouts from now on. A taken name is a Conflict on "name", an unknown app NotFound.
func (s *Service) Add(ctx context.Context, cause core.Cause, wanted Target) (Target, error) {
	wanted.ID, wanted.Created = core.NewID(), s.now()
	wanted.Updated = wanted.Created
	if err := s.check(wanted); err != nil {
		return Target{}, err
	}
	err := s.change(ctx, func(tx pgx.Tx) error {
		if err := s.Deliveries.Open(ctx, tx, delivery.Lane{ID: wanted.ID, Workspace: wanted.Workspace, Kind: Kind, Name: wanted.Name, Carried: true}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertTarget, pgx.StrictNamedArgs{
			"id": wanted.ID, "workspace": wanted.Workspace, "app": wanted.App, "name": wanted.Name, "kind": wanted.Kind, "address": wanted.Address,
			"client": wanted.ClientID, "format": wanted.SubjectFormat, "now": wanted.Created,
		}); err != nil {
			return collision(err)
		}
		return audit.Append(ctx, tx, core.NewEvent(core.LogoutTargetCreated, wanted.Workspace, cause, s.now(), wanted.target()).With("kind", wanted.Kind))
	})
	return wanted, err
}

func (s *Service) change(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, work)
	if err == nil {
		s.wake()
	}
	return postgres.Classify(err)
}

func collision(err error) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && server.ConstraintName == "logout_target_name":
		return core.Conflict("name", "there is a logout target of that name")
	case ok && server.Code == "23503":
		return core.Invalid("app", "there is no such app in this workspace")
	}
	return err
}

const targetColumns = `id, workspace_id, app_id, name, kind, address, client_id, subject_format, created, updated`

const selectTarget = `select ` + targetColumns + ` from logout_targets where workspace_id = @workspace and id = @id`

// Target reads one.
func (s *Service) Target(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Target, error) {
	rows, err := q.Query(ctx, selectTarget, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
	if err != nil {
		return Target{}, postgres.Classify(err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Target])
	if errors.Is(err, pgx.ErrNoRows) {
		return Target{}, core.NotFound("logout target")
	}
	return found, postgres.Classify(err)
}

const selectTargets = `select ` + targetColumns + ` from logout_targets where workspace_id = @workspace order by created, id`

// Targets lists the targets of a workspace, oldest first.
func (s *Service) Targets(ctx context.Context, q postgres.Querier, workspace core.ID) ([]Target, error) {
	rows, err := q.Query(ctx, selectTargets, pgx.StrictNamedArgs{"workspace": workspace})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Target])
	return found, postgres.Classify(err)
}

const updateTarget = `
update logout_targets set name = @name, address = @address, client_id = @client, subject_format = @format, updated = @now
where workspace_id = @workspace and id = @id`

// Change writes what edit makes of a target; its kind and app stay.
func (s *Service) Change(ctx context.Context, cause core.Cause, workspace, id core.ID, edit func(*Target)) (Target, error) {
	var one Target
	err := s.change(ctx, func(tx pgx.Tx) (err error) {
		before, err := s.Target(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		one = before
		edit(&one)
		one.ID, one.Workspace, one.Kind, one.App, one.Created, one.Updated = before.ID, before.Workspace, before.Kind, before.App, before.Created, s.now()
		if err := s.check(one); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, updateTarget, pgx.StrictNamedArgs{
			"workspace": workspace, "id": id, "name": one.Name, "address": one.Address, "client": one.ClientID, "format": one.SubjectFormat, "now": one.Updated,
		}); err != nil {
			return collision(err)
		}
		if one.Name != before.Name {
			if err := s.Deliveries.Change(ctx, tx, workspace, id, one.Name, true); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, core.NewEvent(core.LogoutTargetUpdated, workspace, cause, s.now(), one.target()).With("changed", "settings"))
	})
	return one, err
}

// SetState has a target told again (running), later (paused), or no more (disabled).
func (s *Service) SetState(ctx context.Context, cause core.Cause, workspace, id core.ID, state delivery.State, reason string) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Target(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if err := s.Deliveries.SetState(ctx, tx, workspace, id, state, reason); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.LogoutTargetUpdated, workspace, cause, s.now(), one.target()).With("state", string(state)))
	})
}

// Retry has dead letters of a target sent again: one, or with the zero id all. It returns how many.
func (s *Service) Retry(ctx context.Context, cause core.Cause, workspace, id, letter core.ID) (int, error) {
	count := 0
	err := s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Target(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if count, err = s.Deliveries.Retry(ctx, tx, workspace, id, letter); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.LogoutTargetUpdated, workspace, cause, s.now(), one.target()).With("dead_letters", "retried"))
	})
	return count, err
}

// Delete tells an app no more, not even of what waits.
func (s *Service) Delete(ctx context.Context, cause core.Cause, workspace, id core.ID) error {
	return s.change(ctx, func(tx pgx.Tx) error {
		one, err := s.Target(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if err := s.Deliveries.Close(ctx, tx, workspace, id); err != nil {
			return err
		}
		return audit.Append(ctx, tx, core.NewEvent(core.LogoutTargetDeleted, workspace, cause, s.now(), one.target()))
	})
}
