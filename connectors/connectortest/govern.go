package connectortest

import (
	"errors"
	"slices"
	"testing"

	"postern/core/rotation"
)

// runGovern runs what is asked of an administrator besides a reset, as far as the connector can do it in this app.
func (a App) runGovern(t *testing.T) {
	can := rotation.Capabilities(a.Connector, a.target().Settings)
	if slices.Contains(can, rotation.CanDisable) {
		t.Run("disable and enable", a.switched)
	}
	if slices.Contains(can, rotation.CanList) {
		t.Run("list accounts", a.listed)
	}
	if slices.Contains(can, rotation.CanRevoke) {
		t.Run("end sessions", a.revoked)
	}
}

// listed is what an administrator is told of all accounts.
func (a App) listed(t *testing.T) {
	lister, ok := a.Connector.(rotation.Lister)
	if !ok {
		t.Fatal("the connector lists nothing")
	}
	admin, account := a.Administrator(t), a.Account(t)
	a.Account(t)
	told := map[string]int{}
	outcome(t, lister.Users(t.Context(), a.target(), with(admin, password()), func(rotation.User) error { return nil }), rotation.AdminRejected, admin.Password)
	outcome(t, lister.Users(t.Context(), a.target(), admin, func(user rotation.User) error { told[user.Username]++; return nil }), rotation.Applied, admin.Password)
	if told[account.Username] != 1 || told[admin.Username] != 1 && !a.AdministratorElsewhere {
		t.Errorf("told %v", told)
	}
	stopped := errors.New("enough")
	report := lister.Users(t.Context(), a.target(), admin, func(rotation.User) error { return stopped })
	if report.Outcome == rotation.Applied {
		t.Error("what was not told counts as told")
	}
}

func (a App) switched(t *testing.T) {
	disabler, ok := a.Connector.(rotation.Disabler)
	if !ok {
		t.Fatal("the connector disables nothing")
	}
	a.governed(t, func(admin rotation.Credential, username string) rotation.Report {
		return disabler.SetEnabled(t.Context(), a.target(), admin, username, true)
	})
	admin, account := a.Administrator(t), a.Account(t)
	for range 2 {
		report := disabler.SetEnabled(t.Context(), a.target(), admin, account.Username, false)
		outcome(t, report, rotation.Applied, admin.Password)
		if report.Recorded == a.Unrecorded {
			t.Errorf("its own record says so: %t", report.Recorded)
		}
		a.opens(t, account, a.Disabled)
	}
	for range 2 {
		outcome(t, disabler.SetEnabled(t.Context(), a.target(), admin, account.Username, true), rotation.Applied, admin.Password)
		a.opens(t, account, rotation.Accepted)
	}
}

func (a App) revoked(t *testing.T) {
	revoker, ok := a.Connector.(rotation.Revoker)
	if !ok {
		t.Fatal("the connector ends no sessions")
	}
	a.governed(t, func(admin rotation.Credential, username string) rotation.Report {
		return revoker.Revoke(t.Context(), a.target(), admin, username)
	})
	admin, account, other := a.Administrator(t), a.Account(t), a.Account(t)
	alive, others := a.Session(t, account), a.Session(t, other)
	if !alive() || !others() {
		t.Fatal("there is no session")
	}
	outcome(t, revoker.Revoke(t.Context(), a.target(), admin, account.Username), rotation.Applied, admin.Password)
	if alive() || !others() {
		t.Errorf("its session lives: %t, another's: %t", alive(), others())
	}
	a.opens(t, account, rotation.Accepted)
	outcome(t, revoker.Revoke(t.Context(), a.target(), admin, account.Username), rotation.Applied)
}

// governed is what every act of an administrator has in common.
func (a App) governed(t *testing.T, act func(admin rotation.Credential, username string) rotation.Report) {
	t.Helper()
	admin, account := a.Administrator(t), a.Account(t)
	if a.Session != nil {
		a.Session(t, account) // there is something to be denied
	}
	outcome(t, act(with(admin, password()), account.Username), rotation.AdminRejected, admin.Password)
	outcome(t, act(a.Account(t), account.Username), rotation.AdminDenied)
	if report := act(admin, "nobody-of-this-name"); report.Outcome != rotation.AdminDenied { // as in a reset
		outcome(t, report, rotation.Rejected, admin.Password)
	}
	outcome(t, act(admin, account.Username), rotation.Applied, admin.Password)
	a.opens(t, account, rotation.Accepted)
}
