package connectortest

import (
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// undone is an app that loses a change after it said that it was made: nobody goes by what was said, or by an earlier sign-in.
func (a App) undone(t *testing.T) {
	account, next := a.Account(t), password()
	report, _ := a.changed(t.Context(), a.target(), account, next, nil)
	outcome(t, report, rotation.Applied)
	a.opens(t, with(account, next), rotation.Accepted)
	a.Set(t, account)
	a.opens(t, with(account, next), rotation.Rejected)
	a.opens(t, account, rotation.Accepted)
}

// lies is an app that says yes and did not, or no and did. What was sent is known as sent, and a fresh sign-in tells the rest.
func (a App) lies(t *testing.T) {
	set := map[string]func(t *testing.T, account rotation.Credential, next seal.Secret) (rotation.Report, int){
		"change": func(t *testing.T, account rotation.Credential, next seal.Secret) (rotation.Report, int) {
			return a.changed(t.Context(), a.target(), account, next, nil)
		},
	}
	if a.Administrator != nil {
		set["reset"] = func(t *testing.T, account rotation.Credential, next seal.Secret) (rotation.Report, int) {
			return a.resets(t.Context(), t, a.target(), a.Administrator(t), account.Username, next, nil)
		}
	}
	for name, by := range set {
		t.Run(name+", says yes and did not", func(t *testing.T) {
			account, next := a.Account(t), password()
			a.Lie(t, false)
			report, asked := by(t, account, next)
			outcome(t, report, rotation.Applied, account.Password, next)
			if asked != 1 || !report.Released {
				t.Errorf("asked %d times, released %t", asked, report.Released)
			}
			a.opens(t, with(account, next), rotation.Rejected)
			a.opens(t, account, rotation.Accepted)
		})
		t.Run(name+", says no and did", func(t *testing.T) {
			account, next := a.Account(t), password()
			a.Lie(t, true)
			report, asked := by(t, account, next)
			outcome(t, report, rotation.Refused, account.Password, next)
			if asked != 1 || !report.Released {
				t.Errorf("asked %d times, released %t", asked, report.Released)
			}
			a.opens(t, with(account, next), rotation.Accepted)
			a.opens(t, account, rotation.Rejected)
		})
	}
}
