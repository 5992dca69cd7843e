package signals_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/conformance/signals"
)

// mutant does what a gateway with a fault does. It reports whether it has answered.
type mutant func(w http.ResponseWriter, r *http.Request, sent string, next func(body string) *httptest.ResponseRecorder) bool

// part reads a part of the token a request carries.
func part(number int, r *http.Request, sent string) map[string]any {
	compact := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case strings.HasSuffix(r.URL.Path, "/backchannel-logout"):
		compact = strings.TrimPrefix(sent, "logout_token=")
	case strings.Contains(r.URL.Path, "/ssf/"):
		compact = sent
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[number])
	var members map[string]any
	_ = json.Unmarshal(text, &members)
	return members
}

// mutants are faults that gateways have. The vector named has to notice.
func TestPlantedFaultsAreFound(t *testing.T) {
	partstest.Long(t, "the suite, once for each fault")
	h := start(t)
	at := func(r *http.Request, door string) bool {
		return strings.Contains(r.URL.Path, door) && r.Method == "POST"
	}
	is := func(door string, wrong func(header, claims map[string]any) bool, status int) mutant {
		return func(w http.ResponseWriter, r *http.Request, sent string, _ func(string) *httptest.ResponseRecorder) bool {
			if !at(r, door) || !wrong(part(0, r, sent), part(1, r, sent)) {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			return true
		}
	}
	answers := func(door string, change func(a *httptest.ResponseRecorder)) mutant {
		return func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
			if !at(r, door) {
				return false
			}
			got := next(sent)
			change(got)
			copyTo(w, got)
			return true
		}
	}
	code := func(from, to int) func(*httptest.ResponseRecorder) {
		return func(a *httptest.ResponseRecorder) {
			if a.Code == from {
				a.Code = to
			}
		}
	}
	when := func(door string, wrong func(r *http.Request, sent string) bool, status int) mutant {
		return func(w http.ResponseWriter, r *http.Request, sent string, _ func(string) *httptest.ResponseRecorder) bool {
			if !at(r, door) || !wrong(r, sent) {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(status)
			return true
		}
	}
	const gtr, back, ssf = "/universal-logout", "/backchannel-logout", "/ssf/"
	const okta, graph, standard, signed = "/okta", "/graph", "/standard/", "/signed/"
	seen := map[any]bool{}
	told := map[any]any{} // the events of each jti
	framed := func(answer func(w http.ResponseWriter, r *http.Request, next func(string) *httptest.ResponseRecorder)) mutant {
		return func(w http.ResponseWriter, r *http.Request, _ string, next func(string) *httptest.ResponseRecorder) bool {
			if !strings.HasSuffix(r.URL.Path, "/frontchannel-logout") {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			answer(w, r, next)
			return true
		}
	}
	for _, one := range []struct {
		name, caught string
		mutant       mutant
	}{
		{"believes alg none", "universal_logout/alg none", is(gtr, func(h, _ map[string]any) bool { return h["alg"] == "none" }, 204)},
		{"believes a shared secret", "universal_logout/HS256 with the public key", is(gtr, func(h, _ map[string]any) bool { return h["alg"] == "HS256" }, 204)},
		{"believes another issuer", "universal_logout/another issuer", is(gtr, func(_, c map[string]any) bool { return c["iss"] == "https://attacker.example" }, 204)},
		{"does not look at typ", "universal_logout/typ of a logout token", is(gtr, func(h, _ map[string]any) bool { return h["typ"] == "logout+jwt" }, 204)},
		{"ignores that a jti was used", "universal_logout/same jti, fresh signature", is(gtr, func(_, c map[string]any) bool {
			used := seen[c["jti"]]
			seen[c["jti"]] = true
			return used
		}, 204)},
		{"200 for 204", "universal_logout/as Okta sends it", answers(gtr, code(204, 200))},
		{"400 for 401", "universal_logout/no token", answers(gtr, code(401, 400))},
		{"204 for somebody unknown", "universal_logout/after not found", answers(gtr, code(404, 204))},
		{"no challenge", "universal_logout/not a token", answers(gtr, func(a *httptest.ResponseRecorder) { a.Header().Del("WWW-Authenticate") })},
		{"says yes and does nothing", "universal_logout/as Okta sends it", is(gtr, func(_, _ map[string]any) bool { return true }, 204)},
		{"takes a nonce", "back_channel_logout/", is(back, func(_, c map[string]any) bool { return c["nonce"] != nil }, 200)},
		{"takes what has expired", "back_channel_logout/expired", is(back, func(_, c map[string]any) bool {
			ends, _ := c["exp"].(float64)
			return ends > 0 && ends < float64(time.Now().Unix()-60)
		}, 200)},
		{"lets logouts be cached", "back_channel_logout/sub alone", answers(back, func(a *httptest.ResponseRecorder) { a.Header().Del("Cache-Control") })},
		{"200 for 202", "ssf_push/session-revoked by e-mail", answers(ssf, code(202, 200))},
		{"acknowledges and forgets", "ssf_push/session-revoked by e-mail", is(ssf, func(_, _ map[string]any) bool { return true }, 202)},
		{"has one word for every refusal", "ssf_push/another issuer", answers(ssf, func(a *httptest.ResponseRecorder) {
			a.Body = bytes.NewBuffer(bytes.ReplaceAll(a.Body.Bytes(), []byte("invalid_issuer"), []byte("invalid_request")))
		})},
		{"takes exp in an event", "ssf_push/exp", is(ssf, func(_, c map[string]any) bool { return c["exp"] != nil }, 202)},
		{"takes a jti again for another event", "ssf_push/jti again, for another event", is(ssf, func(_, c map[string]any) bool {
			before, used := told[c["jti"]]
			told[c["jti"]] = fmt.Sprint(c["events"])
			return used && before != told[c["jti"]]
		}, 202)},
		{"reads a claim that is there twice", "ssf_push/a claim twice", answers(ssf, code(400, 202))},
		{"logs out whoever has the address", "ssf_push/same e-mail at another connection", func(w http.ResponseWriter, r *http.Request, _ string, _ func(string) *httptest.ResponseRecorder) bool {
			if r.URL.Path != "/sessions" {
				return false
			}
			w.WriteHeader(401)
			return true
		}},

		{"frames and does nothing", "front_channel_logout/iss and sid", framed(func(w http.ResponseWriter, r *http.Request, next func(string) *httptest.ResponseRecorder) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "sid-1", "sid-7", 1)
			copyTo(w, next(""))
		})},
		{"takes the last sid", "front_channel_logout/sid twice", framed(func(w http.ResponseWriter, r *http.Request, next func(string) *httptest.ResponseRecorder) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "sid=sid-2&", "", 1)
			copyTo(w, next(""))
		})},
		{"believes any issuer", "front_channel_logout/another issuer", framed(func(w http.ResponseWriter, _ *http.Request, next func(string) *httptest.ResponseRecorder) {
			got := next("")
			code(403, 200)(got)
			copyTo(w, got)
		})},
		{"lets anybody frame it", "front_channel_logout/escaped", framed(func(w http.ResponseWriter, _ *http.Request, next func(string) *httptest.ResponseRecorder) {
			got := next("")
			got.Header().Set("Content-Security-Policy", "default-src 'none'")
			copyTo(w, got)
		})},
		{"does not look at whose sid", "front_channel_logout/at another connection", framed(func(w http.ResponseWriter, _ *http.Request, _ func(string) *httptest.ResponseRecorder) {
			w.WriteHeader(200)
		})},

		{"forgets Okta's challenge", "okta_event_hook/challenge", func(w http.ResponseWriter, r *http.Request, _ string, _ func(string) *httptest.ResponseRecorder) bool {
			if r.Header.Get("X-Okta-Verification-Challenge") == "" {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			_, _ = w.Write([]byte(`{"verification":"ok"}`))
			return true
		}},
		{"believes a hook without its key", "okta_event_hook/no key", when(okta, func(r *http.Request, _ string) bool { return r.Header.Get("Authorization") == "" }, 204)},
		{"takes events and forgets", "okta_event_hook/sessions cleared", when(okta, func(*http.Request, string) bool { return true }, 204)},
		{"counts a delivery and not its events", "okta_event_hook/same event in another delivery", func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
			if !at(r, okta) {
				return false
			}
			copyTo(w, next(strings.ReplaceAll(sent, `"uuid":"`, `"uuid":"`+rand.Text())))
			return true
		}},
		{"reads what can be read in two ways", "okta_event_hook/duplicate members", answers(okta, code(400, 204))},

		{"echoes markup", "graph/validation token with markup", func(w http.ResponseWriter, r *http.Request, _ string, _ func(string) *httptest.ResponseRecorder) bool {
			if r.URL.Query().Get("validationToken") == "" {
				return false
			}
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(r.URL.Query().Get("validationToken")))
			return true
		}},
		{"believes any client state", "graph/client state wrong", answers(graph, code(401, 202))},
		{"takes notifications and forgets", "graph/somebody was disabled", when(graph, func(r *http.Request, _ string) bool { return r.URL.RawQuery == "" }, 202)},
		{"believes another tenant", "graph/wrong tenant", when(graph, func(_ *http.Request, sent string) bool { return strings.Contains(sent, "11111111-") }, 202)},
		{"takes every change for a departure", "graph/a change of the profile", func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
			if !at(r, graph) {
				return false
			}
			copyTo(w, next(strings.ReplaceAll(sent, `"changeType":"updated"`, `"changeType":"deleted"`)))
			return true
		}},

		{"does not look at the time", "standard_webhook/old timestamp", when(standard, func(r *http.Request, _ string) bool {
			at, err := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
			return err == nil && time.Since(time.Unix(at, 0)) > 5*time.Minute
		}, 204)},
		{"looks at the first signature alone", "standard_webhook/several signatures, one right", when(standard, func(r *http.Request, _ string) bool { return strings.Contains(r.Header.Get("Webhook-Signature"), " ") }, 401)},
		{"does not look at the version", "standard_webhook/wrong prefix", when(standard, func(r *http.Request, _ string) bool {
			return strings.HasPrefix(r.Header.Get("Webhook-Signature"), "v2,")
		}, 204)},
		{"takes one id for many messages", "standard_webhook/replayed id with another body", answers(standard, code(401, 204))},
		{"forgets that a secret was changed", "standard_webhook/secret that was changed without an overlap", answers(standard, code(401, 204))},

		{"does not hash the body", "signed_webhook/jwt, another body", answers(signed, code(401, 204))},
		{"believes a token without its hash", "signed_webhook/jwt, no hash", is(signed, func(_, c map[string]any) bool { return c != nil && c["request_body_sha256"] == nil }, 204)},
		{"believes an unsigned token", "signed_webhook/jwt, alg none", is(signed, func(h, _ map[string]any) bool { return h["alg"] == "none" }, 204)},
		{"says yes and does nothing to a template", "signed_webhook/template", when(signed, func(*http.Request, string) bool { return true }, 204)},
	} {
		t.Run(one.name, func(t *testing.T) {
			h.find(t, one.caught, &h.mutant, one.mutant)
		})
	}
	for _, one := range []struct {
		name, caught string
		polled       func(asked map[string]any) bool // false: the gateway is answered that there is nothing
	}{
		{"acknowledges what it refuses", "ssf_poll/another issuer", func(asked map[string]any) bool {
			for key := range object(asked["setErrs"]) {
				asked["ack"] = append(list(asked["ack"]), key)
			}
			delete(asked, "setErrs")
			return true
		}},
		{"refuses what it should take", "ssf_poll/session-revoked by e-mail", func(asked map[string]any) bool {
			errs := map[string]any{}
			for _, key := range list(asked["ack"]) {
				errs[key.(string)] = map[string]string{"err": "invalid_request", "description": "no"}
			}
			asked["setErrs"] = errs
			delete(asked, "ack")
			return true
		}},
		{"never acknowledges", "ssf_poll/session-revoked by e-mail", func(asked map[string]any) bool {
			delete(asked, "ack")
			return true
		}},
		{"has one word for every refusal of a poll", "ssf_poll/another audience", func(asked map[string]any) bool {
			for key := range object(asked["setErrs"]) {
				object(asked["setErrs"])[key] = map[string]string{"err": "invalid_request", "description": "no"}
			}
			return true
		}},
		{"acknowledges a token it never looked at", "ssf_poll/session-revoked by e-mail", func(asked map[string]any) bool {
			asked["returnImmediately"] = false
			return false
		}},
	} {
		t.Run(one.name, func(t *testing.T) {
			h.find(t, one.caught, &h.polled, func(w http.ResponseWriter, r *http.Request, sent string, next func(string) *httptest.ResponseRecorder) bool {
				asked := map[string]any{}
				if !strings.Contains(r.URL.Path, "/poll/") || json.Unmarshal([]byte(sent), &asked) != nil {
					return false
				}
				passes := one.polled(asked)
				for {
					body, _ := json.Marshal(asked)
					got := next(string(body))
					if passes || got.Code != 200 {
						copyTo(w, got)
						return true
					}
					// What comes is acknowledged by somebody who did not look at it.
					var said struct {
						Sets map[string]string `json:"sets"`
					}
					_ = json.Unmarshal(got.Body.Bytes(), &said)
					acks := []any{}
					for key := range said.Sets {
						acks = append(acks, key)
					}
					if asked["ack"] = acks; len(acks) == 0 {
						_, _ = w.Write([]byte(`{"sets":{}}`))
						return true
					}
				}
			})
		})
	}
}

// find plants a fault and wants a vector to find it.
func (h *house) find(t *testing.T, vector string, where *mutant, planted mutant) {
	t.Helper()
	set := func(planted mutant) {
		h.lock.Lock()
		defer h.lock.Unlock()
		*where = planted
	}
	h.patience = 10 * time.Second
	set(planted)
	caught := h.run(t, vector)
	set(nil)
	if caught.Count(signals.Failed) == 0 {
		t.Errorf("not noticed: %s", caught.Verdict())
	}
}
