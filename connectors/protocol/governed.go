package protocol

import (
	"context"

	"postern/core/rotation"
)

// Governed is the Connector of a Protocol whose sessions are Governors.
type Governed struct{ Administered }

var (
	_ rotation.Disabler = (*Governed)(nil)
	_ rotation.Revoker  = (*Governed)(nil)
)

// SetEnabled implements rotation.Disabler.
func (c *Governed) SetEnabled(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, enabled bool) rotation.Report {
	did := map[bool]string{true: "The app lets the account in.", false: "The app lets the account in no more."}[enabled]
	return c.govern(ctx, target, admin, did, func(ctx context.Context, governor Governor) error {
		return governor.SetEnabled(ctx, username, enabled)
	})
}

// Revoke implements rotation.Revoker.
func (c *Governed) Revoke(ctx context.Context, target rotation.Target, admin rotation.Credential, username string) rotation.Report {
	return c.govern(ctx, target, admin, "The app ended the account's sessions.", func(ctx context.Context, governor Governor) error {
		return governor.Revoke(ctx, username)
	})
}

func (c *Governed) govern(ctx context.Context, target rotation.Target, admin rotation.Credential, did string, act func(ctx context.Context, governor Governor) error) rotation.Report {
	a := c.begin(target, admin.Password)
	a.administered, a.did = true, did
	return a.report(ctx, func(ctx context.Context) error {
		session, err := a.signIn(ctx, admin)
		if err != nil {
			return err
		}
		defer session.Close()
		governor, ok := session.(Governor)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody shuts people out of this app."}
		}
		a.stage, a.done, a.released = rotation.StageSubmit, rotation.Applied, true
		return act(ctx, governor)
	})
}
