package protocol

import (
	"context"

	"postern/core/rotation"
)

// Guarded is the Connector of a Protocol whose sessions are Doorkeepers.
type Guarded struct{ Administered }

// Governed is the Connector of a Protocol whose sessions are Governors.
type Governed struct{ Guarded }

// Listed is the Connector of a Protocol whose sessions are Governors and Clerks.
type Listed struct{ Governed }

// Registered is the Connector of a Protocol whose sessions are Doorkeepers and Clerks.
type Registered struct{ Guarded }

var (
	_ rotation.Lister   = (*Listed)(nil)
	_ rotation.Lister   = (*Registered)(nil)
	_ rotation.Disabler = (*Guarded)(nil)
	_ rotation.Disabler = (*Governed)(nil)
	_ rotation.Revoker  = (*Governed)(nil)
)

// SetEnabled implements rotation.Disabler. Where the app's record of the account can be read, it is read back.
func (c *Guarded) SetEnabled(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, enabled bool) rotation.Report {
	did := map[bool]string{true: "The app lets the account in.", false: "The app lets the account in no more."}[enabled]
	a := c.begin(target, admin.Password)
	return a.govern(ctx, admin, did, func(ctx context.Context, session Session) error {
		doorkeeper, ok := session.(Doorkeeper)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody shuts people out of this app."}
		}
		if err := doorkeeper.SetEnabled(ctx, username, enabled); err != nil {
			return err
		}
		registrar, reads := session.(Registrar)
		if !reads {
			return nil
		}
		is, known, err := registrar.Enabled(ctx, username)
		if err == nil && known && is != enabled {
			return &Failure{Outcome: rotation.Unknown, Detail: "The app took the request, and its own record of the account says otherwise."}
		}
		a.recorded = err == nil && known // what could not be read is no record, and was done all the same
		return nil
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
	return c.list(ctx, target, admin, each)
}

// Users implements rotation.Lister.
func (c *Registered) Users(ctx context.Context, target rotation.Target, admin rotation.Credential, each func(user rotation.User) error) rotation.Report {
	return c.list(ctx, target, admin, each)
}

func (c *Connector) list(ctx context.Context, target rotation.Target, admin rotation.Credential, each func(user rotation.User) error) rotation.Report {
	a := c.begin(target, admin.Password)
	a.most = maxTold
	return a.govern(ctx, admin, "The app told of all its accounts.", func(ctx context.Context, session Session) error {
		clerk, ok := session.(Clerk)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody lists the accounts of this app."}
		}
		return clerk.Users(ctx, each)
	})
}

// govern has an administrator act on an account.
func (c *Connector) govern(ctx context.Context, target rotation.Target, admin rotation.Credential, did string, act func(ctx context.Context, session Session) error) rotation.Report {
	return c.begin(target, admin.Password).govern(ctx, admin, did, act)
}

func (a *attempt) govern(ctx context.Context, admin rotation.Credential, did string, act func(ctx context.Context, session Session) error) rotation.Report {
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
