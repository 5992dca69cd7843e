package browser

import (
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
)

// A person of a real Redmine is rotated by the engine as it is: while the application has them locked, after somebody set another
// password by hand, and with a second factor that the engine turned on, which takes as long as one-time codes do.
func TestTheEngineRotatesRedmine(t *testing.T) {
	partstest.Long(t, "web application")
	t.Parallel()
	b := connector(t)
	site := started(t, "Redmine", apps.StartRedmine, "shared")
	made := connectortest.Engine{
		Connector: b,
		App: accounts.NewApp{
			Name: "Redmine", Domains: []string{"127.0.0.1"}, SignInURL: site.SignInURL, ChangeURL: site.ChangeURL, Connector: "browser",
		},
		Account: rotation.Credential{Username: "shared", Password: seal.NewSecret(first)},
		Set: func(t *testing.T, password seal.Secret) {
			if err := site.SetPassword(t.Context(), "shared", password.Reveal()); err != nil {
				t.Fatal(err)
			}
		},
		Enable: func(t *testing.T, on bool) {
			if err := site.Enable(t.Context(), "shared", on); err != nil {
				t.Fatal(err)
			}
		},
		Options: rotation.Options{FailedSignIns: 50, Settle: time.Second, FirstRetry: time.Second, LastRetry: 2 * time.Second}, Slow: true,
	}.Open(t)
	before := made.Through(t)
	if enrolled := made.Enrol(t); enrolled.State != rotation.StateDone {
		t.Fatalf("it is %s: %s", enrolled.State, enrolled.Detail)
	}
	if left := made.BackupCodes(t); left != 10 {
		t.Errorf("%d backup codes are in the vault", left)
	}
	made.Rotated(t, before)
}
