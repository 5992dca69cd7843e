package browser

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/connectors/hostile"
	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/rotation"
	"postern/core/seal"
)

// TestNoHostileAppLosesAPassword has the real engine and a real browser rotate a password in an app that treats them as
// badly as it can. Whatever happens, the password the app has is stored, the account is not locked, and people are told;
// and once the app behaves, the password is rotated.
func TestNoHostileAppLosesAPassword(t *testing.T) {
	partstest.Long(t, "browser")
	clock := coretest.NewClock(time.Now())
	c := coretest.Open(t, clock.Now)
	b, err := New(Options{AllowPrivate: true, Timeout: 4 * time.Second, Now: func() time.Time { return clock.Pass(time.Millisecond) }})
	partstest.Need(t, "browser", err)
	t.Cleanup(func() { _ = b.Close() })
	c.Rotations.Connectors = rotation.Connectors{Name: b}
	var workspace, owner core.ID
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := c.Directory.CreateWorkspace(ctx, tx, coretest.System(), "acme", "Acme")
		if err != nil {
			return err
		}
		user, err := c.Directory.InsertUser(ctx, tx, directory.User{Workspace: made.ID, UserName: "ana", Active: true, Role: directory.RoleOwner})
		workspace, owner = made.ID, user.ID
		return err
	})
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)

	// What the rotation rests at while the app goes on like this, and the outcome of the connector's that says why.
	wants := map[hostile.Behaviour]struct {
		state   rotation.State
		outcome rotation.Outcome
	}{
		hostile.Obeys:              {rotation.StateDone, rotation.Applied},
		hostile.LiesSuccess:        {rotation.StateBlocked, rotation.Applied},
		hostile.LiesRefusal:        {rotation.StateDone, rotation.Refused},
		hostile.AppliesLate:        {rotation.StateDone, rotation.Applied},
		hostile.Truncates:          {rotation.StateDone, rotation.Applied},
		hostile.RefusesByPolicy:    {rotation.StateDone, rotation.Refused},
		hostile.ReplacesField:      {rotation.StateDone, rotation.Applied},
		hostile.Encodes:            {rotation.StateDone, rotation.Applied},
		hostile.ExpiresSessions:    {rotation.StateDone, rotation.Applied},
		hostile.LocksAfter:         {rotation.StateDone, rotation.Applied},
		hostile.DemandsCaptcha:     {rotation.StateBlocked, rotation.Challenge},
		hostile.ChangesForm:        {rotation.StateDone, rotation.Applied},
		hostile.AsksMore:           {rotation.StateBlocked, rotation.Unknown},
		hostile.RequiresMore:       {rotation.StateBlocked, rotation.NotSent},
		hostile.ThrowsDialogs:      {rotation.StateDone, rotation.Applied},
		hostile.Redirects:          {rotation.StateNotSent, rotation.Unreachable},
		hostile.HidesInFrame:       {rotation.StateDone, rotation.Applied},
		hostile.HidesElsewhere:     {rotation.StateDone, rotation.Applied},
		hostile.OpensWindow:        {rotation.StateDone, rotation.Applied},
		hostile.HidesInShadow:      {rotation.StateDone, rotation.Applied},
		hostile.HidesInClosed:      {rotation.StateDone, rotation.Applied},
		hostile.HidesInDeclared:    {rotation.StateDone, rotation.Applied},
		hostile.LeavesLabelsOpen:   {rotation.StateBlocked, rotation.FormNotFound},
		hostile.Hangs:              {rotation.StateNotSent, rotation.TimedOut},
		hostile.HangsAfterApplying: {rotation.StateDone, rotation.TimedOut},
		hostile.FailsAfterApplying: {rotation.StateDone, rotation.Unknown},
		hostile.HidesTheWay:        {rotation.StateDone, rotation.Applied},
		hostile.AnswersForAll:      {rotation.StateBlocked, rotation.FormNotFound},
	}
	settings := map[hostile.Behaviour]json.RawMessage{
		hostile.Encodes:     json.RawMessage(`{"change": {"gate": "sent"}}`),
		hostile.OpensWindow: json.RawMessage(`{"sign_in": {"before": ["button"]}}`),
	}
	for _, behaves := range hostile.All {
		want := wants[behaves]
		t.Run(string("app that "+behaves), func(t *testing.T) {
			app := &hostile.App{Now: clock.Now, Elsewhere: strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)}
			app.Add("quay", first)
			server := httptest.NewServer(app)
			app.Frames = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
			domains := []string{"127.0.0.1"}
			if behaves == hostile.HidesElsewhere {
				domains = append(domains, "localhost")
			}
			t.Cleanup(func() {
				server.CloseClientConnections()
				server.Close()
			})
			changeURL := server.URL + "/account/password"
			if behaves == hostile.HidesTheWay || behaves == hostile.AnswersForAll {
				changeURL = ""
			}
			var account accounts.Account
			c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
				made, err := c.Accounts.CreateApp(ctx, tx, coretest.System(), workspace, accounts.NewApp{
					Name: strings.TrimSpace("Pier " + string(behaves)), Domains: domains, SignInURL: server.URL + "/sign-in", ChangeURL: changeURL, Connector: Name,
					Settings: settings[behaves],
				})
				if err != nil {
					return err
				}
				account, err = c.Accounts.CreateAccount(ctx, tx, coretest.System(), workspace, accounts.NewAccount{App: made.ID, Username: "quay", Password: seal.NewSecret(first), Owner: owner})
				return err
			})
			plan := func() (planned rotation.Rotation) {
				c.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
					planned, err = c.Rotations.Plan(ctx, tx, coretest.System(), workspace, account.ID, rotation.ReasonDeprovision, 0)
					return err
				})
				return planned
			}
			kept := func() bool {
				versions, err := c.Accounts.Versions(t.Context(), c.DB, workspace, account.ID)
				coretest.Must(t, err)
				return slices.ContainsFunc(versions, func(one accounts.Version) bool {
					password, err := c.Accounts.Password(t.Context(), c.DB, workspace, account.ID, one.Version)
					coretest.Must(t, err)
					text := password.Reveal()
					return text == app.Password("quay") || behaves == hostile.Truncates && len(text) > 12 && text[:12] == app.Password("quay")
				})
			}
			// advance goes on until it rests, for so many waits.
			advance := func(id core.ID, waits int) rotation.Rotation {
				for range waits {
					err := c.Rotations.Advance(t.Context(), workspace, id)
					if !kept() {
						t.Fatalf("the app's password %q is stored nowhere", app.Password("quay"))
					}
					after, waits := jobs.SnoozeOf(err)
					if !waits {
						coretest.Must(t, err)
						break
					}
					clock.Pass(after)
				}
				found, err := c.Rotations.Rotation(t.Context(), c.DB, workspace, id)
				coretest.Must(t, err)
				return found
			}
			app.Behave(behaves)
			planned := plan()
			waits := 4 // of those that go on for ever
			if want.state == rotation.StateDone || want.state == rotation.StateBlocked {
				waits = 40
			}
			rests := advance(planned.ID, waits)
			steps, err := c.Rotations.Steps(t.Context(), c.DB, workspace, planned.ID)
			coretest.Must(t, err)
			told := slices.ContainsFunc(steps, func(one rotation.Step) bool {
				return strings.Contains(string(one.Evidence), `"outcome": "`+string(want.outcome)+`"`) || strings.Contains(string(one.Evidence), `"outcome":"`+string(want.outcome)+`"`)
			})
			if rests.State != want.state || !told || rests.State != rotation.StateDone && rests.Detail == "" {
				t.Errorf("it rests at %s, want %s and an outcome %s: %s", rests.State, want.state, want.outcome, rests.Detail)
				for _, one := range steps {
					t.Logf("  %s %s %.200s", one.State, one.Detail, one.Evidence)
				}
			}
			app.Behave(hostile.Obeys)
			if behaves == hostile.Truncates {
				app.Behave(behaves) // one that kept half of it would take no whole one
			}
			if rests.Finished == nil {
				clock.Pass(time.Hour)
				rests = advance(plan().ID, 8)
			}
			if rests.State != rotation.StateDone || app.Password("quay") == first {
				t.Errorf("once it behaves it rests at %s: %s", rests.State, rests.Detail)
			}
			if worst := app.Failures("quay"); worst > 2 {
				t.Errorf("%d sign-ins failed within 10 minutes", worst)
			}
			clock.Pass(time.Hour)
		})
	}
}
