package protocol

import (
	"context"

	"postern/core/rotation"
)

// Guarded is the Connector of a Protocol whose sessions are Doorkeepers.
type Guarded struct{ Administered }

// Governed is the Connector of a Protocol whose sessions are Governors.
type Governed struct{ Guarded }

// Listed is the Connector of a Protocol whose sessions are Clerks.
type Listed struct{ Governed }

var (
	_ rotation.Lister   = (*Listed)(nil)
	_ rotation.Disabler = (*Guarded)(nil)
	_ rotation.Disabler = (*Governed)(nil)
	_ rotation.Revoker  = (*Governed)(nil)
)

// SetEnabled implements rotation.Disabler.
func (c *Guarded) SetEnabled(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, enabled bool) rotation.Report {
	did := map[bool]string{true: "The app lets the account in.", false: "The app lets the account in no more."}[enabled]
	return c.govern(ctx, target, admin, did, func(ctx context.Context, session Session) error {
		doorkeeper, ok := session.(Doorkeeper)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody shuts people out of this app."}
		}
		return doorkeeper.SetEnabled(ctx, username, enabled)
	})
}

// Revoke implements rotation.Revoker.
func (c *Governed) Revoke(ctx context.Context, target rotation.Target, admin rotation.Credential, username string) rotation.Report {
	return c.govern(ctx, target, admin, "The app ended the account's sessions.", func(ctx context.Context, session Session) error {
		governor, ok := session.(Governor)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody ends sessions in this app."}
		}
		return governor.Revoke(ctx, username)
	})
}

// Users implements rotation.Lister.
func (c *Listed) Users(ctx context.Context, target rotation.Target, admin rotation.Credential, each func(user rotation.User) error) rotation.Report {
	return c.govern(ctx, target, admin, "The app told of all its accounts.", func(ctx context.Context, session Session) error {
		clerk, ok := session.(Clerk)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody lists the accounts of this app."}
		}
		return clerk.Users(ctx, each)
	})
}

// govern has an administrator act on an account.
func (c *Connector) govern(ctx context.Context, target rotation.Target, admin rotation.Credential, did string, act func(ctx context.Context, session Session) error) rotation.Report {
	a := c.begin(target, admin.Password)
	a.administered, a.did = true, did
	return a.report(ctx, func(ctx context.Context) error {
		session, err := a.signIn(ctx, admin)
		if err != nil {
			return err
		}
		defer session.Close()
		a.stage, a.done, a.released = rotation.StageSubmit, rotation.Applied, true
		return act(ctx, session)
	})
}
