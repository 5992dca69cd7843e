package certificates_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/seal"
)

// secondFactors stores a TOTP secret and a list of backup codes that somebody enters.
func (h house) secondFactors(t coretest.T, by core.Actor, account core.ID) {
	t.Helper()
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		cause := core.NewCause(by, h.clock.Now())
		if _, err := h.logins.SetTOTP(ctx, tx, cause, h.workspace, account, seal.NewSecret("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")); err != nil {
			return err
		}
		_, err := h.logins.SetBackupCodes(ctx, tx, cause, h.workspace, account, []seal.Secret{seal.NewSecret("code-1"), seal.NewSecret("code-2")})
		return err
	})
}

// secrets writes what became of the secrets of a certificate: "totp 1 open, …".
func secrets(said certificates.Certificate) string {
	var texts []string
	for _, one := range said.Secrets {
		state := "open"
		if one.Ended != nil {
			state = "ended"
		}
		texts = append(texts, fmt.Sprintf("%s %d %s", one.Kind, one.Version, state))
	}
	return strings.Join(texts, ", ")
}

// Who entered a second factor, or was given a part of it, takes that along; only a person can have the app make another one.
func TestSecondFactorsOfALeaver(t *testing.T) {
	h := open(t).house(t)
	bob := h.join(t, "bob")
	own, given := h.account(t, h.app), h.account(t, h.app)
	h.share(t, own.ID, accounts.Subject{User: bob.ID}, accounts.Owner)
	h.share(t, given.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.secondFactors(t, bob.Actor(), own.ID) // which he replaces before he leaves
	h.secondFactors(t, bob.Actor(), own.ID)
	h.secondFactors(t, core.System, given.ID)
	cause := core.NewCause(bob.Actor(), h.clock.Now())
	_, err := h.logins.Code(t.Context(), cause, h.workspace, bob.ID, given.ID) // good for seconds
	coretest.Must(t, err)
	_, err = h.logins.UseBackupCode(t.Context(), cause, h.workspace, bob.ID, given.ID)
	coretest.Must(t, err)
	coretest.Must(t, h.fill(t, bob, given.ID))

	h.leave(t, bob)
	h.work(t)
	if issued := h.settle(t); issued != 0 {
		t.Fatal("signed though he can make codes himself")
	}
	h.clock.Pass(certificates.DefaultDeadline)
	h.settle(t)
	said := h.verified(t, h.only(t, bob))
	if said.State != certificates.Incomplete || said.Count(certificates.Open) != 0 || secrets(said) != "backup_codes 3 open, totp 2 open, backup_code 1 open" {
		t.Fatalf("%s: %s, %d passwords open", said.State, secrets(said), said.Count(certificates.Open))
	}
	for _, one := range said.Secrets {
		if one.Of.Name == "" || one.Why == "" || one.NextStep == "" || one.Known.IsZero() {
			t.Errorf("got %+v", one)
		}
	}
	h.secondFactors(t, h.ana.Actor(), own.ID)
	h.secondFactors(t, h.ana.Actor(), given.ID)
	h.settle(t)
	after := h.verified(t, h.only(t, bob))
	if after.State != certificates.Complete || after.Number != 2 || secrets(after) != "backup_codes 3 ended, totp 2 ended, backup_code 1 ended" {
		t.Fatalf("%s, issue %d: %s", after.State, after.Number, secrets(after))
	}
	if !after.Safe.Equal(h.clock.Now()) {
		t.Errorf("safe since %s, and it is %s", after.Safe, h.clock.Now())
	}
}
