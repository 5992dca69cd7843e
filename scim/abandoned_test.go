package scim_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core/directory"
	"postern/scim"
)

// Whoever sent a request and went away sends it again, and something newer after it. What waits here
// meanwhile, on somebody else's change or for its turn, must not be carried out behind that.
func TestWhatItsSenderGaveUpIsNotCarriedOut(t *testing.T) {
	for name, test := range map[string]struct{ method, path, body string }{
		"PATCH":  {"PATCH", "/Users/{id}", patchOperations + `[{"op":"replace","path":"title","value":"Old"}]}`},
		"PUT":    {"PUT", "/Users/{id}", `{"userName":"ana","title":"Old","active":false}`},
		"DELETE": {"DELETE", "/Users/{id}", ""},
		"Bulk": {"POST", "/Bulk", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[
			{"method":"PATCH","path":"/Users/{id}","data":` + patchOperations + `[{"op":"replace","path":"title","value":"Old"}]}}]}`},
	} {
		for where, places := range map[string]int{"on a change": 8, "for its turn": 1} {
			t.Run(name+" that waits "+where, func(t *testing.T) {
				w := open(t, directory.Okta)
				w.Share = scim.Share{Places: places, Wait: time.Minute}
				h := w.acme
				user := h.join(t, "ana")
				server, client := w.serve(t)
				begin := func(ctx context.Context, method, path, body string) (ended chan error) {
					ended = make(chan error, 1)
					request, err := http.NewRequestWithContext(ctx, method, server.URL+"/scim/v2"+path, strings.NewReader(body))
					must(t, err)
					request.Header.Set("Authorization", "Bearer "+h.token)
					go func() {
						answered, err := client.Do(request)
						if err == nil {
							err = answered.Body.Close()
						}
						ended <- err
					}()
					return ended
				}
				held, letGo := h.occupy(t, user)
				letGo = sync.OnceFunc(letGo)
				t.Cleanup(letGo)
				var first chan error
				if places == 1 { // somebody has the only place, and waits there
					first = begin(t.Context(), "PATCH", "/Users/"+user, patchOperations+`[{"op":"replace","path":"nickName","value":"A"}]}`)
					held()
				}
				ctx, goAway := context.WithCancel(t.Context())
				abandoned := begin(ctx, test.method, strings.ReplaceAll(test.path, "{id}", user), strings.ReplaceAll(test.body, "{id}", user))
				waiting := func() int {
					if places == 1 {
						return w.Waiting(h.workspace)
					}
					var locks int
					must(t, w.DB.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&locks))
					return locks
				}
				until(t, "the request waits", func() bool { return waiting() == 1 })
				goAway()
				if err := <-abandoned; err == nil {
					t.Fatal("it was answered")
				}
				until(t, "nothing waits, since its sender is gone", func() bool { return waiting() == 0 })
				letGo()
				if first != nil {
					must(t, <-first)
				}
				h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"replace","path":"title","value":"New"}]}`).want(t, 200)
				server.Close() // when the last request has ended
				h.call(t, "GET", "/Users/"+user, "").want(t, 200).is(t, "New", "title")
				for _, entry := range h.journal(t) {
					if entry.Body != nil && strings.Contains(*entry.Body, "Old") || entry.Method == "DELETE" {
						t.Errorf("it was carried out: %+v", entry)
					}
				}
			})
		}
	}
}

// until waits for something that has to come true.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}
