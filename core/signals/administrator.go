package signals

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// LogOut is an administrator's word that somebody is to be logged out everywhere: a logout through the door Console, of
// the person's own connection (of none for a guest), with whoever said it as its evidence. It goes by the policy about
// logouts, and nothing of it waits for a guard: those are for what a connection says. Said again while it is the same
// incident, and the person has not signed in in between, nothing is done twice, and the receipt is a Duplicate that names
// the first. Administrators may, service accounts and the system; who is unknown or deleted is NotFound.
func (s *Signals) LogOut(ctx context.Context, cause core.Cause, workspace, user core.ID) (Receipt, error) {
	person, err := s.Directory.User(ctx, s.DB, workspace, user)
	if err != nil {
		return Receipt{}, err
	}
	facts := map[string]string{"said_by": string(cause.Actor.Kind)}
	for name, value := range map[string]string{"actor": cause.Actor.ID.String(), "address": cause.Origin.Address} {
		if value != "" {
			facts[name] = value
		}
	}
	return s.Receive(ctx, cause, Signal{
		Workspace: workspace, Connection: person.Connection, Door: Console, Kind: Logout, Subject: OpaqueSubject(user.String()),
		Evidence: Evidence{Type: "administrator", Facts: facts}, Received: cause.Received,
	}, nil)
}

const selectHeld = `select id from signals where workspace_id = @workspace and id = any(@ids) and outcome = 'held'`

// undecided marks, when an administrator speaks for themselves, the incidents of which a connection's telling waits for
// one: what was left to be decided was not done, so that their word is no repetition of it.
func (t *telling) undecided(ctx context.Context, tx pgx.Tx) error {
	if t.cause.Actor.Kind == core.ActorConnection || len(t.known) == 0 {
		return nil
	}
	ids := make([]core.ID, 0, len(t.known))
	for _, one := range t.known {
		ids = append(ids, one.signal)
	}
	rows, err := tx.Query(ctx, selectHeld, pgx.StrictNamedArgs{"workspace": t.signal.Workspace, "ids": ids})
	if err != nil {
		return err
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	for i := range t.known {
		t.known[i].waits = slices.Contains(held, t.known[i].signal)
	}
	return err
}
