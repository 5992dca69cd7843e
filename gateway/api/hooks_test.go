package api_test

import (
	"net/http"
	"testing"

	"postern/webhooks/delivery"
	"postern/webhooks/hooks"
	"postern/webhooks/keys"
	"postern/webhooks/outgoing"
)

func (w *world) hooks() *hooks.Service {
	return &hooks.Service{
		DB: w.db, Directory: w.directory, Signals: w.signals, Vault: w.accounts.Vault, Keys: &keys.Cache{HTTP: http.DefaultClient}, HTTP: http.DefaultClient,
		PublicURL: "https://postern.example.com",
	}
}

func (w *world) webhooks() *outgoing.Service {
	return &outgoing.Service{DB: w.db, Vault: w.accounts.Vault, Deliveries: &delivery.Deliveries{DB: w.db}, HTTP: http.DefaultClient}
}

// hooking makes a hook of the connection, and a webhook.
func (w *world) hooking(t *testing.T, all *things) {
	t.Helper()
	all.hooks = w.must(t, 201, "POST", "/connections/"+all.connections+"/hooks", `{"kind":"okta","name":"Event Hook","access":{"address":"https://okta.example.com","secret":"`+canary+`"}}`)["id"].(string)
	all.webhooks = w.must(t, 201, "POST", "/webhooks", `{"name":"SIEM","url":"https://hooks.example.com/a"}`)["id"].(string)
}

func TestHooksAndWebhooks(t *testing.T) {
	w := newWorld(t)
	all := things{connections: w.connect(t, "IdP").ID.String()}
	w.hooking(t, &all)
	got := w.must(t, 200, "GET", "/hooks/"+all.hooks, "")
	if got["url"] != "https://postern.example.com/webhooks/"+all.connections+"/okta" || got["secret"] != nil {
		t.Fatal(got)
	}
	if got := w.must(t, 200, "POST", "/hooks/"+all.hooks+"/secret", `{}`); got["secret"] == nil || got["previous_secret_until"] == nil {
		t.Fatal(got)
	}
	made := w.must(t, 201, "POST", "/connections/"+all.connections+"/hooks",
		`{"kind":"signed","name":"WorkOS","scheme":{"preset":"workos"},"mapping":{"kinds":{"dsync.user.deleted":"account_purged"},"subjects":[{"format":"email","pointer":"/data/emails/0/value"}],"type":"/event"}}`)
	read := items(w.must(t, 200, "POST", "/hooks/"+made["id"].(string)+"/test", `{"message":{"event":"dsync.user.deleted","data":{"emails":[{"value":"ana@acme"}]}}}`))
	if len(read) != 1 || read[0]["kind"] != "account_purged" || read[0]["subject"] != "email ana@acme" {
		t.Fatal(read)
	}
	for what, body := range map[string]string{
		"a kind nobody knows":  `{"kind":"signed","name":"x","scheme":{"preset":"workos"},"mapping":{"kinds":{"x":"y"},"subjects":[{"format":"email","pointer":"/e"}]}}`,
		"a body nobody signed": `{"kind":"signed","name":"x","scheme":{"hmac":{"header":"X-S","signed":"{t}"}},"mapping":{"kinds":{"x":"logout"},"subjects":[{"format":"email","pointer":"/e"}]}}`,
		"a private key":        `{"kind":"standard","name":"x","secret":"whsk_x","mapping":{"kinds":{"x":"logout"},"subjects":[{"format":"email","pointer":"/e"}]}}`,
	} {
		if status, got := w.ask(t, "acme", "POST", "/connections/"+all.connections+"/hooks", body); status != 400 {
			t.Errorf("%s: %d %v", what, status, got)
		}
	}
	if sent := w.must(t, 200, "POST", "/webhooks/"+all.webhooks+"/test", ""); sent["message"] == nil {
		t.Fatal(sent)
	}
	if found := items(w.must(t, 200, "GET", "/webhooks/"+all.webhooks+"/messages", "")); len(found) != 1 || found[0]["type"] != "webhook.test" || found[0]["state"] != "waiting" {
		t.Fatal(found)
	}
}
