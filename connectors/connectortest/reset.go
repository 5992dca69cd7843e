package connectortest

import (
	"context"
	"errors"
	"testing"
	"time"

	"postern/core/rotation"
	"postern/core/seal"
)

func (a App) runReset(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"reset": a.reset, "reset not released": a.resetNotReleased, "reset the same again": a.resetAgain,
		"reset given up": a.resetGivenUp, "reset by a wrong administrator": a.resetWrong, "reset without the right": a.resetDenied,
		"reset of nobody": a.resetNobody, "reset of a disabled one": a.resetDisabled, "reset hangs": a.resetHangs, "reset cut off": a.resetCutOff,
	} {
		t.Run(name, test)
	}
}

// resets has an administrator set a password and counts how often it was asked for release.
func (a App) resets(ctx context.Context, t *testing.T, target rotation.Target, admin rotation.Credential, username string, next seal.Secret, release error) (report rotation.Report, asked int) {
	t.Helper()
	resetter, ok := a.Connector.(rotation.Resetter)
	if !ok {
		t.Fatal("the connector resets nothing")
	}
	report = resetter.Reset(ctx, target, admin, username, next, func(context.Context) error {
		asked++
		return release
	})
	return report, asked
}

func (a App) reset(t *testing.T) {
	admin, account, next := a.Administrator(t), a.Account(t), password()
	report, asked := a.resets(t.Context(), t, a.target(), admin, account.Username, next, nil)
	outcome(t, report, rotation.Applied, admin.Password, account.Password, next)
	if asked != 1 || !report.Released || len(report.Hosts) != 1 {
		t.Errorf("asked %d times, released %t, hosts %v", asked, report.Released, report.Hosts)
	}
	a.opens(t, with(account, next), rotation.Accepted)
	a.opens(t, account, rotation.Rejected)
	a.opens(t, admin, rotation.Accepted)
	// What was set can be changed by the account itself.
	report, _ = a.changed(t.Context(), a.target(), with(account, next), account.Password, nil)
	outcome(t, report, rotation.Applied, next)
}

func (a App) resetNotReleased(t *testing.T) {
	admin, account, next := a.Administrator(t), a.Account(t), password()
	report, asked := a.resets(t.Context(), t, a.target(), admin, account.Username, next, errors.New("somebody else has the lease"))
	outcome(t, report, rotation.NotSent, admin.Password, next)
	if asked != 1 || report.Released {
		t.Errorf("asked %d times, released %t", asked, report.Released)
	}
	a.opens(t, account, rotation.Accepted)
	a.opens(t, with(account, next), rotation.Rejected)
}

func (a App) resetAgain(t *testing.T) {
	admin, account, next := a.Administrator(t), a.Account(t), password()
	for range 2 {
		report, _ := a.resets(t.Context(), t, a.target(), admin, account.Username, next, nil)
		outcome(t, report, rotation.Applied, admin.Password, next)
	}
	a.opens(t, with(account, next), rotation.Accepted)
}

func (a App) resetGivenUp(t *testing.T) {
	admin, account, next := a.Administrator(t), a.Account(t), password()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, asked := a.resets(ctx, t, a.target(), admin, account.Username, next, nil)
	if asked != 0 || report.Released || report.Outcome == rotation.Applied || report.Outcome == rotation.AdminRejected {
		t.Errorf("%s, asked %d times, released %t", report.Outcome, asked, report.Released)
	}
	a.opens(t, account, rotation.Accepted)
}

// resetWrong is an administrator whose stored password is wrong: nothing is said of the account by that.
func (a App) resetWrong(t *testing.T) {
	admin, account, next := a.Administrator(t), a.Account(t), password()
	report, asked := a.resets(t.Context(), t, a.target(), with(admin, password()), account.Username, next, nil)
	outcome(t, report, rotation.AdminRejected, next)
	if asked != 0 || report.Released {
		t.Errorf("asked %d times, released %t", asked, report.Released)
	}
	a.opens(t, account, rotation.Accepted)
}

// resetDenied is an administrator who is none.
func (a App) resetDenied(t *testing.T) {
	nobody, account, next := a.Account(t), a.Account(t), password()
	report, _ := a.resets(t.Context(), t, a.target(), nobody, account.Username, next, nil)
	outcome(t, report, rotation.AdminDenied, nobody.Password, next)
	a.opens(t, account, rotation.Accepted)
	a.opens(t, with(account, next), rotation.Rejected)
}

// resetNobody is an account the app has not, or does not show.
func (a App) resetNobody(t *testing.T) {
	admin := a.Administrator(t)
	report, asked := a.resets(t.Context(), t, a.target(), admin, "nobody-of-this-name", password(), nil)
	if report.Outcome != rotation.AdminDenied || asked != 0 {
		outcome(t, report, rotation.Rejected, admin.Password)
	}
}

// resetDisabled is an account that is to stay closed.
func (a App) resetDisabled(t *testing.T) {
	if a.Disable == nil {
		return
	}
	admin, account, next := a.Administrator(t), a.Account(t), password()
	a.Disable(t, account)
	report, asked := a.resets(t.Context(), t, a.target(), admin, account.Username, next, nil)
	if sent := report.Outcome == rotation.Applied; sent != report.Released || sent != (asked == 1) || !sent && report.Outcome != rotation.Disabled && report.Outcome != rotation.Locked {
		t.Errorf("%s (%s), asked %d times", report.Outcome, report.Detail, asked)
	}
	for _, one := range []rotation.Credential{account, with(account, next)} {
		if report := a.Connector.Verify(t.Context(), a.target(), one); report.Outcome == rotation.Accepted {
			t.Error("a disabled account is let in")
		}
	}
}

func (a App) resetHangs(t *testing.T) {
	listener := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	admin := a.Administrator(t)
	report, asked := a.resets(ctx, t, a.At(listener.Addr().String()), admin, "anybody", password(), nil)
	outcome(t, report, rotation.TimedOut, admin.Password)
	if asked != 0 {
		t.Error("asked to release")
	}
}

func (a App) resetCutOff(t *testing.T) {
	admin, account, next := a.Administrator(t), a.Account(t), password()
	between := a.proxy(t)
	resetter, ok := a.Connector.(rotation.Resetter)
	if !ok {
		t.Fatal("the connector resets nothing")
	}
	report := resetter.Reset(t.Context(), a.At(between.address), admin, account.Username, next, func(context.Context) error {
		between.cut()
		return nil
	})
	outcome(t, report, rotation.Unknown, admin.Password, next)
	if !report.Released {
		t.Error("not released")
	}
	if one := a.Connector.Verify(t.Context(), a.target(), account).Outcome; one != rotation.Accepted {
		a.opens(t, with(account, next), rotation.Accepted)
	}
}
