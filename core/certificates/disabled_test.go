package certificates_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/rotation"
	"postern/core/seal"
)

// recording are apps that keep a record of who is disabled, if they do.
type recording struct {
	*coretest.Apps
	keeps   bool
	refuses rotation.Outcome // instead of saying that the account is disabled
}

func (r *recording) SetEnabled(ctx context.Context, target rotation.Target, admin rotation.Credential, username string, enabled bool) rotation.Report {
	report := r.Apps.SetEnabled(ctx, target, admin, username, enabled)
	report.Recorded = r.keeps && report.Outcome == rotation.Applied
	return report
}

func (r *recording) Verify(ctx context.Context, target rotation.Target, credential rotation.Credential) rotation.Report {
	report := r.Apps.Verify(ctx, target, credential)
	if report.Outcome == rotation.Disabled && r.refuses != "" {
		report.Outcome = r.refuses
	}
	return report
}

// alone is somebody who has an account nobody else has, of an app that disables those of leavers.
func (h house) alone(t *testing.T, name string) (directory.User, accounts.Account) {
	t.Helper()
	bob, admin := h.join(t, name), h.account(t, h.app)
	var made accounts.Account
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if _, err = h.logins.SetReconcileAccount(ctx, tx, h.system(), h.workspace, h.app, admin.ID); err != nil {
			return err
		}
		if _, err = h.logins.SetDisableOnLeave(ctx, tx, h.system(), h.workspace, h.app, true); err != nil {
			return err
		}
		made, err = h.logins.CreateAccount(ctx, tx, h.system(), h.workspace, accounts.NewAccount{
			App: h.app, Username: name + "'s own", Password: seal.NewSecret("Original " + name), Owner: bob.ID,
		})
		return err
	})
	h.apps.Set(made.ID, "Original "+name, "")
	coretest.Must(t, h.fill(t, bob, made.ID))
	return bob, made
}

// shut does what there is to do about an account that is to be disabled or enabled.
func (h house) shut(t *testing.T, account core.ID) rotation.Switch {
	t.Helper()
	for range 10 {
		found, err := h.rotations.Switches(t.Context(), h.DB, h.workspace, account, 1)
		coretest.Must(t, err)
		if found[0].Finished != nil || found[0].NextAttempt == nil {
			return found[0]
		}
		h.clock.Pass(max(found[0].NextAttempt.Sub(h.clock.Now()), 0))
		_ = h.rotations.AdvanceSwitch(t.Context(), h.workspace, found[0].ID)
	}
	t.Fatal("it never comes to rest")
	return rotation.Switch{}
}

// A leaver's own accounts that are disabled are in the certificate, which waits for that: with when it was proved, and with what was
// not.
func TestAccountsThatWereDisabled(t *testing.T) {
	for name, test := range map[string]struct {
		keeps   bool
		refuses rotation.Outcome
		proved  bool
	}{
		"by its own record":         {keeps: true, refuses: rotation.Rejected, proved: true},
		"by its word":               {proved: true},
		"refused for whatever else": {refuses: rotation.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			h, other := w.house(t), w.house(t)
			w.rotations.Connectors = rotation.Connectors{"simulated": &recording{w.apps, test.keeps, test.refuses}}
			bob, own := h.alone(t, "bob")
			elsewhere, _ := other.alone(t, "kim")
			h.leave(t, bob)
			other.leave(t, elsewhere)
			h.work(t)
			if issued := h.settle(t); issued != 0 {
				t.Fatal("signed though the account is yet to be disabled")
			}
			if now := h.only(t, bob).Now; now.State != certificates.Pending || now.Count(certificates.Open) != 0 || len(now.Disabled) != 1 || now.Unproved() != 1 || now.Disabled[0].Why == "" {
				t.Fatalf("got %+v", now)
			}
			end := h.shut(t, own.ID)
			if issued := h.settle(t); issued != 1 || end.Proven == nil {
				t.Fatalf("%d issued: %+v", issued, end)
			}
			view := h.only(t, bob)
			said := h.verified(t, view)
			if said.State != certificates.Complete || len(said.Disabled) != 1 {
				t.Fatalf("got %+v", said)
			}
			one := said.Disabled[0]
			if one.Account != own.ID || one.Username != own.Username || one.Administrator.IsZero() || one.Asked.Before(said.Departed) || !one.Refused.Equal(*end.Proven) {
				t.Errorf("got %+v", one)
			}
			if (one.Proved != nil) != test.proved || (one.Recorded != nil) != test.keeps || (one.Why == "") != test.proved {
				t.Errorf("got %+v", one)
			}
			// Whoever changes what it says of that is found out.
			document, err := view.Issues[0].Document()
			coretest.Must(t, err)
			document.Certificate = json.RawMessage(strings.Replace(string(document.Certificate), own.Username, "a"+own.Username, 1))
			if _, _, err := document.Verify(document.Keys.Keys); core.KindOf(err) != core.KindUnauthenticated {
				t.Errorf("a forged account verifies: %v", err)
			}

			// Who is enabled again is not disabled, and that is told.
			h.clock.Pass(time.Hour)
			h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
				_, err := h.rotations.SetEnabled(ctx, tx, h.system(), h.workspace, own.ID, true)
				return err
			})
			h.shut(t, own.ID)
			if issued := h.settle(t); issued != 1 {
				t.Fatalf("%d issued once it is enabled again", issued)
			}
			if said = h.verified(t, h.only(t, bob)); said.Number != 2 || len(said.Disabled) != 0 {
				t.Errorf("got %+v", said)
			}
		})
	}
}

// Where the password could not be rotated, the app disables the account all the same, which ends every password; where it cannot, nobody
// is kept waiting for the certificate.
func TestAnAccountThatIsDisabledInsteadOfRotated(t *testing.T) {
	w := open(t)
	h := w.house(t)
	w.rotations.Connectors = rotation.Connectors{"simulated": &recording{w.apps, true, ""}}
	bob, own := h.alone(t, "bob")
	h.apps.Set(own.ID, "Original bob", rotation.Challenge)
	h.leave(t, bob)
	h.work(t)
	h.settle(t)
	if now := h.only(t, bob).Now; now.State != certificates.Pending || now.Count(certificates.Open) != 1 {
		t.Fatalf("got %+v", now)
	}
	h.shut(t, own.ID)
	h.settle(t)
	said := h.verified(t, h.only(t, bob))
	if said.State != certificates.Complete || said.Unproved() != 0 || !said.Credentials[0].Died.Equal(*said.Disabled[0].Proved) || said.Safe == nil || said.Credentials[0].Why == "" {
		t.Fatalf("got %+v", said)
	}

	kim, hers := h.alone(t, "kim")
	w.rotations.Connectors = rotation.Connectors{"simulated": struct{ rotation.Changer }{w.apps}}
	h.leave(t, kim)
	h.work(t)
	if end := h.shut(t, hers.ID); end.State != rotation.SwitchBlocked {
		t.Fatalf("%+v", end)
	}
	h.settle(t)
	if said = h.verified(t, h.only(t, kim)); said.State != certificates.Complete || said.Unproved() != 1 || !strings.Contains(said.Disabled[0].Why, "takes a connector that can") {
		t.Errorf("got %+v", said)
	}
}
