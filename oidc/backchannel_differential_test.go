package oidc_test

import (
	"crypto"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	peer "github.com/coreos/go-oidc/v3/oidc"

	"postern/oidc"
)

// mutation is one way in which a logout token differs from a right one.
type mutation struct {
	name     string
	header   map[string]any
	claims   map[string]any
	payload  func(text string) string // of the JSON, in the end
	compact  func(text string) string // of the signed token
	signing  string
	stricter string // why we refuse what coreos/go-oidc accepts
	laxer    string // why we accept what it refuses
}

// mutations are applied one to three at a time. Whatever is marked stricter is so on purpose.
func mutations() []mutation {
	now := time.Now().Unix()
	event := func(value any) map[string]any {
		return map[string]any{"events": map[string]any{oidc.BackChannelEvent: value}}
	}
	claim := func(name string, value any) map[string]any { return map[string]any{name: value} }
	const (
		typed   = "typ says what a token is for: an ID token or another door's is not taken for a logout token (RFC 8725 §3.11)"
		kid     = "a key id is believed: another key of the provider is not tried in its place"
		times   = "iat is required by the specification and bounded: nothing from the future, nothing that lives for years"
		object  = "the event's member is an object, as the specification wants"
		once    = "what could be read in two ways is not read: a name twice, a claim that is null"
		empty   = "an empty sid or sub beside the other one names nobody"
		bounded = "what is kept is bounded: jti and sid have at most 255 bytes"
		skew    = "clocks may differ by a minute"
	)
	return []mutation{
		{name: "as it is"},
		{name: "ES256", signing: "es256"},
		{name: "no kid", header: claim("kid", nil)},
		{name: "typ in full", header: claim("typ", "application/logout+jwt")},
		{name: "audience list", claims: claim("aud", []string{"x", "client-1"})},
		{name: "sid alone", claims: claim("sub", nil)},
		{name: "sub alone", claims: claim("sid", nil)},
		{name: "offline access", claims: claim("events", map[string]any{oidc.BackChannelEvent: map[string]any{}, "revoke_offline_access": true})},
		{name: "filled event", claims: event(map[string]any{"a": 1})},
		{name: "unknown claims", claims: claim("x", []int{1})},
		{name: "fractional times", claims: map[string]any{"iat": float64(now) - 0.5, "exp": float64(now) + 60.5}},
		{name: "issued before", claims: claim("iat", now-60)},

		{name: "nonce", claims: claim("nonce", "n")},
		{name: "empty nonce", claims: claim("nonce", "")},
		{name: "no events", claims: claim("events", nil)},
		{name: "empty events", claims: claim("events", map[string]any{})},
		{name: "other event", claims: claim("events", map[string]any{"urn:x": map[string]any{}})},
		{name: "events list", claims: claim("events", []string{oidc.BackChannelEvent})},
		{name: "events text", claims: claim("events", "x")},
		{name: "no jti", claims: claim("jti", nil)},
		{name: "empty jti", claims: claim("jti", "")},
		{name: "number jti", claims: claim("jti", 1)},
		{name: "neither", claims: map[string]any{"sid": nil, "sub": nil}},
		{name: "number sid", claims: claim("sid", 1)},
		{name: "number sub", claims: claim("sub", 1)},
		{name: "other issuer", claims: claim("iss", "https://other.example")},
		{name: "no issuer", claims: claim("iss", nil)},
		{name: "other audience", claims: claim("aud", "client-2")},
		{name: "audience with query", claims: claim("aud", "client-1?x")},
		{name: "no audience", claims: claim("aud", nil)},
		{name: "number audience", claims: claim("aud", 1)},
		{name: "expired", claims: map[string]any{"exp": now - 300, "iat": now - 400}},
		{name: "no exp", claims: claim("exp", nil)},
		{name: "text exp", claims: claim("exp", "soon")},
		{name: "none", signing: "none"},
		{name: "HS256", signing: "hs256-public"},
		{name: "other key", signing: "other-key"},
		{name: "alg told otherwise", header: claim("alg", "ES256")},
		{name: "cut signature", compact: func(text string) string { return text[:len(text)-8] }},
		{name: "no signature", compact: func(text string) string { return text[:strings.LastIndex(text, ".")+1] }},
		{name: "two parts", compact: func(text string) string { return text[:strings.LastIndex(text, ".")] }},
		{name: "five parts", compact: func(text string) string { return text + ".x.y" }},
		{name: "changed payload", compact: func(text string) string { return strings.Replace(text, ".e", ".f", 1) }},
		{name: "empty", compact: func(string) string { return "" }},
		{name: "broken JSON", payload: func(text string) string { return text[1:] }},
		{name: "crit", header: map[string]any{"crit": []string{"x"}, "x": 1}},

		{name: "typ JWT", header: claim("typ", "JWT"), stricter: typed},
		{name: "no typ", header: claim("typ", nil), stricter: typed},
		{name: "typ secevent", header: claim("typ", "secevent+jwt"), stricter: typed},
		{name: "typ at", header: claim("typ", "at+jwt"), stricter: typed},
		{name: "unknown kid", header: claim("kid", "rsa-2"), stricter: kid},
		{name: "the other's kid", header: claim("kid", "ec-1"), stricter: kid},
		{name: "no iat", claims: claim("iat", nil), stricter: times},
		{name: "future iat", claims: claim("iat", now+600), stricter: times},
		{name: "future nbf", claims: claim("nbf", now+600), stricter: times},
		{name: "exp in years", claims: claim("exp", now+1e8), stricter: times},
		{name: "event true", claims: event(true), stricter: object},
		{name: "event list", claims: event([]int{}), stricter: object},
		{name: "event text", claims: event("x"), stricter: object},
		{name: "a name twice", payload: func(text string) string { return strings.Replace(text, "{", `{"sid":"sid-2",`, 1) }, stricter: once},
		{name: "null sub", payload: func(text string) string { return strings.Replace(text, `"sub-ana"`, "null", 1) }, stricter: once},
		{name: "empty sid", claims: claim("sid", ""), stricter: empty},
		{name: "empty sub", claims: claim("sub", ""), stricter: empty},
		{name: "long jti", claims: claim("jti", strings.Repeat("j", 300)), stricter: bounded},
		{name: "long sid", claims: claim("sid", strings.Repeat("s", 300)), stricter: bounded},

		{name: "just expired", claims: map[string]any{"exp": now - 20, "iat": now - 140}, laxer: skew},
	}
}

// Our judgement of logout tokens is that of coreos/go-oidc, but for what is meant to differ.
func TestLogoutTokensAreJudgedAsTheirPeersAre(t *testing.T) {
	w := newWorld(t)
	theirs := peer.NewVerifier(w.op.URL, &peer.StaticKeySet{PublicKeys: []crypto.PublicKey{w.op.rsa.Public(), w.op.ec.Public()}},
		&peer.Config{ClientID: "client-1", SupportedSigningAlgs: []string{"RS256", "ES256"}})
	all, random := mutations(), rand.New(rand.NewPCG(1, 2))
	var accepted, refused int
	told := map[string]int{}
	for round := range len(all) + 1000 {
		chosen := []mutation{all[round%len(all)]}
		for len(all) <= round && len(chosen) < 1+random.IntN(3) {
			chosen = append(chosen, all[random.IntN(len(all))])
		}
		token, names := w.mutated(t, chosen)
		_, _, _, ourError := w.service.VerifyLogout(t.Context(), token, w.acme, nil)
		_, theirError := theirs.VerifyLogout(t.Context(), token)
		switch {
		case ourError == nil && theirError == nil:
			accepted++
		case ourError != nil && theirError != nil:
			refused++
		case ourError != nil:
			at := slices.IndexFunc(chosen, func(m mutation) bool { return m.stricter != "" })
			if at < 0 {
				t.Errorf("%v: we refuse (%v), they accept", names, ourError)
				continue
			}
			told[chosen[at].stricter]++
		default:
			if !slices.ContainsFunc(chosen, func(m mutation) bool { return m.laxer != "" }) {
				t.Errorf("%v: we accept, they refuse (%v)", names, theirError)
				continue
			}
			told["clocks"]++
		}
	}
	for _, one := range all {
		if one.stricter != "" && told[one.stricter] == 0 {
			t.Errorf("nothing was refused because %s", one.stricter)
		}
	}
	if accepted < 100 || refused < 200 {
		t.Errorf("only %d were accepted by both and %d refused", accepted, refused)
	}
	t.Logf("%d accepted by both, %d refused by both, %v", accepted, refused, told)
}

func (w *world) mutated(t *testing.T, chosen []mutation) (string, []string) {
	t.Helper()
	header, claims, signing := map[string]any{}, map[string]any{}, ""
	var names []string
	for _, one := range chosen {
		names = append(names, one.name)
		for name, value := range one.header {
			header[name] = value
		}
		for name, value := range one.claims {
			claims[name] = value
		}
		if one.signing != "" {
			signing = one.signing
		}
	}
	payload := w.claims(claims)
	if !json.Valid(payload) {
		t.Fatal("claims are no JSON")
	}
	for _, one := range chosen {
		if one.payload != nil {
			payload = []byte(one.payload(string(payload)))
		}
	}
	token := w.op.sign(t, signing, header, payload)
	for _, one := range chosen {
		if one.compact != nil && token != "" && strings.Count(token, ".") == 2 {
			token = one.compact(token)
		}
	}
	return token, names
}
