package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/webhooks/hooks"
)

func TestAHookIsMadeTriedAndRotated(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/connections", 200, []string{`href="/hooks"`}, nil)
	w.expect(t, "zoe", "/hooks", 200, []string{"Nobody calls yet", "/hooks/new"}, nil)
	w.expect(t, "ana", "/hooks", 403, nil, []string{"/hooks/new"})
	w.expect(t, "ana", "/hooks/new", 403, nil, []string{"Microsoft Graph"})
	w.expect(t, "zoe", "/hooks/new", 200, []string{"kind=okta", "kind=graph", "kind=standard", "kind=signed"}, []string{"<form class"})
	w.expect(t, "zoe", "/hooks/new?kind=nonsense", 200, []string{"kind=okta"}, nil)
	w.expect(t, "zoe", "/hooks/new?kind=signed", 200, []string{`value="signed"`, "workos", w.okta.ID.String()}, []string{"Entra"})
	w.expect(t, "zoe", "/hooks/new?kind=graph", 200, []string{"Directory (tenant) ID"}, nil)

	okta := url.Values{"kind": {"okta"}, "name": {"Event Hook"}, "connection": {w.okta.ID.String()}}
	first := secret(t, w.post(t, "zoe", "/hooks", okta, 200, "Authentication secret", "user.lifecycle.deactivate", "/webhooks/"+w.okta.ID.String()+"/okta"))
	w.post(t, "zoe", "/hooks", okta, 409, "a hook of that name", `value="Event Hook"`)
	w.post(t, "ana", "/hooks", okta, 403)
	w.post(t, "zoe", "/hooks", url.Values{"kind": {"okta"}, "name": {"x"}, "connection": {"x"}}, 400, "Choose a connection")
	all, err := w.hooks.Hooks(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	page := "/hooks/" + all[0].ID.String()
	w.expect(t, "zoe", "/hooks", 200, []string{page, ">Never heard<", "Okta Event Hooks"}, []string{first})
	w.expect(t, "zoe", page, 200, []string{"To paste at the sender", "not yet", "Authorization"}, []string{first, page + "/delete", page + "/backfill"})
	sample := `{"eventType":"com.okta.event_hook","eventId":"e1","data":{"events":[{"uuid":"u1","published":"2026-11-21T10:00:00Z","eventType":"user.lifecycle.deactivate","target":[{"id":"00u-ben","type":"User","alternateId":"ben@acme.example"}]}]}}`
	w.post(t, "zoe", page+"/sample", url.Values{"sample": {sample}}, 200, "user.lifecycle.deactivate", "account disabled", "ben@acme.example")
	w.post(t, "zoe", page+"/sample", url.Values{"sample": {"<i>"}}, 400, "&lt;i&gt;")

	// What the sender cannot prove is seen on the page; what it proves is too.
	if answer, _ := w.ask(t, "", http.MethodGet, "/", nil); answer.StatusCode == 200 {
		t.Fatal("nobody is signed in")
	}
	w.expect(t, "zoe", page+"?confirm=secret", 200, []string{"a new secret?", page + "/secret"}, []string{`name="secret"`})
	second := secret(t, w.post(t, "zoe", page+"/secret", url.Values{"overlap": {"1h"}}, 200, "The one before is good until"))
	if first == second {
		t.Error("the secret is the same")
	}
	w.expect(t, "zoe", page, 200, []string{"The secret before is good until"}, []string{first, second})
	w.post(t, "zoe", page+"/change", url.Values{"name": {"Okta calls"}}, 303)
	w.expect(t, "zoe", page, 200, []string{"Okta calls"}, nil)
	if _, err := w.db.Exec(t.Context(), `update hooks set last_error = 'no <user>', last_error_stage = 'subject', last_error_at = $1 where id = $2`, time.Now(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "zoe", "/hooks", 200, []string{">Failing<", "at subject: no &lt;user&gt;"}, nil)
	w.expect(t, "zoe", page, 200, []string{"failed at <b>subject</b>", "/connections/" + w.okta.ID.String() + "/doctor"}, nil)
	w.forbidden(t, page, map[string]url.Values{
		"/delete": {}, "/secret": {"overlap": {"1h"}}, "/change": {"name": {"x"}}, "/sample": {"sample": {sample}}, "/backfill": {},
	})
	w.expect(t, "zoe", page+"?confirm=delete", 200, []string{"Delete Okta calls?", "Delete it at the sender too"}, nil)
	w.post(t, "zoe", page+"/delete", url.Values{}, 303)
	w.expect(t, "zoe", page, 404, nil, nil)
}

func TestAHookOfSettings(t *testing.T) {
	w := newWorld(t)
	settings := `{"scheme": {"preset": "workos"}, "mapping": {"type": "/event", "kinds": {"dsync.user.deleted": "account_purged"}, "subjects": [{"format": "email", "pointer": "/data/email"}]}}`
	form := func(settings, secret string) url.Values {
		return url.Values{"kind": {"signed"}, "name": {"WorkOS"}, "connection": {w.okta.ID.String()}, "settings": {settings}, "secret": {secret}}
	}
	for what, test := range map[string]struct{ settings, says string }{
		"no JSON":           {"{", "not the JSON"},
		"an unknown member": {`{"mapping": {}, "access": {"secret_reference": "file:/etc/passwd"}}`, "unknown field"},
		"no mapping":        {`{"scheme": {"preset": "workos"}}`, "which types mean what"},
		"an unknown kind":   {strings.Replace(settings, "account_purged", "x", 1), "no kind of signal"},
	} {
		if body := w.post(t, "zoe", "/hooks", form(test.settings, "0123456789abcdef"), 400, test.says); !strings.Contains(body, `value="signed"`) {
			t.Errorf("%s: the form is another", what)
		}
	}
	body := w.post(t, "zoe", "/hooks", form(settings, "canary-secret-of-the-sender"), 200, "the secret that the sender gave")
	if strings.Contains(body, "canary") {
		t.Error("a secret the sender gave is shown")
	}
	all, err := w.hooks.Hooks(t.Context(), w.db, w.acme.ID)
	if err != nil || len(all) != 1 || all[0].Kind != hooks.Signed {
		t.Fatal(all, err)
	}
	page := "/hooks/" + all[0].ID.String()
	w.expect(t, "zoe", page, 200, []string{"dsync.user.deleted", "&#34;workos&#34;", `name="secret"`, "/webhooks/" + w.okta.ID.String() + "/signed/" + all[0].ID.String()}[:2], []string{"canary", "secret_reference"})
	w.post(t, "zoe", page+"/sample", url.Values{"sample": {`{"event":"dsync.user.deleted","data":{"email":"ana@acme.example"}}`}}, 200, "account purged", "ana@acme.example")
	w.post(t, "zoe", page+"/change", url.Values{"name": {"WorkOS"}, "settings": {strings.Replace(settings, "account_purged", "account_disabled", 1)}}, 303)
	w.expect(t, "zoe", page, 200, []string{"account_disabled"}, nil)
	w.post(t, "zoe", page+"/change", url.Values{"name": {"WorkOS"}, "settings": {"nonsense"}}, 400, "not the JSON")
	w.expect(t, "zoe", page+"?confirm=secret", 200, []string{`name="secret"`}, nil)
	if told := secret(t, w.post(t, "zoe", page+"/secret", url.Values{"overlap": {"0"}}, 200)); !strings.HasPrefix(told, "pst_hook") {
		t.Errorf("%.8s…", told)
	}
	w.post(t, "zoe", page+"/backfill", url.Values{}, 409)

	w.post(t, "zoe", "/hooks", url.Values{"kind": {"graph"}, "name": {"Graph"}, "connection": {w.okta.ID.String()}, "tenant": {"t-1"}, "client_id": {"c-1"}}, 400, "client&#39;s secret")
}
