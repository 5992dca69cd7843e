package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core/rotation"
	"postern/core/seal"
)

// App is a real app and the connector to it.
type App struct {
	Connector rotation.Changer // allows private addresses by the target alone
	// At is the app as a target: at its own address, or at another one where something else listens.
	At func(address string) rotation.Target
	// Address is the app's own, host and port on loopback.
	Address string
	// Account makes an account of its own for a test.
	Account func(t *testing.T) rotation.Credential
	// Disable has the app let the account in no more; nil: the app cannot.
	Disable func(t *testing.T, account rotation.Credential)
	// Disabled is the outcome of that, Disabled unless the app does not tell it apart.
	Disabled rotation.Outcome
	// Administrator is an account of the app that may set the others' passwords; nil: there is none. Connector is a
	// rotation.Resetter then.
	Administrator func(t *testing.T) rotation.Credential
	// AdministratorElsewhere: the administrator is none of the accounts the app lists.
	AdministratorElsewhere bool
	// Unrecorded: what the app keeps of who is disabled cannot be read back.
	Unrecorded bool
	// Set sets an account's password behind everybody's back.
	Set func(t *testing.T, account rotation.Credential)
	// Lie has the app answer as it likes from now on until the end of a test: that it set a password, which it did not (done is
	// false), or that it does not take one, which it has. Nil: the app cannot.
	Lie func(t *testing.T, done bool)
	// Session is signed in as an account until alive says that it is not any more. Only for a rotation.Revoker.
	Session func(t *testing.T, account rotation.Credential) (alive func() bool)
}

// Run runs the contract.
func (a App) Run(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"verify": a.verify, "change": a.change, "not released": a.notReleased, "wrong current password": a.wrong,
		"the same again": a.again, "given up": a.givenUp, "nobody there": a.nobody, "hangs": a.hangs, "cut off": a.cutOff,
		"not allowed": a.notAllowed, "disabled": a.disabled, "at once": a.atOnce, "look": a.look,
		"undone": a.undone,
	} {
		t.Run(name, test)
	}
	if a.Lie != nil {
		t.Run("lies", a.lies)
	}
	if a.Administrator != nil {
		a.runReset(t)
		a.runGovern(t)
		if slices.Contains(rotation.Capabilities(a.Connector, a.target().Settings), rotation.CanIssue) {
			t.Run("tokens", a.tokens)
		}
	}
}

func (a App) target() rotation.Target { return a.At(a.Address) }

// outcome requires that a report says what is wanted, and no secret.
func outcome(t *testing.T, report rotation.Report, want rotation.Outcome, secrets ...seal.Secret) {
	t.Helper()
	if report.Outcome != want {
		t.Fatalf("%s at %s (%s), want %s", report.Outcome, report.Stage, report.Detail, want)
	}
	text, err := json.Marshal(report)
	if err != nil || report.Detail == "" || report.Stage == "" || report.Started.IsZero() || report.Finished.Before(report.Started) || report.Agent == "" {
		t.Errorf("%+v, %v", report, err)
	}
	for _, secret := range secrets {
		if strings.Contains(string(text), secret.Reveal()) {
			t.Error("the report shows a password")
		}
	}
}

func (a App) opens(t *testing.T, credential rotation.Credential, want rotation.Outcome) {
	t.Helper()
	outcome(t, a.Connector.Verify(t.Context(), a.target(), credential), want, credential.Password)
}

func with(credential rotation.Credential, password seal.Secret) rotation.Credential {
	credential.Password = password
	return credential
}

func password() seal.Secret { return seal.GeneratePassword(seal.PasswordPolicy{}) }

// changed changes a password and counts how often it was asked for release.
func (a App) changed(ctx context.Context, target rotation.Target, current rotation.Credential, next seal.Secret, release error) (report rotation.Report, asked int) {
	report = a.Connector.Change(ctx, target, current, next, func(context.Context) error {
		asked++
		return release
	})
	return report, asked
}

func (a App) verify(t *testing.T) {
	account := a.Account(t)
	report := a.Connector.Verify(t.Context(), a.target(), account)
	outcome(t, report, rotation.Accepted, account.Password)
	if len(report.Hosts) != 1 || report.Released {
		t.Errorf("hosts %v, released %t", report.Hosts, report.Released)
	}
	a.opens(t, with(account, password()), rotation.Rejected)
	account.Username = strings.Replace(account.Username, "a", "b", 1) + "0"
	a.opens(t, account, rotation.Rejected)
}

func (a App) change(t *testing.T) {
	account, next := a.Account(t), password()
	report, asked := a.changed(t.Context(), a.target(), account, next, nil)
	outcome(t, report, rotation.Applied, account.Password, next)
	if asked != 1 || !report.Released {
		t.Errorf("asked %d times, released %t", asked, report.Released)
	}
	a.opens(t, with(account, next), rotation.Accepted)
	a.opens(t, account, rotation.Rejected)
}

func (a App) notReleased(t *testing.T) {
	account, next := a.Account(t), password()
	report, asked := a.changed(t.Context(), a.target(), account, next, errors.New("somebody else has the lease"))
	outcome(t, report, rotation.NotSent, account.Password, next)
	if asked != 1 || report.Released {
		t.Errorf("asked %d times, released %t", asked, report.Released)
	}
	a.opens(t, account, rotation.Accepted)
	a.opens(t, with(account, next), rotation.Rejected)
}

func (a App) wrong(t *testing.T) {
	account, next := a.Account(t), password()
	report, asked := a.changed(t.Context(), a.target(), with(account, password()), next, nil)
	outcome(t, report, rotation.Rejected, next)
	if asked != 0 || report.Released {
		t.Errorf("asked %d times, released %t", asked, report.Released)
	}
	a.opens(t, account, rotation.Accepted)
}

func (a App) again(t *testing.T) {
	account, next := a.Account(t), password()
	for _, current := range []rotation.Credential{account, with(account, next)} {
		report, _ := a.changed(t.Context(), a.target(), current, next, nil)
		if report.Outcome != rotation.Applied && report.Outcome != rotation.Refused {
			t.Fatalf("%s (%s)", report.Outcome, report.Detail)
		}
	}
	a.opens(t, with(account, next), rotation.Accepted)
}

func (a App) givenUp(t *testing.T) {
	account, next := a.Account(t), password()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, asked := a.changed(ctx, a.target(), account, next, nil)
	if asked != 0 || report.Released || report.Outcome == rotation.Applied || report.Outcome == rotation.Rejected {
		t.Errorf("%s, asked %d times, released %t", report.Outcome, asked, report.Released)
	}
	a.opens(t, account, rotation.Accepted)
}

func (a App) nobody(t *testing.T) {
	outcome(t, a.Connector.Verify(t.Context(), a.At("127.0.0.1:1"), a.Account(t)), rotation.Unreachable)
}

// hangs is an app that lets one connect and says nothing.
func (a App) hangs(t *testing.T) {
	listener := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	account := a.Account(t)
	outcome(t, a.Connector.Verify(ctx, a.At(listener.Addr().String()), account), rotation.TimedOut, account.Password)
}

// cutOff is a connection that ends when the change is under way: nobody can tell what came of it.
func (a App) cutOff(t *testing.T) {
	account, next := a.Account(t), password()
	between := a.proxy(t)
	report := a.Connector.Change(t.Context(), a.At(between.address), account, next, func(context.Context) error {
		between.cut()
		return nil
	})
	outcome(t, report, rotation.Unknown, account.Password, next)
	if !report.Released {
		t.Error("not released")
	}
	// And one that was sent is known by a sign-in, whatever came back.
	if one := a.Connector.Verify(t.Context(), a.target(), account).Outcome; one != rotation.Accepted {
		a.opens(t, with(account, next), rotation.Accepted)
	}
}

func (a App) notAllowed(t *testing.T) {
	account := a.Account(t)
	closed := a.target()
	closed.AllowPrivate = false
	report := a.Connector.Verify(t.Context(), closed, account)
	outcome(t, report, rotation.Unreachable, account.Password)
	if !strings.Contains(report.Detail, "private") {
		t.Error(report.Detail)
	}
	other := a.target()
	other.Domains = []string{"db.example.com"}
	if report = a.Connector.Verify(t.Context(), other, account); report.Outcome != rotation.Unreachable || len(report.Hosts) > 0 {
		t.Errorf("%s, hosts %v", report.Outcome, report.Hosts)
	}
}

func (a App) disabled(t *testing.T) {
	if a.Disable == nil {
		return
	}
	account := a.Account(t)
	a.Disable(t, account)
	report, asked := a.changed(t.Context(), a.target(), account, password(), nil)
	outcome(t, report, a.Disabled, account.Password)
	if asked != 0 {
		t.Error("asked to release")
	}
}

// look is what a connector sees without an account, if it can look at all.
func (a App) look(t *testing.T) {
	looker, can := a.Connector.(rotation.Looker)
	if !can {
		return
	}
	outcome(t, looker.Look(t.Context(), a.target()), rotation.Found)
	listener := listen(t)
	_ = listener.Close()
	outcome(t, looker.Look(t.Context(), a.At(listener.Addr().String())), rotation.Unreachable)
	closed := a.target()
	closed.AllowPrivate = false
	if report := looker.Look(t.Context(), closed); report.Outcome != rotation.Unreachable || !strings.Contains(report.Detail, "private") {
		t.Errorf("%s (%s)", report.Outcome, report.Detail)
	}
}

func (a App) atOnce(t *testing.T) {
	account := a.Account(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if report := a.Connector.Verify(t.Context(), a.target(), account); report.Outcome != rotation.Accepted {
				t.Errorf("%s (%s)", report.Outcome, report.Detail)
			}
		})
	}
	all.Wait()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}
