package protocol

import (
	"context"

	"postern/core/rotation"
	"postern/core/seal"
)

// Administered is the Connector of a Protocol whose sessions are Administrators.
type Administered struct{ Connector }

var _ rotation.Resetter = (*Administered)(nil)

// Reset implements rotation.Resetter.
func (c *Administered) Reset(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	a := c.begin(target, admin.Password, next)
	a.administered = true
	return a.report(ctx, func(ctx context.Context) error {
		session, err := a.signIn(ctx, admin)
		if err != nil {
			return err
		}
		defer session.Close()
		administrator, ok := session.(Administrator)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody sets other people's passwords in this app."}
		}
		a.stage, a.done = rotation.StageChangeForm, rotation.Applied
		return administrator.Reset(ctx, username, next, a.gate(ctx, release))
	})
}

// administrators is what keeps an administrator out, told apart from what keeps the account out.
func administrators(failure *Failure) (rotation.Outcome, string) {
	switch failure.Outcome {
	case rotation.Rejected:
		return rotation.AdminRejected, failure.Detail
	case rotation.Locked, rotation.Disabled, rotation.MustChange, rotation.Challenge:
		return rotation.AdminDenied, failure.Detail
	}
	return failure.Outcome, failure.Detail
}
