package api_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
	"postern/core/lifecycle"
)

// connect gives acme an identity provider whose guard lets hardly anybody go.
func (w *world) connect(t *testing.T, name string) directory.Connection {
	t.Helper()
	var made directory.Connection
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		made, err = w.directory.CreateConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), w.acme.ID, directory.NewConnection{
			Name: name, Kind: directory.Okta, Provisioning: directory.Provisioning{GuardShare: 1, GuardFloor: 1},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// keep puts a request into the journal.
func (w *world) keep(t *testing.T, entry journal.Entry) core.ID {
	t.Helper()
	entry.ID, entry.Workspace = core.NewID(), w.acme.ID
	if entry.Received.IsZero() {
		entry.Received = time.Now()
	}
	if entry.Correlation.IsZero() {
		entry.Correlation = core.NewID()
	}
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		journal.Queue(batch, entry)
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return entry.ID
}

// depart has an identity provider of its own take three people away, and returns the hold of two.
func (w *world) depart(t *testing.T, name string) string {
	t.Helper()
	connection := w.connect(t, name)
	cause := core.NewCause(connection.Actor(), time.Now())
	var people []core.ID
	for _, one := range []string{"pat", "quinn", "ray"} {
		user, err := w.lifecycle.Provision(t.Context(), cause, directory.User{
			Workspace: w.acme.ID, Connection: connection.ID, UserName: one + "@" + name, Active: true, Role: directory.RoleUser,
		})
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, user.ID)
	}
	for _, one := range people {
		if _, err := w.lifecycle.Deprovision(t.Context(), cause, w.acme.ID, one); err != nil {
			t.Fatal(err)
		}
	}
	open, err := w.lifecycle.Holds(t.Context(), w.db, w.acme.ID, true)
	at := slices.IndexFunc(open, func(hold lifecycle.Hold) bool { return hold.Connection == connection.ID })
	if err != nil || at < 0 {
		t.Fatal(open, err)
	}
	return open[at].ID.String()
}

// provider fills in what an identity provider brings.
func (w *world) provider(t *testing.T, into *things) {
	t.Helper()
	connection := w.connect(t, "First")
	into.connections, into.holds = connection.ID.String(), w.depart(t, "first")
	into.signals, into.signalHolds = w.signal(t, "first signals")
	into.requests = w.keep(t, journal.Entry{Connection: connection.ID, Method: "POST", Address: "/Users", Status: 201, Profile: "okta"}).String()
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		cause := core.NewCause(core.System, time.Now())
		secret, err := w.directory.CreateConnectionToken(t.Context(), tx, cause, w.acme.ID, connection.ID, nil)
		if err != nil {
			return err
		}
		tokens, err := w.directory.ConnectionTokens(t.Context(), tx, w.acme.ID, connection.ID)
		if err != nil {
			return err
		}
		client, password, err := w.directory.CreateConnectionClient(t.Context(), tx, cause, w.acme.ID, connection.ID, nil)
		into.token, into.client = tokens[0].ID.String(), client.ID.String()
		w.hidden = append(w.hidden, secret.Reveal(), password.Reveal())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProvisioningSettings(t *testing.T) {
	w := newWorld(t)
	connection := w.connect(t, "Okta")
	path := "/connections/" + connection.ID.String()
	got := w.must(t, 200, "GET", path, "")["provisioning"].(map[string]any)
	if guard := got["guard"].(map[string]any); got["profile"] != "detected" || got["journal_days"] != 30.0 || guard["floor"] != 1.0 || guard["enabled"] != true {
		t.Errorf("at first %v", got)
	}
	assertion := `{"issuer":"https://login.example.com","subject":"s","audience":"a"}`
	got = w.must(t, 200, "PUT", path+"/provisioning",
		`{"profile":"entra","entitlements":true,"guard":{"enabled":false,"share":30},"journal_days":7,"assertion":`+assertion+`}`)["provisioning"].(map[string]any)
	if guard := got["guard"].(map[string]any); got["profile"] != "entra" || got["entitlements"] != true || got["journal_days"] != 7.0 || guard["share"] != 30.0 ||
		guard["enabled"] != false || got["assertion"].(map[string]any)["subject"] != "s" {
		t.Errorf("then %v", got)
	}
	kept, err := w.directory.Connection(t.Context(), w.db, w.acme.ID, connection.ID)
	if err != nil || kept.Provisioning.Profile != directory.ProfileEntra || kept.Provisioning.GuardFloor >= 0 || kept.Provisioning.Assertion.Audience != "a" {
		t.Errorf("kept %+v, %v", kept.Provisioning, err)
	}
	for body, where := range map[string]string{
		`{"profile":"ping"}`:                                      "#/profile",
		`{"guard":{"share":101}}`:                                 "#/guard/share",
		`{"guard":{"floor":0}}`:                                   "#/guard/floor",
		`{"journal_days":0}`:                                      "#/journal_days",
		`{"assertion":{"issuer":"x"}}`:                            "#/assertion/subject #/assertion/audience",
		`{"assertion":{"issuer":"","subject":"","audience":"a"}}`: "#/assertion/issuer",
		`{"assertion":{"issuer":"https://x.example","subject":"","audience":"a"}}`: "#/assertion/subject",
	} {
		status, answer := w.ask(t, "acme", "PUT", path+"/provisioning", body)
		at := strings.Fields(pointers(answer))
		slices.Sort(at)
		want := strings.Fields(where)
		slices.Sort(want)
		if status != 400 || !slices.Equal(at, want) {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
	// What is left out gets its default.
	got = w.must(t, 200, "PUT", path+"/provisioning", `{}`)["provisioning"].(map[string]any)
	if guard := got["guard"].(map[string]any); got["profile"] != "detected" || got["assertion"] != nil || guard["share"] != 20.0 || guard["floor"] != 10.0 || guard["enabled"] != true {
		t.Errorf("at last %v", got)
	}
}

func TestTokensAndClientsAreShownOnce(t *testing.T) {
	w := newWorld(t)
	path := "/connections/" + w.connect(t, "Okta").ID.String()
	for _, one := range []struct{ list, secret, prefix string }{{"/tokens", "token", "pst_scim_"}, {"/clients", "client_secret", "pst_"}} {
		if status, got := w.ask(t, "acme", "POST", path+one.list, `{"expires":"2001-01-01T00:00:00Z"}`); status != 400 || pointers(got) != "#/expires" {
			t.Errorf("%s in the past: %d %v", one.list, status, got)
		}
		made := w.must(t, 201, "POST", path+one.list, `{"expires":"2090-01-01T00:00:00Z"}`)
		secret, _ := made[one.secret].(string)
		if !strings.HasPrefix(secret, one.prefix) {
			t.Fatalf("%s: made %v", one.list, made)
		}
		w.hidden = append(w.hidden, secret)
		found := items(w.must(t, 200, "GET", path+one.list, ""))
		if len(found) != 1 || found[0]["id"] != made["id"] || found[0]["expires"] != "2090-01-01T00:00:00Z" || found[0]["last_used"] != nil {
			t.Errorf("%s: listed %v", one.list, found)
		}
		w.must(t, 201, "POST", path+one.list, `{}`)
		if status, got := w.ask(t, "acme", "POST", path+one.list, `{}`); status != 409 {
			t.Errorf("a third of %s: %d %v", one.list, status, got)
		}
		w.must(t, 204, "DELETE", path+one.list+"/"+made["id"].(string), "")
		if status, _ := w.ask(t, "acme", "DELETE", path+one.list+"/"+made["id"].(string), ""); status != 404 {
			t.Errorf("%s again: %d", one.list, status)
		}
		if found := items(w.must(t, 200, "GET", path+one.list, "")); len(found) != 1 {
			t.Errorf("%s: %d left", one.list, len(found))
		}
	}
}

func TestRequestsAreListedAndTold(t *testing.T) {
	w := newWorld(t)
	okta, entra := w.connect(t, "Okta"), w.connect(t, "Entra")
	began := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	created := w.keep(t, journal.Entry{Connection: okta.ID, Method: "POST", Address: "/Users", Body: new(`{"userName":"ana"}`), Status: 201, Profile: "okta",
		Resource: w.ana.ID, Received: began})
	refused := w.keep(t, journal.Entry{Connection: entra.ID, Method: "PATCH", Address: "/Users/" + w.ben.ID.String(), Body: new(`{"Operations":[]}`), Status: 400,
		Profile: "entra", Detail: "Operations is empty", Rules: []string{"string_boolean", "op_case"}, Resource: w.ben.ID})
	broken := w.keep(t, journal.Entry{Connection: entra.ID, Method: "PUT", Address: "/Users/x", Status: 400, Profile: "entra", Body: new(`{"userName":`)})
	read := w.keep(t, journal.Entry{Connection: okta.ID, Method: "GET", Address: "/Users", Query: "filter=userName+eq+ana", Status: 200, Profile: "okta",
		Detail: "7 readings like it before were not kept", Received: began})
	for query, want := range map[string][]core.ID{
		"":                                   {read, broken, refused, created},
		"?changes=true":                      {broken, refused, created},
		"?order=asc":                         {created, refused, broken, read},
		"?limit=1&cursor=" + broken.String(): {refused},
		"?connection=" + okta.ID.String():    {read, created},
		"?resource=" + w.ben.ID.String():     {refused},
		"?refused=true":                      {broken, refused},
		"?rule=op_case":                      {refused},
		"?to=" + began.Add(time.Minute).Format(time.RFC3339):     {read, created},
		"?from=" + began.Add(time.Minute).Format(time.RFC3339):   {broken, refused},
		"?connection=" + core.NewID().String() + "&refused=true": {},
	} {
		var got []core.ID
		for _, one := range items(w.must(t, 200, "GET", "/provisioning-requests"+query, "")) {
			id, err := core.ParseID(one["id"].(string))
			if err != nil || one["body"] != nil {
				t.Fatal(one, err)
			}
			got = append(got, id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	if found, pages := w.walk(t, "/provisioning-requests", 1); len(found) != 4 || pages != 5 {
		t.Errorf("%d on %d pages", len(found), pages)
	}
	if told := w.must(t, 200, "GET", "/provisioning-requests/"+read.String(), ""); told["method"] != "GET" || told["query"] != "filter=userName+eq+ana" || told["detail"] == "" {
		t.Errorf("told %v", told)
	}
	told := w.must(t, 200, "GET", "/provisioning-requests/"+refused.String(), "")
	fired := told["fired"].([]any)
	if told["detail"] != "Operations is empty" || len(fired) != 2 || fired[0].(map[string]any)["explanation"] == "" || told["complete"] != true {
		t.Errorf("told %v", told)
	}
	if body, ok := told["body"].(map[string]any); !ok || body["Operations"] == nil {
		t.Errorf("body %v", told["body"])
	}
	if told := w.must(t, 200, "GET", "/provisioning-requests/"+broken.String(), ""); told["body"] != `{"userName":` {
		t.Errorf("what is no JSON: %v", told["body"])
	}
}

func TestHoldsAreDecidedOnce(t *testing.T) {
	w := newWorld(t)
	for name, decision := range map[string]string{"approval": "approved", "rejection": "rejected"} {
		id := w.depart(t, name)
		if open := items(w.must(t, 200, "GET", "/holds?open=true", "")); len(open) != 1 || open[0]["id"] != id || open[0]["people"] == 0.0 || open[0]["connection_name"] != name {
			t.Fatalf("open %v", open)
		}
		told := w.must(t, 200, "GET", "/holds/"+id, "")
		people := told["users"].([]any)
		if len(people) == 0 || people[0].(map[string]any)["state"] != "held" {
			t.Errorf("told %v", told)
		}
		got := w.must(t, 200, "POST", "/holds/"+id+"/"+name, "")
		if got["decision"] != decision || got["decided"] == nil || got["decided_by"] != "all" {
			t.Errorf("decided %v", got)
		}
		if status, got := w.ask(t, "acme", "POST", "/holds/"+id+"/"+name, ""); status != 409 || got["code"] != "already_decided" {
			t.Errorf("again: %d %v", status, got)
		}
		if open := items(w.must(t, 200, "GET", "/holds?open=true", "")); len(open) != 0 {
			t.Errorf("still open %v", open)
		}
	}
	if all := items(w.must(t, 200, "GET", "/holds", "")); len(all) != 2 {
		t.Errorf("%d in all", len(all))
	}
}

func TestPagesOfOneAccount(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	id, err := core.ParseID(account)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, _, err := w.accounts.Fill(context.WithoutCancel(t.Context()), core.NewCause(w.ana.Actor(), time.Now()), w.acme.ID, w.ana.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	const finished = `insert into rotations (id, workspace_id, account_id, reason, cause, priority, state, created, updated, finished)
		select gen_random_uuid(), workspace_id, account_id, reason, cause, priority, 'done', created - make_interval(secs => n / 2), updated, now()
		from rotations, generate_series(1, 6) n where account_id = $1`
	if _, err := w.db.Exec(t.Context(), finished, id); err != nil {
		t.Fatal(err)
	}
	for list, all := range map[string]int{"/exposures": 5, "/rotations": 7} {
		whole, _ := w.walk(t, "/accounts/"+account+list, 100)
		if len(whole) != all {
			t.Fatalf("%s: %d", list, len(whole))
		}
		for limit := 1; limit <= all; limit++ {
			found, _ := w.walk(t, "/accounts/"+account+list, limit)
			if !slices.EqualFunc(found, whole, func(one, other map[string]any) bool { return one["id"] == other["id"] }) {
				t.Errorf("%s, %d at a time: %v", list, limit, found)
			}
		}
		if found := items(w.must(t, 200, "GET", "/accounts/"+account+list+"?cursor="+core.NewID().String(), "")); len(found) != 0 {
			t.Errorf("%s behind nothing: %v", list, found)
		}
	}
}
