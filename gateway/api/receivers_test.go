package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/signing"
	"postern/webhooks/delivery"
	"postern/webhooks/outlogout"
	sending "postern/webhooks/transmitter"
)

func (w *world) transmitter() *sending.Service {
	keys := &signing.Signing{DB: w.db, Vault: w.accounts.Vault}
	return &sending.Service{
		DB: w.db, Directory: w.directory, Vault: w.accounts.Vault, Deliveries: &delivery.Deliveries{DB: w.db}, Sign: keys.Sign, HTTP: http.DefaultClient,
		PublicURL: "https://postern.example.com",
	}
}

func (w *world) logouts() *outlogout.Service {
	return &outlogout.Service{
		DB: w.db, Directory: w.directory, Deliveries: &delivery.Deliveries{DB: w.db}, HTTP: http.DefaultClient, PublicURL: "https://postern.example.com",
	}
}

// receiving makes a receiver that has a stream, and a logout target.
func (w *world) receiving(t *testing.T, all *things) {
	t.Helper()
	made := w.must(t, 201, "POST", "/receivers", `{"name":"Globex"}`)
	all.receivers = made["id"].(string)
	all.secret = items(w.must(t, 200, "GET", "/receivers/"+all.receivers+"/secrets", ""))[0]["id"].(string)
	w.subscribe(t, made)
	all.logoutTargets = w.must(t, 201, "POST", "/logout-targets", `{"name":"Shop","kind":"back_channel","address":"https://shop.example/logout","client_id":"shop"}`)["id"].(string)
}

// subscribe makes a receiver's stream as it would itself.
func (w *world) subscribe(t *testing.T, made map[string]any) {
	t.Helper()
	engine := gin.New()
	w.transmitter().Mount(engine)
	path := strings.TrimPrefix(made["issuer"].(string), "https://postern.example.com")
	send := func(path, kind, authorization, body string) map[string]any {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Content-Type", kind)
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		recorder := httptest.NewRecorder()
		engine.ServeHTTP(recorder, request)
		text, err := io.ReadAll(recorder.Body)
		if err != nil || recorder.Code >= 300 {
			t.Fatalf("%s: %d %s %v", path, recorder.Code, text, err)
		}
		got := map[string]any{}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	token := send(path+"/token", "application/x-www-form-urlencoded", "",
		"grant_type=client_credentials&client_id="+made["client_id"].(string)+"&client_secret="+made["client_secret"].(string))["access_token"].(string)
	send(path+"/stream", "application/json", "Bearer "+token, `{"delivery":{"method":"urn:ietf:rfc:8936"}}`)
}

func TestReceivers(t *testing.T) {
	w := newWorld(t)
	made := w.must(t, 201, "POST", "/receivers", `{"name":"Globex","accounts":true}`)
	if made["sessions"] != true || made["accounts"] != true || made["subject_format"] != "email" || !strings.HasPrefix(made["client_secret"].(string), "pst_api_") {
		t.Errorf("%v", made)
	}
	path := "/receivers/" + made["id"].(string)
	if got := w.must(t, 200, "GET", path, ""); got["client_secret"] != nil || got["lane"].(map[string]any)["status"] != "none" || got["delivery"] != nil {
		t.Errorf("%v", got)
	}
	if status, got := w.ask(t, "acme", "POST", "/receivers", `{"name":"Globex"}`); status != 409 {
		t.Errorf("%d %v", status, got)
	}
	w.subscribe(t, made)
	if got := w.must(t, 200, "PUT", path+"/status", `{"status":"paused","reason":"holidays"}`); got["lane"].(map[string]any)["status"] != "paused" || got["delivery"] != "poll" ||
		got["lane"].(map[string]any)["waiting"] != 1.0 { // stream-updated
		t.Errorf("%v", got)
	}
	if got := w.must(t, 200, "POST", path+"/dead-letters/retry", ""); got["messages"] != 0.0 {
		t.Errorf("%v", got)
	}
	if status, got := w.ask(t, "acme", "POST", path+"/dead-letters/retry?letter="+core.NewID().String(), ""); status != 404 {
		t.Errorf("%d %v", status, got)
	}
	w.must(t, 204, "DELETE", path, "")
	if status, _ := w.ask(t, "acme", "GET", path, ""); status != 404 {
		t.Error(status)
	}
}

func TestLogoutTargets(t *testing.T) {
	w := newWorld(t)
	for body, field := range map[string]string{
		`{"name":"Shop","kind":"back_channel","address":"http://shop.example/logout","client_id":"shop"}`:        "https is needed",
		`{"name":"Shop","kind":"back_channel","address":"https://a:b@shop.example/logout","client_id":"shop"}`:   "https://",
		`{"name":"Shop","kind":"global_token_revocation","address":"https://shop.example/#x","client_id":"sho"}`: "https://",
	} {
		if status, got := w.ask(t, "acme", "POST", "/logout-targets", body); status != 400 || !strings.Contains(got["detail"].(string)+"https://", field) {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	made := w.must(t, 201, "POST", "/logout-targets", `{"name":"Shop","kind":"global_token_revocation","address":"https://shop.example/gtr","client_id":"shop","subject_format":"external_id"}`)
	path := "/logout-targets/" + made["id"].(string)
	if got := w.must(t, 200, "PATCH", path, `{"name":"Store","state":"disabled"}`); got["name"] != "Store" || got["kind"] != "global_token_revocation" || got["lane"].(map[string]any)["status"] != "disabled" {
		t.Errorf("%v", got)
	}
	first := w.must(t, 200, "POST", "/users/"+w.ben.ID.String()+"/logout", "")
	if first["sessions_ended"] != 0.0 || first["outcome"] != "done" || first["duplicate_of"] != nil {
		t.Errorf("%v", first)
	}
	if got := w.must(t, 200, "POST", "/users/"+w.ben.ID.String()+"/logout", ""); got["outcome"] != "duplicate" || got["duplicate_of"] != first["signal"] || got["note"] == nil {
		t.Errorf("%v", got)
	}
	if got := w.must(t, 200, "GET", "/signals/"+first["signal"].(string), ""); got["door"] != "console" || got["type"] != "administrator" || got["facts"].(map[string]any)["said_by"] != "service_account" {
		t.Errorf("%v", got)
	}
	w.must(t, 204, "DELETE", path, "")
}
