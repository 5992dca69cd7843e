package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
	"postern/webhooks/outlogout"
	"postern/webhooks/transmitter"
)

// post sends a form as a person and holds the answer against what is wanted. It returns the page.
func (w *world) post(t testing.TB, who, path string, form url.Values, status int, has ...string) string {
	t.Helper()
	answer, body := w.ask(t, who, http.MethodPost, path, form)
	if answer.StatusCode != status {
		t.Fatalf("%s POST %s: %d, want %d: %.600s", who, path, answer.StatusCode, status, body)
	}
	for _, text := range has {
		if !strings.Contains(body, text) {
			t.Errorf("%s POST %s lacks %q", who, path, text)
		}
	}
	return body
}

// forbidden asks for pages and acts as those who may not.
func (w *world) forbidden(t testing.TB, page string, acts map[string]url.Values) {
	t.Helper()
	w.expect(t, "ana", page, 403, nil, []string{"/delete"})
	w.expect(t, "gus", page, 404, nil, []string{"/delete"})
	w.expect(t, "", page, 303, nil, []string{"/delete"})
	for act, form := range acts {
		for who, status := range map[string]int{"ana": 403, "gus": 404, "": 401} {
			w.post(t, who, page+act, form, status)
		}
		if answer, _ := w.ask(t, "zoe", http.MethodPost, page+act, form, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
			t.Errorf("%s of another site: %d", act, answer.StatusCode)
		}
	}
}

// deliver brings what waits to where it belongs, until nothing of the lane is under way any more.
func (w *world) deliver(t testing.TB, workspace, lane core.ID) {
	t.Helper()
	deliveries := &delivery.Deliveries{DB: w.db, Look: 5 * time.Millisecond, Carriers: map[string]delivery.Carrier{outgoing.Kind: w.webhooks.Carrier()}}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	done := make(chan struct{})
	go func() { defer close(done); _ = deliveries.Run(ctx) }()
	defer func() { stop(); <-done }()
	for {
		waiting, err := deliveries.Waiting(ctx, w.db, workspace, lane, 10)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(waiting, func(one delivery.Delivery) bool { return one.Attempts == 0 }) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var toldSecret = regexp.MustCompile(`<output class="secret" id="told">([^<]+)</output>`)

// secret is what a page tells this once.
func secret(t testing.TB, page string) string {
	t.Helper()
	found := toldSecret.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no secret is told: %.400s", page)
	}
	return strings.ReplaceAll(found[1], "&#43;", "+")
}

func TestAWebhookIsMadeWatchedAndMended(t *testing.T) {
	w := newWorld(t)
	var status atomic.Int64
	status.Store(500)
	endpoint := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(int(status.Load())) }))
	t.Cleanup(endpoint.Close)
	w.expect(t, "zoe", "/destinations", 200, []string{"/destinations/webhooks/new", "A chat, a ticket system", "Receivers of Shared Signals", "Logout targets"}, nil)
	w.expect(t, "ana", "/destinations", 403, nil, []string{"/destinations/webhooks/new"})
	w.expect(t, "ana", "/destinations/webhooks/new", 403, nil, []string{"<form class"})
	w.expect(t, "zoe", "/destinations/webhooks/new", 200, []string{`action="/destinations/webhooks"`, "v1a"}, nil)
	w.post(t, "zoe", "/destinations/webhooks", url.Values{"name": {"Chat <b>"}, "url": {"ftp://x"}, "scheme": {"v1"}, "types": {"user.*"}}, 400, "Https is needed", "Chat &lt;b&gt;", ">user.*<")
	w.post(t, "zoe", "/destinations/webhooks", url.Values{"name": {"Chat"}, "url": {endpoint.URL}, "types": {"nothing.*"}}, 400, "There is no event", "nothing.*")
	w.post(t, "ana", "/destinations/webhooks", url.Values{"name": {"Chat"}, "url": {endpoint.URL}}, 403)
	form := url.Values{"name": {"Chat <b>"}, "url": {endpoint.URL + "/in"}, "types": {" user.*\n account.password_rotated "}, "scheme": {"v1"}}
	first := secret(t, w.post(t, "zoe", "/destinations/webhooks", form, 200, "shown this once", "Chat &lt;b&gt; is told of events"))
	if !strings.HasPrefix(first, "whsec_") {
		t.Errorf("%.6s…", first)
	}
	w.post(t, "zoe", "/destinations/webhooks", form, 409, "There is a webhook of that name")
	all, err := w.webhooks.Webhooks(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) != 1 || !slices.Equal(all[0].Types, []string{"user.*", "account.password_rotated"}) {
		t.Fatal(all, err)
	}
	id := all[0].ID
	page := "/destinations/webhooks/" + id.String()
	w.expect(t, "zoe", "/destinations", 200, []string{page, "Chat &lt;b&gt;", ">Running<"}, []string{"Chat <b>", "A chat, a ticket", first})
	w.expect(t, "zoe", page, 200, []string{endpoint.URL + "/in", "user.*, account.password_rotated", "Nothing was sent yet", page + "/test", "confirm=delete"}, []string{first, page + "/delete", page + "/secret"})
	w.expect(t, "gus", "/destinations", 200, nil, []string{page})
	w.expect(t, "zoe", "/destinations/webhooks/"+core.NewID().String(), 404, nil, nil)

	// An endpoint that is down: its attempts are seen, and what it was sent goes again.
	w.post(t, "zoe", page+"/test", url.Values{}, 303)
	w.deliver(t, w.acme.ID, id)
	body := w.expect(t, "zoe", page, 200, []string{">Failing<", "webhook.test", ">Tried again<", "answers 500", "again <time"}, nil)
	message := regexp.MustCompile(`message=([0-9a-f-]{36})"`).FindStringSubmatch(body)
	if message == nil {
		t.Fatal("no message leads to its attempts")
	}
	w.expect(t, "zoe", page+"?message="+message[1], 200, []string{"Attempts at", "<td>500</td>"}, nil)
	w.expect(t, "zoe", page+"?message=nonsense", 400, nil, nil)
	w.expect(t, "zoe", page+"?state=delivered", 200, []string{"No message is like that"}, []string{"webhook.test"})
	status.Store(410)
	w.post(t, "zoe", page+"/state", url.Values{"state": {"running"}}, 303) // hurries what waits
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update deliveries set attempts = 0, next = now() where workspace_id = $1 and lane_id = $2`, w.acme.ID, id)
		return err
	})
	w.deliver(t, w.acme.ID, id)
	w.expect(t, "zoe", page, 200, []string{">Disabled<", "Given up: ", "answers 410", "Enable again", "What was not taken: 1", ">Not taken<"}, []string{page + "/test"})
	w.expect(t, "zoe", "/destinations", 200, []string{">Disabled<", "answers 410"}, nil)
	status.Store(204)
	w.post(t, "zoe", page+"/state", url.Values{"state": {"running"}}, 303)
	w.post(t, "zoe", page+"/retry", url.Values{"message": {"all"}}, 303)
	w.deliver(t, w.acme.ID, id)
	w.expect(t, "zoe", page, 200, []string{">Running<", ">Delivered<"}, []string{"What was not taken", "Given up"})
	w.post(t, "zoe", page+"/retry", url.Values{"message": {message[1]}}, 303)
	w.deliver(t, w.acme.ID, id)
	w.expect(t, "zoe", page+"?state=delivered&message="+message[1], 200, []string{"<td>204</td>", "<td>410</td>", "<td>500</td>", `aria-current="true">Delivered`}, nil)
	w.sequence(t)
	w.post(t, "zoe", page+"/replay", url.Values{"since": {"24h"}}, 303)
	w.post(t, "zoe", page+"/replay", url.Values{"since": {"1y"}}, 400, "can be sent again")
	w.post(t, "zoe", page+"/retry", url.Values{"message": {"x"}}, 400)
	w.post(t, "zoe", page+"/retry", url.Values{"message": {core.NewID().String()}}, 404)

	// A second secret, with an overlap.
	w.expect(t, "zoe", page+"?confirm=secret", 200, []string{"Give Chat &lt;b&gt; a new secret?", page + "/secret", "24 hours"}, []string{page + "/delete"})
	second := secret(t, w.post(t, "zoe", page+"/secret", url.Values{"overlap": {"24h"}}, 200, "signed with the one before too, until"))
	if second == first {
		t.Error("the secret is the same")
	}
	w.post(t, "zoe", page+"/secret", url.Values{"overlap": {"1000h"}}, 400, "how long")
	w.expect(t, "zoe", page, 200, []string{"and the one before, until"}, []string{first, second})
	w.expect(t, "zoe", page+"?confirm=secret", 200, []string{"ends at once"}, nil)

	w.post(t, "zoe", page+"/state", url.Values{"state": {"paused"}}, 303)
	w.expect(t, "zoe", page, 200, []string{">Paused<", "Go on"}, []string{page + "/test"})
	w.post(t, "zoe", page+"/state", url.Values{"state": {"gone"}}, 400, "runs, is paused or is disabled")
	w.expect(t, "zoe", page+"?confirm=disable", 200, []string{"is not kept for it", `value="disabled"`}, nil)
	w.post(t, "zoe", page+"/state", url.Values{"state": {"disabled"}}, 303)
	w.expect(t, "zoe", page, 200, []string{">Disabled<", "Enable again"}, []string{"Given up", "confirm=disable"})
	w.post(t, "zoe", page+"/change", url.Values{"name": {"Talk"}, "url": {endpoint.URL + "/other"}, "types": {""}}, 303)
	w.post(t, "zoe", page+"/change", url.Values{"name": {""}, "url": {endpoint.URL}}, 400, "A name has")
	w.expect(t, "zoe", page, 200, []string{"Talk", "/other", "every event"}, nil)

	w.forbidden(t, page, map[string]url.Values{
		"/delete": {}, "/secret": {"overlap": {"24h"}}, "/state": {"state": {"running"}}, "/retry": {"message": {"all"}}, "/replay": {"since": {"1h"}}, "/test": {},
		"/change": {"name": {"x"}, "url": {endpoint.URL}},
	})
	w.expect(t, "zoe", page+"?confirm=delete", 200, []string{"Delete Talk?", "messages", page + "/delete"}, nil)
	w.post(t, "zoe", page+"/delete", url.Values{}, 303)
	w.post(t, "zoe", page+"/delete", url.Values{}, 404)
	w.expect(t, "zoe", page, 404, nil, nil)
	if public := secret(t, w.post(t, "zoe", "/destinations/webhooks", url.Values{"name": {"SIEM"}, "url": {endpoint.URL}, "scheme": {"v1a"}}, 200, "Public key")); !strings.HasPrefix(public, "whpk_") {
		t.Errorf("%.6s…", public)
	}
}

func TestAReceiverIsGivenWhatItNeeds(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/destinations/receivers/new", 200, []string{`name="sessions" value="1" checked`, "iss_sub"}, nil)
	w.post(t, "zoe", "/destinations/receivers", url.Values{"name": {"Globex"}, "subject_format": {"phone"}}, 400, "email or by iss_sub", `value="Globex"`)
	w.post(t, "zoe", "/destinations/receivers", url.Values{"name": {" "}, "subject_format": {"email"}}, 400, "A name has")
	form := url.Values{"name": {"Globex"}, "subject_format": {"email"}, "sessions": {"1"}}
	made := w.post(t, "zoe", "/destinations/receivers", form, 200, "Client secret", w.server.URL+"/.well-known/ssf-configuration/ssf/"+w.acme.ID.String(), w.server.URL+"/jwks/"+w.acme.ID.String(), "ssf.manage ssf.read")
	told := secret(t, made)
	if !strings.HasPrefix(told, "pst_api_") {
		t.Errorf("%.8s…", told)
	}
	w.post(t, "zoe", "/destinations/receivers", form, 409)
	all, err := w.receivers.Receivers(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) != 1 || !all[0].Sessions || all[0].Accounts {
		t.Fatal(all, err)
	}
	page := "/destinations/receivers/" + all[0].ID.String()
	w.expect(t, "zoe", "/destinations", 200, []string{page, "No stream yet"}, []string{told})
	w.expect(t, "zoe", page, 200, []string{"made no stream yet", all[0].Account.String(), page + "/change"}, []string{told, page + "/state"})
	w.post(t, "zoe", page+"/state", url.Values{"state": {"paused"}}, 404)
	w.post(t, "zoe", page+"/retry", url.Values{"message": {"all"}}, 404)

	// Its secret is replaced without a gap.
	first, err := w.receivers.Secrets(t.Context(), w.db, w.acme.ID, all[0].ID)
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	w.expect(t, "zoe", page, 200, []string{"Client secrets", first[0].ID.String()}, nil)
	if second := secret(t, w.post(t, "zoe", page+"/secrets", url.Values{}, 200, "one more client secret", all[0].Account.String())); !strings.HasPrefix(second, "pst_api_") || second == told {
		t.Errorf("%.8s…", second)
	}
	w.post(t, "zoe", page+"/secrets", url.Values{}, 409, "at most two live secrets")
	w.post(t, "zoe", page+"/secrets/revoke", url.Values{"secret": {"x"}}, 404)
	w.post(t, "zoe", page+"/secrets/revoke", url.Values{"secret": {first[0].ID.String()}}, 303)
	w.expect(t, "zoe", page, 200, []string{"Client secrets"}, []string{first[0].ID.String()})

	// Its stream, as it would make it, and messages of which it refused one.
	stream := core.NewID()
	lane := delivery.Lane{ID: stream, Workspace: w.acme.ID, Kind: transmitter.Kind, Name: "Globex", Ordered: true}
	const revoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		if err := w.deliveries.Open(ctx, tx, lane); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into transmitter_streams (id, workspace_id, receiver_id, delivery, requested, delivered, created, updated)
			values ($1, $2, $3, 'poll', array[$4], array[$4], now(), now())`, stream, w.acme.ID, all[0].ID, revoked); err != nil {
			return err
		}
		for range 2 {
			if err := w.deliveries.Add(ctx, tx, delivery.Delivery{Workspace: w.acme.ID, Lane: stream, Type: revoked + " " + w.people["ben"].ID.String(), Payload: []byte(`{}`)}); err != nil {
				return err
			}
		}
		waiting, err := w.deliveries.Waiting(ctx, tx, w.acme.ID, stream, 1)
		if err != nil {
			return err
		}
		return w.deliveries.Refuse(ctx, tx, lane, waiting[0].ID, "invalid_key: <script>")
	})
	w.expect(t, "zoe", page, 200, []string{"it polls", "caep/session-revoked", "/users/" + w.people["ben"].ID.String(), ">Not taken<", "invalid_key: &lt;script&gt;", page + "/retry", ">Waits<"}, []string{"made no stream"})
	w.post(t, "zoe", page+"/retry", url.Values{"message": {"all"}}, 303)
	w.expect(t, "zoe", page, 200, nil, []string{page + "/retry"})
	w.post(t, "zoe", page+"/change", url.Values{"subject_format": {"iss_sub"}, "audience": {"https://globex.example"}, "accounts": {"1"}}, 303)
	w.expect(t, "zoe", page, 200, []string{`value="https://globex.example"`, `value="iss_sub" selected`, `name="accounts" value="1" checked`}, []string{`name="sessions" value="1" checked`})
	w.post(t, "zoe", page+"/state", url.Values{"state": {"paused"}}, 303)
	w.expect(t, "zoe", page, 200, []string{">Paused<", "Go on"}, nil)
	w.expect(t, "zoe", page+"?confirm=disable", 200, []string{"What waits is dropped", "stream-updated"}, nil)
	w.forbidden(t, page, map[string]url.Values{
		"/delete": {}, "/state": {"state": {"running"}}, "/retry": {"message": {"all"}}, "/change": {"subject_format": {"email"}, "audience": {"x"}},
	})
	w.expect(t, "zoe", page+"?confirm=delete", 200, []string{"Delete Globex?", page + "/delete"}, nil)
	w.post(t, "zoe", page+"/delete", url.Values{}, 303)
	w.expect(t, "zoe", page, 404, nil, nil)
}

func TestALogoutTargetIsToldOfLogouts(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/destinations/logout-targets/new", 200, []string{"global_token_revocation", "external_id"}, nil)
	form := url.Values{"name": {"Wiki"}, "kind": {"back_channel"}, "address": {"http://wiki.example.com/out"}, "client_id": {"wiki"}, "subject_format": {"email"}}
	w.post(t, "zoe", "/destinations/logout-targets", form, 400, "Https is needed", `value="wiki"`)
	form.Set("address", "https://wiki.example.com/out")
	w.post(t, "zoe", "/destinations/logout-targets", form, 200, "Wiki is told of logouts", w.server.URL+"/ssf/"+w.acme.ID.String(), "There is no secret", "aud of the tokens")
	all, err := w.logouts.Targets(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	page := "/destinations/logout-targets/" + all[0].ID.String()
	lane := delivery.Lane{ID: all[0].ID, Workspace: w.acme.ID, Kind: outlogout.Kind, Name: "Wiki"}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		one := delivery.Delivery{ID: core.NewID(), Workspace: w.acme.ID, Lane: lane.ID, Type: "logout " + w.people["ana"].ID.String(), Payload: []byte(`{}`)}
		if err := w.deliveries.Add(ctx, tx, one); err != nil {
			return err
		}
		return w.deliveries.Refuse(ctx, tx, lane, one.ID, "wiki.example.com answers 400")
	})
	w.expect(t, "zoe", "/destinations", 200, []string{page, "Wiki", ">Failing<", "answers 400"}, nil)
	w.expect(t, "zoe", page, 200, []string{"Back-channel logout to https://wiki.example.com/out", "/users/" + w.people["ana"].ID.String(), "answers 400", "Send what was not taken again"}, []string{"Given up"})
	w.post(t, "zoe", page+"/retry", url.Values{"message": {"all"}}, 303)
	w.expect(t, "zoe", page, 200, []string{">Waits<"}, []string{"Send what was not taken again"})
	w.post(t, "zoe", page+"/change", url.Values{"name": {"Wiki 2"}, "address": {"https://wiki.example.com/two"}, "client_id": {"w2"}, "subject_format": {"user_id"}}, 303)
	w.post(t, "zoe", page+"/change", url.Values{"name": {"Wiki 2"}, "address": {"x"}, "client_id": {"w2"}, "subject_format": {"user_id"}}, 400, "An address that begins")
	w.post(t, "zoe", page+"/state", url.Values{"state": {"disabled"}}, 303)
	w.expect(t, "zoe", page, 200, []string{"Wiki 2", "/two", "Postern’s id of them", ">Disabled<", "Enable again"}, []string{"confirm=disable", "Given up"})
	w.post(t, "zoe", page+"/state", url.Values{"state": {"running"}}, 303)
	w.forbidden(t, page, map[string]url.Values{
		"/delete": {}, "/state": {"state": {"running"}}, "/retry": {"message": {"all"}},
		"/change": {"name": {"x"}, "address": {"https://x.example"}, "client_id": {"x"}, "subject_format": {"email"}},
	})
	w.expect(t, "zoe", page+"?confirm=delete", 200, []string{"Delete Wiki 2?", "People stay signed in there"}, nil)
	w.post(t, "zoe", page+"/delete", url.Values{}, 303)
	w.expect(t, "zoe", "/destinations", 200, []string{"Global Token Revocation, is told"}, []string{page})
}
