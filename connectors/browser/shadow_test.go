package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/connectors/hostile"
	"postern/core/rotation"
	"postern/core/seal"
)

// The sign-in form, the change form and what the app says of either stand in closed shadow roots of the HTML, which no script
// can look into: a closed one within another, also in a frame, with slots, and made anew by a script.
func TestClosedShadowRootsOfTheHTML(t *testing.T) {
	b := connector(t)
	const signIn = `<form method="post" action="/sign-in"><label>User <input name="username"></label><label>Password <input type="password" name="password"></label><button>Sign in</button></form>`
	for name, page := range map[string]string{
		"in one another": "",
		"in a frame":     `<iframe src="/frame" width="800" height="500"></iframe>`,
		"with a slot":    `<pier-form><template shadowrootmode="closed">` + signIn + `<slot></slot></template><p>Welcome</p></pier-form>`,
		"by a script":    `<div id="host"></div><script>setTimeout(()=>host.setHTMLUnsafe('<div><template shadowrootmode="closed">` + signIn + `</template></div>'),300)</script>`,
	} {
		t.Run(name, func(t *testing.T) {
			app := &hostile.App{}
			app.Add("quay", first)
			app.Behave(hostile.HidesInDeclared)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case page != "" && r.Method == http.MethodGet && r.URL.Path == "/sign-in":
					_, _ = fmt.Fprint(w, "<!doctype html>"+page)
				case r.URL.Path == "/frame":
					_, _ = fmt.Fprint(w, `<!doctype html><base target="_top"><div><template shadowrootmode="closed">`+signIn+`</template></div>`)
				default:
					app.ServeHTTP(w, r)
				}
			}))
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			target := rotation.Target{AppName: "Pier", SignInURL: server.URL + "/sign-in", ChangeURL: server.URL + "/account/password"}
			expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, rotation.StageVerify)
			var count counter
			expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
			if count.calls != 1 || app.Password("quay") != second {
				t.Errorf("release was called %d times, and the right password is set: %v", count.calls, app.Password("quay") == second)
			}
			if app.Failures("quay") != 1 {
				t.Errorf("%d sign-ins failed", app.Failures("quay"))
			}
			// As a recipe, the way that a rehearsal found leads there again.
			rehearsal := counter{err: errors.New("a rehearsal")}
			report := b.Change(short(t), target, credential("quay", second), seal.NewSecret(first), rehearsal.release)
			expect(t, report, rotation.NotSent, rotation.StageSubmit)
			var model pageModel
			if err := json.Unmarshal(report.Model, &model); err != nil || model.Recipe == nil {
				t.Fatalf("no recipe in %s", report.Model)
			}
			target.Settings = settingsOf(t, model.Recipe)
			expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Accepted, rotation.StageVerify)
		})
	}
}

// What a closed shadow root of the HTML repeats of a password is covered in the picture.
func TestThePictureCoversClosedShadowRoots(t *testing.T) {
	b := connector(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := ""
		if r.Method == http.MethodPost {
			said = `<p role="alert">Wrong password.</p><div><template shadowrootmode="closed"><p>You typed ` + r.FormValue("password") + `</p></template></div>`
		}
		_, _ = fmt.Fprintf(w, `<!doctype html>%s<form method="post"><input name="username"><input type="password" name="password"><button>Sign in</button></form>`, said)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	target := rotation.Target{AppName: "leaky", SignInURL: server.URL + "/", Settings: []byte(`{"screenshot": true}`)}
	var pictures [][]byte
	for _, password := range []string{"Canary-aaaaaaaaaa", "Canary-bbbbbbbbbb"} {
		j := b.newJob(target, seal.NewSecret(password))
		j.run(short(t), func(ctx context.Context) { j.outcome = j.signIn(ctx, credential("quay", password)) })
		clean(t, j.report)
		pictures = append(pictures, pixels(t, j.report.Screenshot))
	}
	if !bytes.Equal(pictures[0], pictures[1]) {
		t.Error("the pictures of two passwords differ")
	}
}
