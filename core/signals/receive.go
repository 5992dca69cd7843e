package signals

import (
	"context"

	"postern/core"
	"postern/core/directory"
	"postern/core/lifecycle"
)

// Receive carries out a signal and returns its receipt, after the commit. It is one transaction: whom the signal
// means inside its connection, what the policy makes of it, whether the incident was told before, whether too
// many are meant at once, the effect, the receipt, the events, and the single use of what carried it (once; nil:
// none). A signal that means nobody is NotFound, with its receipt. What cannot be done to who is meant, such as
// taking the last owner away, is a Conflict or Denied.
func (s *Signals) Receive(ctx context.Context, cause core.Cause, signal Signal, once *Once) (Receipt, error) {
	connection, err := s.Directory.Connection(ctx, s.DB, signal.Workspace, signal.Connection)
	if err != nil {
		return Receipt{}, err
	}
	var users []directory.User
	for _, name := range signal.Subject.names() {
		found, err := s.resolve(ctx, s.DB, connection, name)
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return Receipt{}, err
		}
		users = append(users, found...)
	}
	receipt := Receipt{ID: core.NewID(), Signal: signal, Outcome: Nobody, Commands: []Command{EndSessions, Rotate}}
	if len(users) == 0 {
		return receipt, core.NotFound("user in this connection")
	}
	targets := make([]core.Target, 0, len(users)+1)
	for _, user := range users {
		receipt.Users = append(receipt.Users, user.ID)
		targets = append(targets, user.Target())
	}
	targets = append(targets, core.Target{Kind: "connection", ID: connection.ID, Name: connection.Name})
	event := core.NewEvent(core.SignalAccepted, connection.Workspace, cause, s.now(), targets...).
		With("signal", string(signal.Door)).With("subject", signal.Subject.String()).With("token_id", cut(signal.Evidence.TokenID, 200))
	var use *lifecycle.TokenUse
	if once != nil {
		use = &lifecycle.TokenUse{Connection: connection.ID, TokenID: once.TokenID, BodyHash: once.BodyHash, Status: once.Status, Expires: once.Expires}
	}
	effect, err := s.Lifecycle.LogoutAll(ctx, cause, signal.Workspace, receipt.Users, use, event)
	if err != nil {
		return Receipt{}, err
	}
	receipt.Outcome, receipt.Sessions, receipt.Rotations = Done, effect.SessionsEnded, effect.Rotations
	receipt.Replayed, receipt.Status, receipt.Committed = effect.Replayed, effect.Status, s.now()
	return receipt, nil
}
