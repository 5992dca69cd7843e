package idp_test

import (
	"cmp"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/conformance/idp"
	"postern/conformance/partstest"
	"postern/core"
)

// A run finds what a server does wrong: here something in front of a good one spoils one request, or
// the events tell of something twice.
func TestARunFindsFaults(t *testing.T) {
	partstest.Long(t, "hundreds of people")
	for name, one := range map[string]struct {
		shape  idp.Shape
		spoil  func(w http.ResponseWriter, r *http.Request) bool // answers instead of the server
		events func([]core.Event) []core.Event
		chaos  idp.Chaos
		cycles int // 0: 2
		tells  string
	}{
		"members that are not kept": {shape: idp.Entra, tells: "lost user", spoil: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch || !strings.Contains(r.URL.Path, "/Groups/") {
				return false
			}
			w.WriteHeader(http.StatusNoContent)
			return true
		}},
		"a departure that is not heard": {shape: idp.Okta, tells: "0 events user.deprovisioned, want 1", spoil: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch || !strings.Contains(r.URL.Path, "/Users/") {
				return false
			}
			w.WriteHeader(http.StatusNoContent)
			return true
		}},
		"a request refused for no reason": {shape: idp.OktaWizard, tells: "is answered 400", spoil: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			w.WriteHeader(http.StatusBadRequest)
			return true
		}},
		"a server that is never ready": {shape: idp.Okta, tells: "gives up after 10 attempts", spoil: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
		"a copy believed though the object has moved on": {shape: idp.OktaWizard, chaos: idp.Chaos{Overdue: 0.4}, cycles: 4, tells: ", want ", spoil: func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			return false
		}},
		"a departure told twice": {shape: idp.EntraLegacy, tells: "2 events user.deprovisioned, want 1", events: func(events []core.Event) []core.Event {
			at := slices.IndexFunc(events, func(e core.Event) bool { return e.Type == core.UserDeprovisioned })
			return append(events, events[at])
		}},
		"a rotation forgotten": {shape: idp.Entra, tells: "its rotation planned", events: func(events []core.Event) []core.Event {
			at := slices.IndexFunc(events, func(e core.Event) bool { return e.Type == core.RotationPlanned })
			if at < 0 {
				return events // nothing is taken yet
			}
			return slices.Delete(events, at, at+1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, kindOf(one.shape), 3)
			options := w.options(one.shape, idp.Size{Users: 40, Groups: 4, Cycles: cmp.Or(one.cycles, 2)}, 1)
			options.Chaos, options.Pause, options.EventsWithin = one.chaos, 1, 5*time.Second // what is missing never comes
			if one.events != nil {
				options.Events = func(ctx context.Context) ([]core.Event, error) {
					events, err := w.events(ctx)
					return one.events(events), err
				}
			}
			if one.spoil != nil {
				server, err := url.Parse(strings.TrimSuffix(w.url, "/scim/v2"))
				must(t, err)
				proxy := httputil.NewSingleHostReverseProxy(server)
				var seen atomic.Int64
				front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if seen.Load() > 0 && name != "a server that is never ready" || !one.spoil(rw, r) {
						proxy.ServeHTTP(rw, r)
						return
					}
					seen.Add(1)
				}))
				defer front.Close()
				options.URL = front.URL + "/scim/v2"
			}
			report, err := idp.Run(t.Context(), options)
			must(t, err)
			if !slices.ContainsFunc(report.Faults, func(fault string) bool { return strings.Contains(fault, one.tells) }) {
				t.Fatalf("nothing tells %q: %q", one.tells, report.Faults)
			}
		})
	}
}
