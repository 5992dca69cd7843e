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

func TestPolicy(t *testing.T) {
	d := newDesk(t)
	acme := d.workspace("acme")
	d.workspace("globex")
	logins := &accounts.Accounts{DB: d.db, Directory: d.people}
	if err := d.db.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := logins.CreateApp(context.Background(), tx, core.NewCause(core.System, time.Now()), acme, accounts.NewApp{
			Name: "Harbour", Domains: []string{"harbour.example.com"}, SignInURL: "https://harbour.example.com/", Connector: "browser",
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	says := func(out string, all ...string) {
		t.Helper()
		for _, one := range all {
			if !strings.Contains(out, one) {
				t.Errorf("%q is not in\n%s", one, out)
			}
		}
	}
	says(d.do("policy", "list", "--workspace", "acme"), "Whoever leaves (default)", "as soon as a link to them ends")
	says(d.do("policy", "add", "Quarterly", "--workspace", "acme", "--trigger", "schedule", "--every", "90", "--window", "02:00-04:00",
		"--zone", "Europe/Berlin", "--app", "harbour"), "Rotates 0 accounts of Harbour every 90 days, 02:00–04:00 Europe/Berlin, each at most once in 1 day, next: ")
	says(d.do("policy", "change", "quarterly", "--workspace", "acme", "--weekday", "monday", "--weekday", "fri", "--spacing", "2h"),
		"on Mondays and Fridays, 02:00–04:00 Europe/Berlin, each at most once in 2 hours")
	says(d.do("policy", "change", "quarterly", "--workspace", "acme", "--off", "--name", "Weekly", "--all"), "Off. Switched on, it rotates all 0 accounts on Mondays")
	line := d.json("policy", "show", "Weekly", "--workspace", "acme")
	if line["enabled"] != false || line["spacing"] != "2h0m0s" {
		t.Errorf("%v", line)
	}
	says(d.do("policy", "preview", "Weekly", "--workspace", "acme"), "Switched on")
	says(d.do("policy", "add", "After use", "--workspace", "acme", "--trigger", "sign_in", "--delay", "4h", "--tag", "Prod"), "0 accounts tagged prod 4 hours after a sign-in")
	d.refused(2, "02:00-04:00", "policy", "add", "x", "--workspace", "acme", "--trigger", "schedule", "--window", "now")
	d.refused(4, "Harbour", "policy", "add", "x", "--workspace", "acme", "--trigger", "logout", "--app", "Nowhere")
	d.refused(2, "by its id", "policy", "add", "x", "--workspace", "acme", "--trigger", "logout", "--account", "7")
	d.refused(2, "trigger", "policy", "add", "x", "--workspace", "acme", "--trigger", "manual")
	d.refused(5, "another policy", "policy", "add", "Weekly", "--workspace", "acme", "--trigger", "logout")
	d.refused(4, "Weekly", "policy", "show", "Weekly", "--workspace", "globex")
	d.refused(2, "id", "policy", "tag", "7", "a", "--workspace", "acme")
	says(d.do("policy", "remove", "Weekly", "--workspace", "acme"), "Weekly is removed")
}
