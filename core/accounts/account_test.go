package accounts_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/vault/vaulttest"
)

func TestApps(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	wiki := accounts.NewApp{
		Name: "Shop", Domains: []string{"Shop.example.com", "shop.example.com", "127.0.0.1:8080"}, SignInURL: "https://shop.example.com/login",
		ChangeURL: "http://127.0.0.1:8080/password", Connector: "browser", Settings: json.RawMessage(`{"submit": "#go"}`),
	}
	create := func(s *side, cause core.Cause, wanted accounts.NewApp) (app accounts.App, err error) {
		err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			app, err = w.CreateApp(t.Context(), tx, cause, s.workspace, wanted)
			return err
		})
		return app, err
	}
	made, err := create(acme, acme.as("ada"), wiki)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"shop.example.com", "127.0.0.1:8080"}, made.Domains); diff != "" {
		t.Error(diff)
	}
	got, err := w.App(t.Context(), w.DB, acme.workspace, made.ID)
	if diff := cmp.Diff(made, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := w.App(t.Context(), w.DB, other.workspace, made.ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace sees it: %v", err)
	}
	if list, err := w.Apps(t.Context(), w.DB, acme.workspace); err != nil || len(list) != 2 || list[0].Name != "Shop" || list[1].ID != acme.app.ID {
		t.Errorf("got %v, %v", list, err)
	}
	equal(t, "events", acme.events(t, core.AppCreated), 2)
	equal(t, "the neighbour's events", other.events(t, core.AppCreated), 1)

	_, err = create(acme, acme.cause, wiki)
	coretest.Wants(t, err, core.KindConflict, "name")
	if _, err := create(other, other.cause, wiki); err != nil {
		t.Errorf("a name is taken in another workspace: %v", err)
	}
	for _, cause := range []core.Cause{acme.as("ana"), acme.as("gus"), other.as("ada"), core.NewCause(core.Actor{Kind: core.ActorConnection, ID: core.NewID()}, w.clock.Now()), {}} {
		_, err = create(acme, cause, accounts.NewApp{Name: "X", Domains: []string{"x.example"}, SignInURL: "https://x.example", Connector: "browser"})
		coretest.Wants(t, err, core.KindDenied, "")
	}
	for field, changes := range map[string][]func(*accounts.NewApp){
		"name": {
			func(a *accounts.NewApp) { a.Name = "" }, func(a *accounts.NewApp) { a.Name = " x" }, func(a *accounts.NewApp) { a.Name = "a\nb" },
			func(a *accounts.NewApp) { a.Name = "\xff" }, func(a *accounts.NewApp) { a.Name = strings.Repeat("a", accounts.MaxName+1) },
		},
		"domains": {
			func(a *accounts.NewApp) { a.Domains = nil }, func(a *accounts.NewApp) { a.Domains = []string{"https://shop.example.com"} },
			func(a *accounts.NewApp) { a.Domains = append(a.Domains, "*.example.com") }, func(a *accounts.NewApp) { a.Domains = make([]string, accounts.MaxDomains+1) },
		},
		"sign_in_url": {func(a *accounts.NewApp) { a.SignInURL = "https://evil.example/" }, func(a *accounts.NewApp) { a.SignInURL = "" }},
		"change_url":  {func(a *accounts.NewApp) { a.ChangeURL = "http://127.0.0.1:8081/" }},
		"connector":   {func(a *accounts.NewApp) { a.Connector = "" }, func(a *accounts.NewApp) { a.Connector = "Browser!" }},
		"settings": {
			func(a *accounts.NewApp) { a.Settings = json.RawMessage(`[]`) }, func(a *accounts.NewApp) { a.Settings = json.RawMessage(`{`) },
			func(a *accounts.NewApp) { a.Settings = json.RawMessage(`null`) },
			func(a *accounts.NewApp) {
				a.Settings = json.RawMessage(`{"a":"` + strings.Repeat("a", accounts.MaxSettings) + `"}`)
			},
		},
	} {
		for _, change := range changes {
			wanted := wiki
			wanted.Name = "Another"
			change(&wanted)
			_, err := create(acme, acme.cause, wanted)
			coretest.Wants(t, err, core.KindInvalid, field)
		}
	}
	// Where the connectors are known, their name and their settings are looked at.
	w.Connectors = map[string]func(json.RawMessage) error{"strict": func(settings json.RawMessage) error {
		if string(settings) != "{}" {
			return core.Invalid("settings", "there are none")
		}
		return nil
	}}
	wanted := wiki
	wanted.Name = "Another"
	_, err = create(acme, acme.cause, wanted)
	coretest.Wants(t, err, core.KindInvalid, "connector")
	wanted.Connector, wanted.Settings = "strict", json.RawMessage(`{"a": 1}`)
	_, err = create(acme, acme.cause, wanted)
	coretest.Wants(t, err, core.KindInvalid, "settings")
	wanted.Settings = nil
	_, err = create(acme, acme.cause, wanted)
	coretest.Must(t, err)
}

func TestCreateAccount(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	good := accounts.NewAccount{App: acme.app.ID, Username: "shared@example.com", Password: seal.NewSecret("Canary77first"), Owner: acme.user("ana")}
	create := func(cause core.Cause, wanted accounts.NewAccount) (account accounts.Account, err error) {
		err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			account, err = w.CreateAccount(t.Context(), tx, cause, acme.workspace, wanted)
			return err
		})
		return account, err
	}
	twin := other.account(t, "shared@example.com", "ana")

	made, err := create(acme.as("ana"), good)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Account(t.Context(), w.DB, acme.workspace, made.ID)
	if diff := cmp.Diff(made, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got.State != accounts.Unvalidated || got.AppName != "Wiki" || got.Orphaned {
		t.Errorf("got %+v", got)
	}
	versions, err := w.Versions(t.Context(), w.DB, acme.workspace, made.ID)
	if err != nil || len(versions) != 1 || versions[0].Origin != accounts.OriginImported || versions[0].Label != accounts.LabelCurrent {
		t.Errorf("got %+v, %v", versions, err)
	}
	password, err := w.Password(t.Context(), w.DB, acme.workspace, made.ID, 1)
	if err != nil || !password.Equal(good.Password) {
		t.Errorf("got %v", err)
	}
	grants, err := w.Grants(t.Context(), w.DB, acme.workspace, made.ID)
	if err != nil || len(grants) != 1 || grants[0].User != acme.user("ana") || grants[0].Role != accounts.Owner || grants[0].Name != "ana" {
		t.Errorf("got %+v, %v", grants, err)
	}
	equal(t, "events", acme.events(t, core.AccountCreated), 1)

	_, err = create(acme.cause, good)
	coretest.Wants(t, err, core.KindConflict, "username")
	for field, changes := range map[string][]func(*accounts.NewAccount){
		"username": {
			func(a *accounts.NewAccount) { a.Username = "" }, func(a *accounts.NewAccount) { a.Username = strings.Repeat("a", 321) },
			func(a *accounts.NewAccount) { a.Username = "a\x00" }, func(a *accounts.NewAccount) { a.Username = "a " },
		},
		"password": {
			func(a *accounts.NewAccount) { a.Password = seal.Secret{} }, func(a *accounts.NewAccount) { a.Password = seal.NewSecret(strings.Repeat("a", 1025)) },
			func(a *accounts.NewAccount) { a.Password = seal.NewSecret("two\nlines") }, func(a *accounts.NewAccount) { a.Password = seal.NewSecret("\xff") },
		},
		"app": {
			func(a *accounts.NewAccount) { a.App = core.ID{} }, func(a *accounts.NewAccount) { a.App = core.NewID() },
			func(a *accounts.NewAccount) { a.App = other.app.ID },
		},
		"owner": {
			func(a *accounts.NewAccount) { a.Owner = core.ID{} }, func(a *accounts.NewAccount) { a.Owner = core.NewID() },
			func(a *accounts.NewAccount) { a.Owner = other.user("ana") },
		},
		"role": {func(a *accounts.NewAccount) { a.Owner = acme.user("gus") }},
	} {
		for _, change := range changes {
			wanted := good
			wanted.Username = "another"
			change(&wanted)
			_, err := create(acme.cause, wanted)
			coretest.Wants(t, err, core.KindInvalid, field)
			if strings.Contains(err.Error(), "Canary77first") {
				t.Error("the password is in the error")
			}
		}
	}
	for _, cause := range []core.Cause{acme.as("ben"), acme.as("gus"), other.as("ana"), other.as("ada")} {
		wanted := good
		wanted.Username = "another"
		_, err := create(cause, wanted)
		coretest.Wants(t, err, core.KindDenied, "")
	}
	if _, err := acme.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	gone := good
	gone.Username, gone.Owner = "another", acme.user("ben")
	_, err = create(acme.cause, gone)
	coretest.Wants(t, err, core.KindInvalid, "owner")
	_, err = create(acme.as("ben"), gone)
	coretest.Wants(t, err, core.KindDenied, "inactive")
	if _, err := w.Account(t.Context(), w.DB, acme.workspace, twin.ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("the neighbour's account is seen: %v", err)
	}
	vaulttest.NotInClear(t, w.DB, "Canary77first")
}

func TestList(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	var all []accounts.Account
	var theirs accounts.Account
	for _, name := range []string{"one", "two", "three", "four"} {
		all = append(all, acme.account(t, name, "ana"))
		theirs = other.account(t, name, "ana")
	}
	list := func(query accounts.ListQuery) string {
		t.Helper()
		found, err := w.List(t.Context(), w.DB, acme.workspace, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range found {
			if account.Workspace != acme.workspace {
				t.Error("the neighbour's account is listed")
			}
		}
		return names(found)
	}
	equal(t, "everything", list(accounts.ListQuery{}), "one two three four ")
	equal(t, "a page", list(accounts.ListQuery{Limit: 2}), "one two ")
	equal(t, "the next page", list(accounts.ListQuery{Limit: 2, After: all[1].ID}), "three four ")

	equal(t, "those that begin so", list(accounts.ListQuery{Search: "T"}), "two three ")
	equal(t, "a page of them", list(accounts.ListQuery{Search: "t", Limit: 1, After: all[1].ID}), "three ")
	equal(t, "what begins like a pattern", list(accounts.ListQuery{Search: "%"}), "")
	equal(t, "those of the app", list(accounts.ListQuery{App: all[0].App, Limit: 3}), "one two three ")
	equal(t, "those of the neighbour's app", list(accounts.ListQuery{App: theirs.App}), "")
	for place, tags := range [][]string{{"production", "eu"}, {"eu"}} {
		w.tx(t, func(tx pgx.Tx) error {
			_, err := w.SetTags(t.Context(), tx, acme.as("ana"), acme.workspace, all[2*place].ID, tags)
			return err
		})
	}
	equal(t, "those with a tag", list(accounts.ListQuery{Tag: "eu"}), "one three ")
	equal(t, "a page of them", list(accounts.ListQuery{Tag: "eu", After: all[0].ID}), "three ")
	equal(t, "a tag and a beginning", list(accounts.ListQuery{Tag: "eu", Search: "th", App: all[0].App, State: all[0].State}), "three ")
	equal(t, "a tag nobody has", list(accounts.ListQuery{Tag: "produc"}), "")
}

func TestUsableAndAccess(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	var all []accounts.Account
	for _, name := range []string{"one", "two", "three", "four"} {
		all = append(all, acme.account(t, name, "ana"))
		other.account(t, name, "ana")
	}
	list := func(user string, query accounts.UsableQuery) string {
		t.Helper()
		return acme.usable(t, acme.user(user), query)
	}
	equal(t, "ana's", list("ana", accounts.UsableQuery{}), "one:owner:own two:owner:own three:owner:own four:owner:own ")
	equal(t, "ben's", list("ben", accounts.UsableQuery{}), "")
	hour, day := w.clock.Now().Add(time.Hour), w.clock.Now().Add(24*time.Hour)
	acme.add(t, "wiki", "ben")
	acme.add(t, "wiki", "gus")
	for _, give := range []struct {
		account accounts.Account
		subject accounts.Subject
		role    accounts.Role
		expires *time.Time
	}{
		{all[0], accounts.Subject{User: acme.user("ben")}, accounts.Collaborator, &day},
		{all[0], accounts.Subject{Team: acme.teams["wiki"].ID}, accounts.Owner, &hour},
		{all[1], accounts.Subject{Team: acme.teams["wiki"].ID}, accounts.Collaborator, nil},
		{all[3], accounts.Subject{Team: acme.teams["ops"].ID}, accounts.Owner, nil},
	} {
		if _, err := acme.share(t, acme.as("ana"), give.account.ID, give.subject, give.role, give.expires); err != nil {
			t.Fatal(err)
		}
	}
	bens := "one:owner:own+wiki:+1h0m0s two:collaborator:wiki "
	equal(t, "ben's", list("ben", accounts.UsableQuery{}), bens)
	equal(t, "ben's, a row at a time", list("ben", accounts.UsableQuery{Limit: 1}), bens)
	equal(t, "ben's second page", list("ben", accounts.UsableQuery{After: all[0].ID}), "two:collaborator:wiki ")
	equal(t, "ben's behind what is not there", list("ben", accounts.UsableQuery{After: core.NewID()}), "")
	for search, want := range map[string]string{"TW": "two:collaborator:wiki ", "wik": bens, " WIKI ": bens, "wo": "", "%": "", "_ne": "", "on": "one:owner:own+wiki:+1h0m0s "} {
		equal(t, "ben's "+search, list("ben", accounts.UsableQuery{Search: search}), want)
		equal(t, "ben's "+search+", a row at a time", list("ben", accounts.UsableQuery{Search: search, Limit: 1}), want)
	}
	equal(t, "the guest's", list("gus", accounts.UsableQuery{}), "one:collaborator:wiki:+1h0m0s two:collaborator:wiki ")
	equal(t, "the neighbour's user's", acme.usable(t, other.user("ana"), accounts.UsableQuery{}), "")

	first := "ana:owner:own ben:owner:own+wiki:+1h0m0s gus:collaborator:wiki:+1h0m0s "
	equal(t, "who has the first", acme.access(t, all[0].ID, accounts.AccessQuery{}), first)
	equal(t, "who has the first, a row at a time", acme.access(t, all[0].ID, accounts.AccessQuery{Limit: 1}), first)
	equal(t, "who has the last", acme.access(t, all[3].ID, accounts.AccessQuery{}), "ana:owner:own ")
	equal(t, "who has the first next door", other.access(t, all[0].ID, accounts.AccessQuery{}), "")

	w.clock.Pass(time.Hour)
	equal(t, "ben's after an hour", list("ben", accounts.UsableQuery{}), "one:collaborator:own:+23h0m0s two:collaborator:wiki ")
	equal(t, "who has the first after an hour", acme.access(t, all[0].ID, accounts.AccessQuery{}), "ana:owner:own ben:collaborator:own:+23h0m0s ")
	if _, err := acme.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	equal(t, "a leaver's", list("ben", accounts.UsableQuery{}), "")
	equal(t, "who has the second when ben left", acme.access(t, all[1].ID, accounts.AccessQuery{}), "ana:owner:own gus:collaborator:wiki ")
	acme.activate(t, "ben", true)
	equal(t, "a returner's", list("ben", accounts.UsableQuery{}), "")
}

func TestAppsAreChanged(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	boss := acme.account(t, "boss", "ada")
	change := func(s *side, cause core.Cause, change func(made *accounts.NewApp)) (app accounts.App, changed bool, err error) {
		err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			app, changed, err = w.ChangeApp(t.Context(), tx, cause, s.workspace, acme.app.ID, func(made *accounts.NewApp) error {
				change(made)
				return nil
			})
			return err
		})
		return app, changed, err
	}
	wanted := acme.app
	wanted.Name, wanted.Domains, wanted.SignInURL, wanted.ChangeURL = "Notes", []string{"notes.example.com", "127.0.0.1"}, "https://notes.example.com/in", "https://notes.example.com/me"
	wanted.Settings, wanted.PasswordRules = json.RawMessage(`{"submit": "#go"}`), "minlength: 12"
	everything := func(made *accounts.NewApp) {
		*made = wanted.Made()
		made.Domains = []string{"NOTES.example.com", "127.0.0.1"} // in another form
	}
	app, changed, err := change(acme, acme.as("ada"), everything)
	if diff := cmp.Diff(wanted, app); err != nil || !changed || diff != "" {
		t.Fatal(changed, err, diff)
	}
	if got, err := w.App(t.Context(), w.DB, acme.workspace, app.ID); err != nil || !cmp.Equal(wanted, got) {
		t.Error(err, cmp.Diff(wanted, got))
	}
	if _, changed, err := change(acme, acme.cause, everything); err != nil || changed {
		t.Errorf("the same again is a change: %v", err)
	}
	equal(t, "events", acme.events(t, core.AppUpdated), 1)

	for field, one := range map[string]func(*accounts.NewApp){
		"name": func(a *accounts.NewApp) { a.Name = "" }, "domains": func(a *accounts.NewApp) { a.Domains = nil },
		"sign_in_url": func(a *accounts.NewApp) { a.Domains = []string{"elsewhere.example.com"} },
		"settings":    func(a *accounts.NewApp) { a.Settings = json.RawMessage(`[]`) }, "password_rules": func(a *accounts.NewApp) { a.PasswordRules = "length: 8" },
	} {
		_, _, err := change(acme, acme.cause, one)
		coretest.Wants(t, err, core.KindInvalid, field)
	}
	_, _, err = change(acme, acme.as("ana"), everything)
	coretest.Wants(t, err, core.KindDenied, "")
	_, _, err = change(other, other.cause, everything)
	coretest.Wants(t, err, core.KindNotFound, "")

	// What the app's own settings ask of the connector, another has to be able to do as well.
	w.Resets = func(connector string, _ json.RawMessage) bool { return connector == app.Connector }
	w.Disables = w.Resets
	another := func(made *accounts.NewApp) { made.Connector = "another" }
	set := func(reconcile core.ID, disable bool) {
		err := w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			if _, err := w.SetReconcileAccount(t.Context(), tx, acme.cause, acme.workspace, app.ID, reconcile); err != nil {
				return err
			}
			_, err := w.SetDisableOnLeave(t.Context(), tx, acme.cause, acme.workspace, app.ID, disable)
			return err
		})
		coretest.Must(t, err)
	}
	set(boss.ID, false)
	_, _, err = change(acme, acme.cause, another)
	coretest.Wants(t, err, core.KindInvalid, "connector")
	set(core.ID{}, true)
	_, _, err = change(acme, acme.cause, another)
	coretest.Wants(t, err, core.KindInvalid, "connector")
	set(core.ID{}, false)
	_, _, err = change(acme, acme.cause, another)
	coretest.Must(t, err)
}

func TestReconcileAccount(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	boss, stranger := acme.account(t, "boss", "ada"), other.account(t, "boss", "ada")
	resets := true
	w.Resets = func(connector string, _ json.RawMessage) bool { return resets && connector == acme.app.Connector }
	set := func(s *side, cause core.Cause, app, account core.ID) (set accounts.App, err error) {
		err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			set, err = w.SetReconcileAccount(t.Context(), tx, cause, s.workspace, app, account)
			return err
		})
		return set, err
	}
	for range 2 { // the second time it is no news
		if app, err := set(acme, acme.as("ada"), acme.app.ID, boss.ID); err != nil || app.ReconcileAccount != boss.ID {
			t.Fatal(app, err)
		}
	}
	if app, err := w.App(t.Context(), w.DB, acme.workspace, acme.app.ID); err != nil || app.ReconcileAccount != boss.ID {
		t.Error(app, err)
	}
	equal(t, "events", acme.events(t, core.AppReconcileAccountChanged), 1)

	_, err := set(acme, acme.cause, acme.app.ID, stranger.ID)
	coretest.Wants(t, err, core.KindInvalid, "account")
	_, err = set(acme, acme.cause, acme.app.ID, core.NewID())
	coretest.Wants(t, err, core.KindInvalid, "account")
	_, err = set(other, other.cause, acme.app.ID, stranger.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = set(acme, acme.as("ben"), acme.app.ID, boss.ID)
	coretest.Wants(t, err, core.KindDenied, "")
	if app, err := set(acme, acme.cause, acme.app.ID, core.ID{}); err != nil || !app.ReconcileAccount.IsZero() {
		t.Error(app, err)
	}
	resets = false
	_, err = set(acme, acme.cause, acme.app.ID, boss.ID)
	coretest.Wants(t, err, core.KindInvalid, "account")
	equal(t, "events", acme.events(t, core.AppReconcileAccountChanged), 2)
	equal(t, "the neighbour's events", other.events(t, core.AppReconcileAccountChanged), 0)
}
