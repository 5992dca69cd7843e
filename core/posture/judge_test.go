package posture_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/posture"
	"postern/core/seal"
)

// rotate makes a new password the current one, as a rotation does.
func (h *house) rotate(t testing.TB, account core.ID, password string) {
	t.Helper()
	h.core.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		version, err := h.core.Accounts.AddCandidate(ctx, tx, h.id, account, seal.NewSecret(password))
		if err != nil {
			return err
		}
		return h.core.Accounts.Promote(ctx, tx, h.id, account, version)
	})
}

// What was stored before anything was kept of passwords is judged afterwards, and counts for no good until then.
func TestOldPasswordsAreJudged(t *testing.T) {
	h, other := pair(t)
	h.account(t, "Summer2026!")
	same := strong()
	h.account(t, same)
	h.account(t, same)
	h.exec(t, `update credential_versions set fingerprint = null, fingerprint_epoch = null, strength = null where workspace_id = @workspace`, nil)
	before, err := h.Overview(t.Context(), h.DB, h.id)
	coretest.Must(t, err)
	if found := h.findings(t, posture.Filter{Severity: posture.High}, 10); len(found) != 0 || before.Unjudged != 3 {
		t.Fatalf("before: %d, %v", before.Unjudged, found)
	}
	for _, part := range before.Parts {
		if part.Name == string(posture.PasswordWeak) && part.Good != 0 {
			t.Errorf("%d passwords that nobody judged are good", part.Good)
		}
	}
	untouched := other.core.Snapshot(t, other.id, "credential_versions")
	// A workspace whose key is gone keeps no other from being judged.
	lost := h.world.house(t, "lost")
	lost.account(t, "password")
	lost.exec(t, `update credential_versions set fingerprint = null, fingerprint_epoch = null, strength = null where workspace_id = @workspace`, nil)
	lost.exec(t, `update workspace_keys set provider = 'local:another' where workspace_id = @workspace`, nil)
	h.clock.Pass(time.Hour) // what was unwrapped is forgotten
	if judged, err := h.core.Accounts.Judge(t.Context()); judged != 3 || core.KindOf(err) != core.KindUnavailable {
		t.Fatalf("%d are judged, %v", judged, err)
	}
	if found := h.findings(t, posture.Filter{Severity: posture.High}, 10); kindsOf(found) != "password_reused password_weak" || len(found) != 3 {
		t.Errorf("afterwards: %v", found)
	}
	if judged, _ := h.core.Accounts.Judge(t.Context()); judged != 0 {
		t.Errorf("%d are judged twice", judged)
	}
	if other.core.Snapshot(t, other.id, "credential_versions")["credential_versions"] != untouched["credential_versions"] {
		t.Error("what was judged already is judged again")
	}
	// Storing works while the key provider is away: a password is never lost for want of a judgement.
	var id core.ID
	coretest.Must(t, h.DB.QueryRow(t.Context(), `select id from accounts where workspace_id = $1`, lost.id).Scan(&id))
	lost.rotate(t, id, strong())
	if kept := lost.count(t, `select count(*) from credential_versions where workspace_id = @workspace and label = 'current' and version = 2 and fingerprint is null`, nil); kept != 1 {
		t.Error("the new password is not the current one")
	}
	lost.exec(t, `update workspace_keys set provider = (select k.provider from workspace_keys k where k.workspace_id <> @workspace limit 1) where workspace_id = @workspace`, nil)
	if judged, err := h.core.Accounts.Judge(t.Context()); judged != 1 || err != nil {
		t.Errorf("once it is back %d are judged, %v", judged, err)
	}
}
