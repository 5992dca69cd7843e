package certificates_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/rotation"
)

// ending are apps whose administrator ends sessions.
type ending struct {
	*coretest.Apps
	within func()
}

func (e ending) Revoke(context.Context, rotation.Target, rotation.Credential, string) rotation.Report {
	e.within()
	return rotation.Report{Outcome: rotation.Applied, Stage: rotation.StageSubmit, Released: true, Finished: e.Clock.Pass(time.Second)}
}

// The sessions that were ended are in the certificate, which waits for that.
func TestSessionsThatWereEnded(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	shared, admin := h.account(t, h.app), h.account(t, h.app)
	early := 0
	w.rotations.Connectors = rotation.Connectors{"simulated": ending{w.apps, func() {
		// Both proofs are there, and somebody looks.
		_, err := h.DB.Exec(t.Context(), `update certificates set due = now() - interval '100 years'`)
		coretest.Must(t, err)
		issued, err := h.IssueDue(t.Context())
		coretest.Must(t, err)
		early += issued
	}}}
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.logins.SetReconcileAccount(ctx, tx, h.system(), h.workspace, h.app, admin.ID)
		return err
	})
	h.share(t, shared.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	coretest.Must(t, h.fill(t, bob, shared.ID))
	h.leave(t, bob)
	h.work(t)
	h.settle(t)
	said := h.verified(t, h.only(t, bob))
	if said.State != certificates.Complete || said.Number != 1 || early != 0 {
		t.Fatalf("%d issued early: %+v", early, said)
	}
	if proof := said.Credentials[0].Proof; proof.SessionsEnded == nil || proof.SessionsEnded.Before(proof.OldRefused) {
		t.Errorf("it says %+v", proof)
	}
}
