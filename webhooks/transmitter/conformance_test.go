package transmitter_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/coretest"
	"postern/webhooks/transmitter"
)

const (
	caep         = "https://schemas.openid.net/secevent/caep/event-type/"
	risc         = "https://schemas.openid.net/secevent/risc/event-type/"
	verification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	updated      = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
	scim         = "urn:ietf:params:scim:event:prov:"
)

// The checks of the public certification of transmitters (caep_interop) that need no network: metadata.
func TestMetadata(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, w.acme, transmitter.NewReceiver{})
	get := func(address string) (int, map[string]any) {
		response, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
		must(t, err)
		status, got, _ := c.send(t, response)
		return status, got
	}
	address := w.gateway.URL + "/.well-known/ssf-configuration/ssf/" + w.acme.workspace.ID.String()
	if address != w.service.Discovery(w.acme.workspace.ID) {
		t.Error(w.service.Discovery(w.acme.workspace.ID))
	}
	status, got := get(address)
	if status != 200 || got["issuer"] != c.issuer || got["spec_version"] != "1_0" || got["default_subjects"] != "ALL" {
		t.Fatalf("%d %v", status, got)
	}
	for _, endpoint := range []string{"configuration_endpoint", "status_endpoint", "verification_endpoint", "add_subject_endpoint", "remove_subject_endpoint"} {
		if text, _ := got[endpoint].(string); !strings.HasPrefix(text, c.issuer+"/") {
			t.Errorf("%s is %v", endpoint, got[endpoint])
		}
	}
	if schemes := got["authorization_schemes"].([]any); schemes[0].(map[string]any)["spec_urn"] != "urn:ietf:rfc:6749" {
		t.Error(schemes)
	}
	if methods := got["delivery_methods_supported"].([]any); len(methods) != 2 {
		t.Error(methods)
	}
	c.call(t, "POST", "/stream", map[string]any{})
	status, keys := get(got["jwks_uri"].(string))
	if status != 200 {
		t.Fatal(status)
	}
	for _, key := range keys["keys"].([]any) {
		if key := key.(map[string]any); key["kty"] != "RSA" || len(key["n"].(string)) < 342 { // 2048 bits
			t.Error(key)
		}
	}
	if status, got = get(w.gateway.URL + "/.well-known/oauth-protected-resource/ssf/" + w.acme.workspace.ID.String()); status != 200 || got["resource"] != c.issuer {
		t.Errorf("%d %v", status, got)
	}
	if status, got = get(w.gateway.URL + "/.well-known/oauth-authorization-server/ssf/" + w.acme.workspace.ID.String()); status != 200 || got["token_endpoint"] != c.issuer+"/token" {
		t.Errorf("%d %v", status, got)
	}
	for _, unknown := range []string{core.NewID().String(), "x"} {
		if status, _ = get(w.gateway.URL + "/.well-known/ssf-configuration/ssf/" + unknown); status != 404 {
			t.Error(status)
		}
	}
}

func TestTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	c, other := w.client(t, w.acme, transmitter.NewReceiver{}), w.client(t, w.globex, transmitter.NewReceiver{})
	id, secret := c.receiver.Account.String(), c.secret.Reveal()
	grant := url.Values{"grant_type": {"client_credentials"}}
	status, got, header := c.form(t, grant, id, secret)
	if status != 200 || got["token_type"] != "Bearer" || got["expires_in"].(float64) > 3600 || got["scope"] != "ssf.manage ssf.read" || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", status, got)
	}
	if status, got, _ = c.form(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {"ssf.read other"}}, "", ""); status != 200 || got["scope"] != "ssf.read" {
		t.Errorf("%d %v", status, got)
	}
	for name, bad := range map[string]struct {
		form       url.Values
		id, secret string
		status     int
		code       string
	}{
		"no secret":           {grant, "", "", 401, "invalid_client"},
		"wrong secret":        {grant, id, "pst_api_x", 401, "invalid_client"},
		"another's id":        {grant, other.receiver.Account.String(), secret, 401, "invalid_client"},
		"another workspace's": {grant, other.receiver.Account.String(), other.secret.Reveal(), 401, "invalid_client"},
		"another grant":       {url.Values{"grant_type": {"authorization_code"}}, id, secret, 400, "unsupported_grant_type"},
		"another scope":       {url.Values{"grant_type": {"client_credentials"}, "scope": {"admin"}}, id, secret, 400, "invalid_scope"},
		"twice":               {url.Values{"grant_type": {"client_credentials", "client_credentials"}}, id, secret, 400, "invalid_request"},
	} {
		if status, got, _ := c.form(t, bad.form, bad.id, bad.secret); status != bad.status || got["error"] != bad.code {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	w.ahead.Store(int64(61 * time.Minute))
	if status, _ := c.call(t, "GET", "/stream", nil); status != 401 {
		t.Errorf("a token lives longer than an hour: %d", status)
	}
}

// The same for the management of streams: what is answered to what.
func TestStreamManagement(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, w.acme, transmitter.NewReceiver{})
	reader := w.client(t, w.acme, transmitter.NewReceiver{Name: "reader", ReadOnly: true})
	other := w.client(t, w.globex, transmitter.NewReceiver{})
	stranger := &client{w: w, issuer: c.issuer, token: "pst_ssf_at_x"}
	elsewhere := &client{w: w, issuer: other.issuer, token: c.token}

	if status, got := c.call(t, "GET", "/stream", nil); status != 200 || len(got["list"].([]any)) != 0 {
		t.Fatalf("%d %v", status, got)
	}
	for name, body := range map[string]any{
		"not JSON": "{", "a list": "[]", "another method": map[string]any{"delivery": map[string]any{"method": "x"}},
		"push to nowhere": map[string]any{"delivery": map[string]any{"method": "urn:ietf:rfc:8935"}},
		"push to a word":  map[string]any{"delivery": map[string]any{"method": "urn:ietf:rfc:8935", "endpoint_url": "x"}},
		"a header of two": map[string]any{"delivery": map[string]any{"method": "urn:ietf:rfc:8935", "endpoint_url": "https://r.example/", "authorization_header": "a\r\nb"}},
		"another issuer":  map[string]any{"iss": "https://else.example"},
		"events no list":  map[string]any{"events_requested": "x"},
	} {
		if status, got := c.call(t, "POST", "/stream", body); status != 400 || got["error"] == nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	status, made := c.call(t, "POST", "/stream", map[string]any{
		"events_requested": []string{caep + "session-revoked", "https://else.example/event"}, "description": "Globex", "unknown": true,
		"delivery": map[string]any{"method": "urn:ietf:rfc:8935", "endpoint_url": "https://r.example/push", "authorization_header": "Bearer canary"},
	})
	if status != 201 || made["iss"] != c.issuer || made["aud"] != c.receiver.Audience || len(made["events_delivered"].([]any)) != 1 || len(made["events_requested"].([]any)) != 2 ||
		made["delivery"].(map[string]any)["authorization_header"] != nil || made["min_verification_interval"] == nil {
		t.Fatalf("%d %v", status, made)
	}
	id := made["stream_id"].(string)
	if status, got := c.call(t, "POST", "/stream", map[string]any{}); status != 409 {
		t.Errorf("%d %v", status, got)
	}
	for _, one := range []struct {
		by           *client
		method, path string
		body         any
		status       int
	}{
		{c, "GET", "/stream?stream_id=" + id, nil, 200},
		{c, "GET", "/stream?stream_id=" + core.NewID().String(), nil, 404},
		{c, "GET", "/stream?stream_id=x", nil, 404},
		{other, "GET", "/stream?stream_id=" + id, nil, 404},
		{stranger, "GET", "/stream", nil, 401},
		{stranger, "POST", "/stream", map[string]any{}, 401},
		{elsewhere, "GET", "/stream", nil, 401},
		{reader, "GET", "/stream", nil, 200},
		{reader, "POST", "/stream", map[string]any{}, 403},
		{reader, "DELETE", "/stream?stream_id=" + id, nil, 403},
		{c, "PATCH", "/stream", map[string]any{"description": "x"}, 400},
		{c, "PATCH", "/stream", map[string]any{"stream_id": core.NewID(), "description": "x"}, 404},
		{c, "PATCH", "/stream", map[string]any{"stream_id": id, "aud": "https://else.example"}, 400},
		{c, "PATCH", "/stream", map[string]any{"stream_id": id, "aud": []string{c.receiver.Audience}, "description": "x"}, 200},
		{c, "PUT", "/stream", map[string]any{"stream_id": id, "events_requested": []string{}}, 200},
		{c, "PATCH", "/stream?stream_id=" + id, map[string]any{"events_requested": transmitter.Supported()}, 200},
		{c, "GET", "/status", nil, 400},
		{c, "GET", "/status?stream_id=" + id, nil, 200},
		{other, "GET", "/status?stream_id=" + id, nil, 404},
		{c, "POST", "/status", map[string]any{"stream_id": id, "status": "gone"}, 400},
		{c, "POST", "/status", map[string]any{"stream_id": core.NewID(), "status": "paused"}, 404},
		{reader, "POST", "/status", map[string]any{"stream_id": id, "status": "paused"}, 403},
		{c, "POST", "/subjects/add", map[string]any{"stream_id": id, "subject": map[string]any{"format": "email", "email": "a@example.com"}, "verified": true}, 200},
		{c, "POST", "/subjects/add", map[string]any{"stream_id": id}, 400},
		{c, "POST", "/subjects/add", map[string]any{"stream_id": id, "subject": map[string]any{"format": "email"}}, 400},
		{c, "POST", "/subjects/remove", map[string]any{"stream_id": core.NewID(), "subject": map[string]any{"format": "email", "email": "a@example.com"}}, 404},
		{c, "POST", "/subjects/remove", map[string]any{"stream_id": id, "subject": map[string]any{"format": "email", "email": "nobody@example.com"}}, 204},
		{c, "POST", "/verify", map[string]any{"state": "x"}, 400},
		{c, "POST", "/verify", map[string]any{"stream_id": core.NewID()}, 404},
		{stranger, "POST", "/verify", map[string]any{"stream_id": id}, 401},
		{c, "POST", "/poll", map[string]any{"maxEvents": -1}, 400},
		{stranger, "POST", "/poll", map[string]any{}, 401},
		{other, "POST", "/poll", map[string]any{}, 404},
	} {
		if status, got := one.by.call(t, one.method, one.path, one.body); status != one.status {
			t.Errorf("%s %s %v: %d %v, not %d", one.method, one.path, one.body, status, got, one.status)
		}
	}
	for _, status := range []string{"paused", "disabled", "enabled"} {
		code, got := c.call(t, "POST", "/status", map[string]any{"stream_id": id, "status": status, "reason": "because"})
		if code != 200 || got["status"] != status || got["stream_id"] != id || got["reason"] != "because" {
			t.Errorf("%d %v", code, got)
		}
		if code, got = c.call(t, "GET", "/status?stream_id="+id, nil); code != 200 || got["status"] != status {
			t.Errorf("%d %v", code, got)
		}
	}
	if status, _ := c.call(t, "DELETE", "/stream?stream_id="+id, nil); status != 204 {
		t.Error(status)
	}
	if status, _ := c.call(t, "DELETE", "/stream?stream_id="+id, nil); status != 404 {
		t.Error(status)
	}
	if status, _ := c.call(t, "POST", "/stream", map[string]any{}); status != 201 {
		t.Error(status)
	}
}

// Polled: a verification's state comes back, each token has one event, what is not acknowledged comes again
// under the same jti, what is refused does not, and nothing is told to another workspace.
func TestPolling(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	c := w.client(t, w.acme, transmitter.NewReceiver{Sessions: true, Audience: "https://receiver.example"})
	other := w.client(t, w.globex, transmitter.NewReceiver{Sessions: true})
	_, made := c.call(t, "POST", "/stream", map[string]any{})
	other.call(t, "POST", "/stream", map[string]any{})
	id := made["stream_id"].(string)
	if status, _ := c.call(t, "POST", "/verify", map[string]any{"stream_id": id, "state": "VGhpcw"}); status != 204 {
		t.Fatal(status)
	}
	if status, got := c.call(t, "POST", "/verify", map[string]any{"stream_id": id, "state": "again"}); status != 429 {
		t.Errorf("%d %v", status, got)
	}
	got := c.poll(t)
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	var verified string
	for jti, claims := range got {
		verified = jti
		uri, body := event(claims)
		if subject := claims["sub_id"].(map[string]any); uri != verification || body["state"] != "VGhpcw" || subject["format"] != "opaque" || subject["id"] != id {
			t.Errorf("%v", claims)
		}
	}
	if again := c.poll(t); len(again) != 1 || again[verified] == nil {
		t.Fatalf("%v", again)
	}
	if left := c.poll(t, verified, "unknown", core.NewID().String()); len(left) != 0 {
		t.Fatalf("%v", left)
	}

	_, err := w.Lifecycle.Deprovision(t.Context(), core.NewCause(w.acme.ben.Actor(), time.Now()), w.acme.workspace.ID, w.acme.ana.ID)
	must(t, err)
	waiting := func() int { return w.backlog(t, c.receiver) }
	coretest.Until(t, "three things wait", func() bool { return waiting() == 3 })
	seen := map[string]map[string]any{}
	for _, claims := range c.poll(t) {
		uri, body := event(claims)
		seen[uri] = claims
		if strings.HasPrefix(uri, "urn:") {
			if subject := claims["sub_id"].(map[string]any); subject["format"] != "scim" || subject["uri"] != "/Users/"+w.acme.ana.ID.String() {
				t.Errorf("%v", claims)
			}
			continue
		}
		if subject := claims["sub_id"].(map[string]any); subject["format"] != "email" || subject["email"] != "ana@example.com" || claims["txn"] == "" ||
			body["initiating_entity"] != "admin" || body["reason_admin"].(map[string]any)["en"] == "" || body["event_timestamp"].(float64) > float64(time.Now().Unix()) {
			t.Errorf("%v", claims)
		}
	}
	for _, uri := range []string{caep + "session-revoked", risc + "account-disabled", scim + "deactivate"} {
		if seen[uri] == nil {
			t.Errorf("%s is not told", uri)
		}
	}
	if refused := seen[scim+"deactivate"]; refused != nil {
		jti := refused["jti"].(string)
		c.call(t, "POST", "/poll", map[string]any{"maxEvents": 0, "setErrs": map[string]any{jti: map[string]any{"err": "invalid_request", "description": "no scim \x00here"}}})
		if left := c.poll(t); len(left) != 2 || left[jti] != nil {
			t.Errorf("%v", left)
		}
		stream, err := w.service.StreamOf(t.Context(), w.DB, c.receiver.Workspace, c.receiver.ID)
		must(t, err)
		letters, err := w.deliveries.DeadLetters(t.Context(), w.DB, c.receiver.Workspace, stream.ID, 10)
		must(t, err)
		if len(letters) != 1 || letters[0].ID.String() != jti || letters[0].LastError != "invalid_request no scim ?here" {
			t.Errorf("%+v", letters)
		}
		if count, err := w.service.Retry(t.Context(), cause(), c.receiver.Workspace, c.receiver.ID, letters[0].ID); err != nil || count != 1 {
			t.Error(count, err)
		}
		if left := c.poll(t); len(left) != 3 || left[jti] == nil {
			t.Errorf("%v", left)
		}
	}
	if _, got := c.call(t, "POST", "/poll", map[string]any{"maxEvents": 1, "returnImmediately": true}); len(got["sets"].(map[string]any)) != 1 || got["moreAvailable"] != true {
		t.Errorf("%v", got)
	}
	if told := other.poll(t); len(told) != 0 {
		t.Errorf("another workspace hears %v", told)
	}
}

// Somebody who was removed is not told of; a long poll ends with the first thing there is to tell.
func TestSubjectsAndLongPoll(t *testing.T) {
	w := newWorld(t)
	w.run(t)
	c := w.client(t, w.acme, transmitter.NewReceiver{SubjectFormat: transmitter.SubjectIssSub})
	_, made := c.call(t, "POST", "/stream", map[string]any{"events_requested": []string{caep + "session-revoked"}})
	removed := map[string]any{"stream_id": made["stream_id"], "subject": map[string]any{"format": "email", "email": "ANA@example.com"}}
	if status, _ := c.call(t, "POST", "/subjects/remove", removed); status != 204 {
		t.Fatal(status)
	}
	_, err := w.Signals.LogOut(t.Context(), cause(), w.acme.workspace.ID, w.acme.ana.ID)
	must(t, err)
	_, err = w.Signals.LogOut(t.Context(), cause(), w.acme.workspace.ID, w.acme.ben.ID)
	must(t, err)
	_, got := c.call(t, "POST", "/poll", map[string]any{})
	sets := c.opened(t, got["sets"].(map[string]any))
	if len(sets) != 1 {
		t.Fatalf("%v", sets)
	}
	for jti, claims := range sets {
		if subject := claims["sub_id"].(map[string]any); subject["format"] != "iss_sub" || subject["sub"] != "sub-ben" || subject["iss"] != w.gateway.URL+"/idp" {
			t.Errorf("%v", claims)
		}
		c.poll(t, jti)
	}
	if status, _ := c.call(t, "POST", "/subjects/add", removed); status != 200 {
		t.Fatal(status)
	}
	w.SignIn(t, w.acme.ana)
	_, err = w.Signals.LogOut(t.Context(), cause(), w.acme.workspace.ID, w.acme.ana.ID)
	must(t, err)
	if _, got = c.call(t, "POST", "/poll", map[string]any{}); len(got["sets"].(map[string]any)) != 1 {
		t.Errorf("%v", got)
	}
}

// strict is a receiver that answers what a test tells it to.
func strict(t testing.TB, answer func(n int, token string, w http.ResponseWriter, r *http.Request)) (*httptest.Server, chan string) {
	t.Helper()
	came, n := make(chan string, 100), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(text)
		n++
		answer(n, string(text), w, r)
		came <- string(text)
	}))
	t.Cleanup(server.Close)
	return server, came
}
