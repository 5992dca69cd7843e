package rotation

import (
	"context"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/postgres"
	"postern/core/seal"
)

// Inbox is where the codes come to that apps send.
type Inbox interface {
	// Codes gives what waits for the codes that are sent to an account from now on, none twice: nil if it can be sent
	// none. What is given ends with an error of code "no_message" once it has waited as long as a code may take.
	Codes(ctx context.Context, q postgres.Querier, workspace, account core.ID) (func(ctx context.Context) (seal.Secret, error), error)
	// Links is Codes of the links that are mailed to an account, to hosts of its app; address is where to: empty if the
	// account has none.
	Links(ctx context.Context, q postgres.Querier, workspace, account core.ID) (address string, link func(ctx context.Context) (seal.Secret, error), err error)
}

// credential is what an account is signed in to with.
func (r *Rotations) credential(ctx context.Context, account accounts.Account, version int) (Credential, error) {
	password, err := r.Accounts.Password(ctx, r.DB, account.Workspace, account.ID, version)
	if err != nil {
		return Credential{}, err
	}
	return r.credentialWith(ctx, account, password)
}

func (r *Rotations) credentialWith(ctx context.Context, account accounts.Account, password seal.Secret) (Credential, error) {
	given := Credential{Username: account.Username, Password: password}
	switch _, err := r.Accounts.TOTP(ctx, r.DB, account.Workspace, account.ID); {
	case err == nil:
		given.Code = func(ctx context.Context) (seal.Secret, error) { return r.code(ctx, account) }
	case core.KindOf(err) != core.KindNotFound:
		return Credential{}, err
	case r.Inbox != nil:
		// What comes from here on is meant for this sign-in.
		if given.Code, err = r.Inbox.Codes(ctx, r.DB, account.Workspace, account.ID); err != nil {
			return Credential{}, err
		}
		given.Sent = given.Code != nil
	}
	return given, nil
}

func (r *Rotations) code(ctx context.Context, account accounts.Account) (seal.Secret, error) {
	return unspent(ctx, func(ctx context.Context) (seal.Secret, time.Duration, error) {
		return r.Accounts.SpendCode(ctx, account.Workspace, account.ID)
	})
}

func (r *Rotations) candidateCode(ctx context.Context, account accounts.Account, version int) (seal.Secret, error) {
	return unspent(ctx, func(ctx context.Context) (seal.Secret, time.Duration, error) {
		return r.Accounts.SpendCandidateCode(ctx, account.Workspace, account.ID, version)
	})
}

// unspent waits for a one-time code that nobody has had.
func unspent(ctx context.Context, spend func(ctx context.Context) (seal.Secret, time.Duration, error)) (seal.Secret, error) {
	for {
		code, wait, err := spend(ctx)
		if err != nil || wait == 0 {
			return code, err
		}
		select {
		case <-ctx.Done():
			return seal.Secret{}, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// patience is how long a sign-in with a credential may take that would take so long without a code.
func patience(bare time.Duration, given Credential) time.Duration {
	if given.Code == nil {
		return bare
	}
	return bare + accounts.MaxTOTPPeriod
}
