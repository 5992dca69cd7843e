package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// WordPress says what it has to say beside a list of sessions that is a live region and that every change changes. A live region
// that holds a message is heard all the same, and what it says is not passed over for good news beside it.
func TestAPartOfThePageIsNoComplaint(t *testing.T) {
	b := connector(t)
	for region, c := range map[string]struct {
		before, after string
		want          rotation.Outcome
	}{
		"sessions": {
			`<button type=button disabled>Log out everywhere else</button><p>You are only logged in here.</p>`,
			`<button type=button>Log out everywhere else</button><p>Did you lose your phone? You can log out everywhere else.</p>`, rotation.Applied,
		},
		"message":             {"", "Some of it could not be stored.", rotation.Unknown},
		"message with button": {"", "Some of it could not be stored. <button type=button>Dismiss</button>", rotation.Unknown},
		"error in a part":     {"<button type=button>Add</button>", `<p class="error">Some of it could not be stored. <button type=button>Again</button></p>`, rotation.Unknown},
	} {
		t.Run(region, func(t *testing.T) {
			page := func(w http.ResponseWriter, notice, live string) {
				_, _ = fmt.Fprintf(w, `<!doctype html><a href="/logout">Sign out</a>%s<form method="post" action="/change"><label>New password <input type="password" name="new"></label>
					<div aria-live="assertive">%s</div><button>Update profile</button></form>`, notice, live)
			}
			mux := http.NewServeMux()
			mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprint(w, `<!doctype html><form method="post"><input name="username"><input type="password" name="password"><button>Sign in</button></form>`)
			})
			mux.HandleFunc("POST /login", func(w http.ResponseWriter, _ *http.Request) { page(w, "", c.before) })
			mux.HandleFunc("GET /change", func(w http.ResponseWriter, _ *http.Request) { page(w, "", c.before) })
			mux.HandleFunc("POST /change", func(w http.ResponseWriter, _ *http.Request) {
				page(w, `<p role="status" aria-live="assertive">Profile updated. <button type="button">Undo</button></p>`, c.after)
			})
			server := httptest.NewServer(mux)
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			target := rotation.Target{AppName: "Live", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/login", ChangeURL: server.URL + "/change"}
			var count counter
			report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
			expect(t, report, c.want, rotation.StageSubmit)
			if !report.Released || count.calls != 1 {
				t.Errorf("released %t after %d calls", report.Released, count.calls)
			}
		})
	}
}
