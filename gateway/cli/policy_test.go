package cli_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// app adds an app of which nothing but its name matters.
func (f *far) app(workspace core.ID, name string) accounts.App {
	f.t.Helper()
	host := strings.ToLower(name) + ".example.com"
	var made accounts.App
	if err := f.db.Tx(f.t.Context(), func(tx pgx.Tx) (err error) {
		made, err = f.logins.CreateApp(context.WithoutCancel(f.t.Context()), tx, core.NewCause(core.System, time.Now()), workspace, accounts.NewApp{
			Name: name, Domains: []string{host}, SignInURL: "https://" + host + "/", Connector: "browser",
		})
		return err
	}); err != nil {
		f.t.Fatal(err)
	}
	return made
}

func TestPolicy(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	f := d.far("acme", "globex")
	f.app(acme, "Harbour")
	says := func(out string, all ...string) {
		t.Helper()
		for _, one := range all {
			if !strings.Contains(out, one) {
				t.Errorf("%q is not in\n%s", one, out)
			}
		}
	}
	says(f.ask("acme", "policy", "list"), "Whoever leaves (default)", "as soon as a link to them ends")
	says(f.ask("acme", "policy", "add", "Quarterly", "--trigger", "schedule", "--every", "90", "--window", "02:00-04:00",
		"--zone", "Europe/Berlin", "--app", "harbour"), "Rotates 0 accounts of Harbour every 90 days, 02:00–04:00 Europe/Berlin, each at most once in 1 day, next: ")
	says(f.ask("acme", "policy", "change", "quarterly", "--weekday", "monday", "--weekday", "fri", "--spacing", "2h"),
		"on Mondays and Fridays, 02:00–04:00 Europe/Berlin, each at most once in 2 hours")
	says(f.ask("acme", "policy", "change", "quarterly", "--off", "--name", "Weekly", "--all"), "Off. Switched on, it rotates all 0 accounts on Mondays")
	line := f.rows("acme", "policy", "show", "Weekly")[0]
	if line["enabled"] != false || line["spacing_seconds"] != 7200.0 {
		t.Errorf("%v", line)
	}
	says(f.ask("acme", "policy", "preview", "Weekly"), "Switched on")
	says(f.ask("acme", "policy", "add", "After use", "--trigger", "sign_in", "--delay", "4h", "--tag", "Prod"), "0 accounts tagged prod 4 hours after a sign-in")
	f.denied(2, "02:00-04:00", "acme", "policy", "add", "x", "--trigger", "schedule", "--window", "now")
	f.denied(4, "Harbour", "acme", "policy", "add", "x", "--trigger", "logout", "--app", "Nowhere")
	f.denied(2, "by its id", "acme", "policy", "add", "x", "--trigger", "logout", "--account", "7")
	f.denied(2, "--trigger", "acme", "policy", "add", "x", "--trigger", "manual")
	f.denied(5, "another policy", "acme", "policy", "add", "Weekly", "--trigger", "logout")
	f.denied(4, "there is none yet", "globex", "policy", "show", "Weekly")
	says(f.ask("acme", "policy", "remove", "Weekly"), "Weekly is removed")
}
