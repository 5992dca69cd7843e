package ssf_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/webhooks/ssf"
)

const (
	revoked  = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	changed  = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
	disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
)

func email(address string) map[string]any {
	return map[string]any{"format": "email", "email": address}
}

func ended() map[string]any {
	return map[string]any{revoked: map[string]any{"reason_admin": map[string]string{"en": "policy"}}}
}

func TestAPushedStreamFromCreationToDeletion(t *testing.T) {
	w := newWorld(t)
	made, err := w.service.Create(t.Context(), cause(), w.acme.workspace.ID, w.wanted(w.acme, ssf.Push))
	must(t, err)
	if !made.Authorization.IsZero() {
		t.Error("a header that nobody has to paste is told")
	}
	stream := made.Stream
	remote := w.tx.streams[stream.RemoteID]
	if stream.Status != ssf.Enabled || stream.Issuer != w.tx.issuer() || len(stream.Audiences) != 2 || !slices.Equal(stream.Delivered, ssf.Events()) || stream.LastError != "" {
		t.Errorf("%+v", stream)
	}
	if remote.URL != w.service.PushURL(w.acme.connection.ID, stream.ID) || !strings.HasPrefix(remote.Header, "Bearer pst_ssf_") || remote.Description != "Postern acme" {
		t.Errorf("%+v", remote)
	}
	if stream.Verified != nil || remote.verified != 1 {
		t.Errorf("verified %v, asked %d times", stream.Verified, remote.verified)
	}
	// The verification that creating asked for.
	if got := w.tx.deliver(t, remote.ID); !slices.Equal(got, []int{202}) {
		t.Fatal(got)
	}
	waited, err := w.service.Wait(t.Context(), w.acme.workspace.ID, stream.ID)
	if err != nil || waited.Verified == nil || len(w.events(t, w.acme, core.StreamVerified)) != 1 {
		t.Fatal(waited.Verified, err)
	}
	// One of three asked for at once, in any order.
	for range 3 {
		must(t, w.service.Verify(t.Context(), w.acme.workspace.ID, stream.ID))
	}
	slices.Reverse(remote.order)
	if got := w.tx.deliver(t, remote.ID); !slices.Equal(got, []int{202, 202, 202}) {
		t.Fatal(got)
	}
	w.tx.send(remote.ID, ended(), email(w.acme.ana.Email))
	if got := w.tx.deliver(t, remote.ID); !slices.Equal(got, []int{202}) || w.signedIn(t, w.acme, w.acme.ana) || !w.signedIn(t, w.acme, w.acme.ben) {
		t.Fatal(got)
	}

	paused, err := w.service.SetStatus(t.Context(), cause(), w.acme.workspace.ID, stream.ID, ssf.Paused, "maintenance")
	if err != nil || paused.Status != ssf.Paused || remote.Status != "paused" || paused.Reason != "maintenance" {
		t.Fatal(paused.Status, err)
	}
	remote.Status = "disabled"
	if read, err := w.service.Refresh(t.Context(), cause(), w.acme.workspace.ID, stream.ID); err != nil || read.Status != ssf.Disabled {
		t.Fatal(read.Status, err)
	}
	if back, err := w.service.SetStatus(t.Context(), cause(), w.acme.workspace.ID, stream.ID, ssf.Enabled, ""); err != nil || back.Status != ssf.Enabled {
		t.Fatal(back.Status, err)
	}

	before := remote.Header
	fewer, err := w.service.Update(t.Context(), cause(), w.acme.workspace.ID, stream.ID, ssf.Change{Events: []string{revoked}})
	if err != nil || !slices.Equal(fewer.Requested, []string{revoked}) || !slices.Equal(remote.Requested, []string{revoked}) || remote.Header != before {
		t.Fatal(fewer, err)
	}
	if status, _ := pushTo(t, remote.URL, before, w.tx.mint(w.tx.claims(remote, ended(), email(w.acme.ben.Email)))); status != 202 {
		t.Errorf("the header in force is answered %d", status)
	}
	_, err = w.service.Update(t.Context(), cause(), w.acme.workspace.ID, stream.ID, ssf.Change{Authorization: true})
	must(t, err)
	if remote.Header == before || !strings.HasPrefix(remote.Header, "Bearer pst_ssf_") {
		t.Fatal("the header was not renewed")
	}
	w.tx.noPatch = true // the whole is replaced, and the header with it
	_, err = w.service.Update(t.Context(), cause(), w.acme.workspace.ID, stream.ID, ssf.Change{Description: new("anew")})
	must(t, err)
	if status, _ := pushTo(t, remote.URL, remote.Header, w.tx.mint(w.tx.claims(remote, ended(), email(w.acme.ana.Email)))); status != 202 {
		t.Errorf("the new header is answered %d", status)
	}
	if status, _ := pushTo(t, remote.URL, before, w.tx.mint(w.tx.claims(remote, ended(), email(w.acme.ana.Email)))); status != 400 {
		t.Errorf("the old header is answered %d", status)
	}
	must(t, w.service.Subject(t.Context(), w.acme.workspace.ID, stream.ID, true, []byte(`{"format":"email","email":"x@example.com"}`)))
	must(t, w.service.Subject(t.Context(), w.acme.workspace.ID, stream.ID, false, []byte(`{"format":"email","email":"x@example.com"}`)))
	if len(w.tx.subjects) != 2 || w.tx.issued != 1 {
		t.Errorf("subjects %v, %d access tokens", w.tx.subjects, w.tx.issued)
	}

	if err := w.service.Delete(t.Context(), cause(), w.globex.workspace.ID, stream.ID, true); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace's stream: %v", err)
	}
	if _, err := w.service.SetStatus(t.Context(), cause(), w.globex.workspace.ID, stream.ID, ssf.Paused, ""); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace's stream: %v", err)
	}
	must(t, w.service.Delete(t.Context(), cause(), w.acme.workspace.ID, stream.ID, false))
	if len(w.tx.streams) != 0 {
		t.Error("the stream lives on at the transmitter")
	}
	if status, body := pushTo(t, remote.URL, remote.Header, w.tx.mint(w.tx.claims(remote, ended(), email("a@b.example")))); status != 400 || !strings.Contains(body, "authentication_failed") {
		t.Errorf("a deleted stream: %d %s", status, body)
	}
	for kind, want := range map[core.EventType]int{core.StreamCreated: 1, core.StreamUpdated: 6, core.StreamDeleted: 1} {
		if got := len(w.events(t, w.acme, kind)); got != want {
			t.Errorf("%d events %s", got, kind)
		}
	}
}

func TestStrangersLearnNothing(t *testing.T) {
	w := newWorld(t)
	stream := w.create(t, w.acme, w.wanted(w.acme, ssf.Push))
	theirs := w.create(t, w.globex, w.wanted(w.globex, ssf.Push))
	polled := w.create(t, w.acme, w.wanted(w.acme, ssf.Poll))
	remote := w.tx.streams[stream.RemoteID]
	good := w.tx.mint(w.tx.claims(remote, ended(), email(w.acme.ana.Email)))
	fetches := w.tx.keyFetches
	var bodies []string
	for name, one := range map[string][2]string{
		"no header":          {remote.URL, ""},
		"wrong header":       {remote.URL, "Bearer pst_ssf_guess"},
		"another's header":   {remote.URL, w.tx.streams[theirs.RemoteID].Header},
		"unknown connection": {w.gateway.URL + "/webhooks/" + core.NewID().String() + "/ssf/" + stream.ID.String(), remote.Header},
		"unknown stream":     {w.service.PushURL(w.acme.connection.ID, core.NewID()), remote.Header},
		"no id":              {w.gateway.URL + "/webhooks/x/ssf/y", remote.Header},
		"another workspace":  {w.service.PushURL(w.globex.connection.ID, stream.ID), remote.Header},
		"a polled stream":    {w.service.PushURL(w.acme.connection.ID, polled.ID), remote.Header},
	} {
		status, body := pushTo(t, one[0], one[1], good)
		if status != 400 {
			t.Errorf("%s: %d %s", name, status, body)
		}
		bodies = append(bodies, body)
	}
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("%s is not %s", body, bodies[0])
		}
	}
	if w.tx.keyFetches != fetches || !w.signedIn(t, w.acme, w.acme.ana) || w.stream(t, w.acme, stream.ID).LastError != "" {
		t.Error("a stranger left something behind")
	}
	// Somebody else's good token is no good with the right header.
	other := w.tx.mint(w.tx.claims(w.tx.streams[theirs.RemoteID], ended(), email(w.acme.ana.Email)))
	if status, body := pushTo(t, remote.URL, remote.Header, other); status != 400 || !strings.Contains(body, "invalid_audience") {
		t.Errorf("%d %s", status, body)
	}
	if told := w.stream(t, w.acme, stream.ID); told.LastErrorStage != "audience" || told.LastError == "" {
		t.Errorf("%q at %q", told.LastError, told.LastErrorStage)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, remote.URL, strings.NewReader(good))
	must(t, err)
	request.Header.Set("Authorization", remote.Header)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != 400 {
		t.Errorf("as JSON: %d", response.StatusCode)
	}
	// The same jti with other claims is another token, and refused.
	claims := w.tx.claims(remote, ended(), email(w.acme.ana.Email))
	if status, _ := pushTo(t, remote.URL, remote.Header, w.tx.mint(claims)); status != 202 {
		t.Fatal(status)
	}
	claims["sub_id"] = email(w.acme.ben.Email)
	if status, body := pushTo(t, remote.URL, remote.Header, w.tx.mint(claims)); status != 400 || !strings.Contains(body, "invalid_request") || !w.signedIn(t, w.acme, w.acme.ben) {
		t.Errorf("%d %s", status, body)
	}
	// The same jti of another transmitter's stream is another token too.
	claims = w.tx.claims(w.tx.streams[theirs.RemoteID], ended(), email(w.globex.ana.Email))
	claims["jti"] = read(good)["jti"]
	if status, body := pushTo(t, w.tx.streams[theirs.RemoteID].URL, w.tx.streams[theirs.RemoteID].Header, w.tx.mint(claims)); status != 202 || w.signedIn(t, w.globex, w.globex.ana) {
		t.Errorf("%d %s", status, body)
	}
}

func TestWhatCannotBeCreated(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		change func(*ssf.NewStream)
		kind   core.Kind
		says   string
	}{
		"another issuer":     {func(n *ssf.NewStream) { n.Issuer = w.tx.issuer() + "/" }, core.KindInvalid, "give the issuer exactly"},
		"no transmitter":     {func(n *ssf.NewStream) { n.Issuer = w.tx.URL + "/elsewhere" }, core.KindInvalid, "tells nothing of Shared Signals"},
		"nobody there":       {func(n *ssf.NewStream) { n.Issuer = "http://127.0.0.1:1" }, core.KindUnavailable, "cannot be reached"},
		"no credential":      {func(n *ssf.NewStream) { n.Access, n.Secret = ssf.Access{}, seal.Secret{} }, core.KindInvalid, "a credential is needed"},
		"wrong secret":       {func(n *ssf.NewStream) { n.Secret = seal.NewSecret("wrong") }, core.KindDenied, "who are you?"},
		"unknown profile":    {func(n *ssf.NewStream) { n.Profile = "homemade" }, core.KindInvalid, "a profile is one of"},
		"unknown delivery":   {func(n *ssf.NewStream) { n.Delivery = "pigeon" }, core.KindInvalid, "push or by poll"},
		"unknown connection": {func(n *ssf.NewStream) { n.Connection = w.globex.connection.ID }, core.KindNotFound, "connection"},
		"no secret":          {func(n *ssf.NewStream) { n.Secret = seal.Secret{} }, core.KindInvalid, "need the secret"},
	} {
		wanted := w.wanted(w.acme, ssf.Push)
		test.change(&wanted)
		_, err := w.service.Create(t.Context(), cause(), w.acme.workspace.ID, wanted)
		if core.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), clientSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := w.service.Streams(t.Context(), w.DB, w.acme.workspace.ID); err != nil || len(left) != 0 || len(w.tx.streams) != 0 {
		t.Errorf("%d streams are left, %v", len(left), err)
	}
	// No answer: it may be there. The row stays, says so, and can be given up.
	w.tx.broken["/tx/streams"] = 503
	_, err := w.service.Create(t.Context(), cause(), w.acme.workspace.ID, w.wanted(w.acme, ssf.Push))
	if core.KindOf(err) != core.KindUnavailable {
		t.Fatal(err)
	}
	left, err := w.service.Streams(t.Context(), w.DB, w.acme.workspace.ID)
	if err != nil || len(left) != 1 || left[0].Status != ssf.Creating || left[0].LastErrorStage != "create" {
		t.Fatalf("%+v %v", left, err)
	}
	if err := w.service.Verify(t.Context(), w.acme.workspace.ID, left[0].ID); core.AsError(err).Code != "creating" {
		t.Error(err)
	}
	must(t, w.service.Delete(t.Context(), cause(), w.acme.workspace.ID, left[0].ID, false))
}

// Keycloak has one stream per client, and tells of nobody it was not asked about.
func TestKeycloaksWays(t *testing.T) {
	w := newWorld(t)
	w.tx.single = true
	w.tx.metadata["default_subjects"] = "NONE"
	w.tx.documents = []string{"/tx/.well-known/ssf-configuration"}
	w.tx.add("acme")
	wanted := w.wanted(w.acme, ssf.Push)
	wanted.Profile = ssf.Keycloak
	_, err := w.service.Create(t.Context(), cause(), w.acme.workspace.ID, wanted)
	if core.AsError(err).Code != "stream_exists" {
		t.Fatal(err)
	}
	wanted.Adopt, wanted.Events = true, []string{revoked, changed}
	stream := w.create(t, w.acme, wanted)
	remote := w.tx.streams[stream.RemoteID]
	if remote.URL != w.service.PushURL(w.acme.connection.ID, stream.ID) || remote.Header == "" || !slices.Equal(remote.Requested, wanted.Events) || len(w.tx.streams) != 1 {
		t.Errorf("%+v", remote)
	}
	told, err := w.service.AddPeople(t.Context(), w.acme.workspace.ID, stream.ID)
	if err != nil || told != 2 || len(w.tx.subjects) != 2 {
		t.Fatal(told, w.tx.subjects, err)
	}
	for _, one := range w.tx.subjects {
		if subject := one["subject"].(map[string]any); one["op"] != "add" || subject["format"] != "iss_sub" || subject["iss"] != w.tx.issuer() {
			t.Error(one)
		}
	}
	w.person(t, &w.acme, "zoe", "zoe@example.com")
	if told, err = w.service.AddPeople(t.Context(), w.acme.workspace.ID, stream.ID); err != nil || told != 1 {
		t.Errorf("%d later, %v", told, err)
	}
}

// An administrator made the stream, and Postern has no credential there: it tells what to paste.
func TestAdoptWithoutCredential(t *testing.T) {
	w := newWorld(t)
	remote := w.tx.add("somebody")
	wanted := ssf.NewStream{Connection: w.acme.connection.ID, Delivery: ssf.Push, Adopt: true, RemoteID: remote.ID, Audiences: []string{w.tx.audience(remote.ID)}}
	made, err := w.service.Create(t.Context(), cause(), w.acme.workspace.ID, wanted)
	must(t, err)
	header := made.Authorization.Reveal()
	if !strings.HasPrefix(header, "Bearer pst_ssf_") {
		t.Fatal("no header to paste")
	}
	address := w.service.PushURL(w.acme.connection.ID, made.Stream.ID)
	if status, body := pushTo(t, address, header, w.tx.mint(w.tx.claims(remote, ended(), email(w.acme.ana.Email)))); status != 202 {
		t.Errorf("%d %s", status, body)
	}
	if err := w.service.Verify(t.Context(), w.acme.workspace.ID, made.Stream.ID); core.KindOf(err) != core.KindConflict {
		t.Error(err)
	}
	// Google sends no header: its signature has to do.
	wanted.Profile = ssf.Google
	made, err = w.service.Create(t.Context(), cause(), w.acme.workspace.ID, wanted)
	must(t, err)
	if !made.Authorization.IsZero() {
		t.Error("a header that cannot be sent is told")
	}
	if status, body := pushTo(t, w.service.PushURL(w.acme.connection.ID, made.Stream.ID), "", w.tx.mint(w.tx.claims(remote, ended(), email(w.acme.ben.Email)))); status != 202 {
		t.Errorf("%d %s", status, body)
	}
	receipts := w.Receipts(t, w.acme.workspace.ID)
	if !slices.Contains(receipts[len(receipts)-1].Evidence.Quirks, ssf.QuirkNoAuthorization) {
		t.Errorf("%v", receipts[len(receipts)-1].Evidence.Quirks)
	}
}

func TestAccessTokensAreRenewed(t *testing.T) {
	w := newWorld(t)
	for method, secret := range map[ssf.Method]string{ssf.MethodClientSecretPost: clientSecret, ssf.MethodBearer: staticToken} {
		wanted := w.wanted(w.acme, ssf.Poll)
		wanted.Access.Method, wanted.Secret = method, seal.NewSecret(secret)
		w.create(t, w.acme, wanted)
	}
	wanted := w.wanted(w.acme, ssf.Poll)
	wanted.Access.SecretReference, wanted.Secret = "file:secret", seal.Secret{}
	stream := w.create(t, w.acme, wanted)
	issued := w.tx.issued
	clear(w.tx.tokens) // the transmitter forgot them
	must(t, w.service.Verify(t.Context(), w.acme.workspace.ID, stream.ID))
	if w.tx.issued != issued+1 {
		t.Errorf("%d new tokens", w.tx.issued-issued)
	}
	w.ahead.Store(int64(2 * time.Hour)) // they expired
	must(t, w.service.Verify(t.Context(), w.acme.workspace.ID, stream.ID))
	if w.tx.issued != issued+2 {
		t.Errorf("%d new tokens", w.tx.issued-issued)
	}
	for _, place := range [][]string{{"/.well-known/sse-configuration/tx"}, {"/.well-known/risc-configuration/tx"}, {"/tx/.well-known/risc-configuration"}} {
		w.tx.documents = place
		if found, err := w.service.Discover(t.Context(), w.tx.issuer()); err != nil || found.From != w.tx.URL+place[0] {
			t.Errorf("%v: %v", place, err)
		}
	}
	w.tx.metadata["jwks_uri"] = "ftp://elsewhere.example/keys"
	if _, err := w.service.Discover(t.Context(), w.tx.issuer()); core.KindOf(err) != core.KindInvalid {
		t.Error(err)
	}
}
