package protocol

import (
	"context"

	"postern/core/rotation"
	"postern/core/seal"
)

// Issued is Listed, of a TokenProtocol whose sessions are Issuers too.
type Issued struct{ Listed }

var _ rotation.Issuer = (*Issued)(nil)

// Issue implements rotation.Issuer.
func (c *Issued) Issue(ctx context.Context, target rotation.Target, by rotation.Credential, username, name string, keep func(ctx context.Context, id string, value seal.Secret) error) rotation.Report {
	a := c.begin(target, by.Password)
	return a.issuer(ctx, by, "The app made a token.", func(ctx context.Context, issuer Issuer) error {
		id, value, err := issuer.Issue(ctx, username, name)
		if err != nil {
			return err
		}
		a.secrets = append(a.secrets, value)
		return keep(ctx, id, value)
	})
}

// Tokens implements rotation.Issuer.
func (c *Issued) Tokens(ctx context.Context, target rotation.Target, by rotation.Credential, username string, each func(token rotation.Token) error) rotation.Report {
	a := c.begin(target, by.Password)
	a.most = maxTold
	return a.issuer(ctx, by, "The app told of the account's tokens.", func(ctx context.Context, issuer Issuer) error {
		return issuer.Tokens(ctx, username, each)
	})
}

// Withdraw implements rotation.Issuer.
func (c *Issued) Withdraw(ctx context.Context, target rotation.Target, by rotation.Credential, username, id string) rotation.Report {
	return c.begin(target, by.Password).issuer(ctx, by, "The app ended the token.", func(ctx context.Context, issuer Issuer) error {
		return issuer.Withdraw(ctx, username, id)
	})
}

// issuer has somebody who signs in make or end tokens.
func (a *attempt) issuer(ctx context.Context, by rotation.Credential, did string, act func(ctx context.Context, issuer Issuer) error) rotation.Report {
	return a.govern(ctx, by, did, func(ctx context.Context, session Session) error {
		issuer, ok := session.(Issuer)
		if !ok {
			return &Failure{Outcome: rotation.AdminDenied, Detail: "Nobody makes tokens in this app."}
		}
		return act(ctx, issuer)
	})
}

// TryToken implements rotation.Issuer.
func (c *Issued) TryToken(ctx context.Context, target rotation.Target, username string, token seal.Secret) rotation.Report {
	a := c.begin(target, token)
	return a.report(ctx, func(ctx context.Context) error {
		endpoint, err := a.endpoint()
		if err != nil {
			return err
		}
		protocol, ok := c.Protocol.(TokenProtocol)
		if !ok {
			return &Failure{Outcome: rotation.NotSent, Detail: "Nobody gets into this app with a token."}
		}
		a.stage = rotation.StageSignIn
		if err := protocol.TryToken(ctx, endpoint, target.Settings, username, token); err != nil {
			return err
		}
		a.stage, a.done = rotation.StageVerify, rotation.Accepted
		return nil
	})
}
