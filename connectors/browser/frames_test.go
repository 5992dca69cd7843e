package browser

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"postern/core/rotation"
)

// framed is an app whose sign-in is a frame of another host, which keeps what it answers to itself.
type framed struct {
	mutex sync.Mutex
	page  string // of the app itself; %s is the other host
	loud  bool
	heard []string // everything that came to the other host
}

func (f *framed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	const form = `<form method="post" action="/in"><label>User name <input name="u"></label><label>Password <input type="password" name="p"></label><button>Sign in</button></form>`
	content, _ := io.ReadAll(r.Body)
	other := strings.Replace("http://"+r.Host, "127.0.0.1", "localhost", 1)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	switch {
	case !strings.HasPrefix(r.Host, "localhost"):
		fmt.Fprint(w, "<h1>Quay</h1>"+strings.ReplaceAll(f.page, "%s", html.EscapeString(other)))
		return
	case r.URL.Path == "/in" && strings.Contains(string(content), "p="+first):
		fmt.Fprint(w, `<p>Welcome</p><a href="/sign-out">Sign out</a>`)
	case r.URL.Path == "/in" && f.loud:
		fmt.Fprint(w, `<p role="alert">The user name or password is wrong.</p>`+form)
	case r.URL.Path == "/in":
		fmt.Fprint(w, `<p>The user name or password is wrong.</p>`+form)
	default:
		fmt.Fprint(w, form)
	}
	f.heard = append(f.heard, r.URL.String()+" "+string(content))
}

const otherFrame = `<div style="height: 1500px"></div><iframe src="%s/" width="600" height="400"></iframe>`

// TestASignInInAFrameOfAnotherSite is read and answered there, below the fold, with what the frame says of it.
func TestASignInInAFrameOfAnotherSite(t *testing.T) {
	b := connector(t)
	for _, loud := range []bool{true, false} {
		for _, page := range []string{otherFrame, `<iframe srcdoc="` + html.EscapeString(otherFrame) + `" width="700" height="500"></iframe>`} {
			server := httptest.NewServer(&framed{page: page, loud: loud})
			t.Cleanup(server.Close)
			target := rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1", "localhost"}, SignInURL: server.URL + "/"}
			expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
			expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Rejected, rotation.StageVerify)
		}
	}
}

// TestNoPasswordGoesIntoAFrameOfAnotherHost: what the app's domains do not name is not loaded, and what a page makes itself that is
// nobody's is not filled in, though it looks like a sign-in.
func TestNoPasswordGoesIntoAFrameOfAnotherHost(t *testing.T) {
	b := connector(t)
	const form = `<form method=post action=%s/in><input name=u placeholder=Username><input type=password name=p placeholder=Password><button>Sign in</button></form>`
	for name, page := range map[string]string{
		"its own page": otherFrame,
		"a data page":  `<iframe src="data:text/html,` + form + `" width="600" height="400"></iframe>`,
		"a sandbox":    `<iframe sandbox="allow-forms" srcdoc="` + form + `" width="600" height="400"></iframe>`,
	} {
		t.Run(name, func(t *testing.T) {
			app := &framed{page: page}
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			report := b.Verify(short(t), rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/"}, credential("quay", first))
			expect(t, report, rotation.FormNotFound, rotation.StageNavigate)
			if name == "its own page" && !strings.Contains(report.Detail, "asked for localhost, which is not one of the app's domains") {
				t.Error(report.Detail)
			}
			app.mutex.Lock()
			defer app.mutex.Unlock()
			if len(app.heard) > 0 {
				t.Errorf("the other host got %q", app.heard)
			}
		})
	}
}
