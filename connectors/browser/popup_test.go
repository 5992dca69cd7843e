package browser

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// windowed is an app that has one sign in, in a window of its own.
type windowed struct {
	done     string // what the window does once one is in
	password atomic.Value
	heard    atomic.Int64 // requests with a password, to another host
}

func (a *windowed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	in, err := r.Cookie("in")
	content, _ := io.ReadAll(r.Body)
	if !strings.HasPrefix(r.Host, "127.0.0.1") {
		a.heard.Add(1)
		return
	}
	const form = `<form method="post" action="/window"><label>User name <input name="u"></label><label>Password <input type="password" name="p"></label><button>Sign in</button></form>`
	const out = `<p>Welcome</p><a href="/sign-out">Sign out</a>`
	switch {
	case r.URL.Path == "/window" && r.Method == http.MethodGet:
		fmt.Fprint(w, form)
	case r.URL.Path == "/window" && strings.Contains(string(content), "p="+a.password.Load().(string)):
		http.SetCookie(w, &http.Cookie{Name: "in", Value: "yes", Path: "/"})
		fmt.Fprint(w, `<p>You can close this window.</p><script>`+a.done+`</script>`)
	case r.URL.Path == "/window":
		fmt.Fprint(w, `<p role="alert">The user name or password is wrong.</p>`+form)
	case err == nil && in.Value == "yes" && r.URL.Path == "/set" && r.Method == http.MethodPost:
		_, password, _ := strings.Cut(string(content), "next=")
		a.password.Store(password)
		fmt.Fprint(w, `<p role="status">Your password has been changed.</p>`+out)
	case err == nil && in.Value == "yes" && r.URL.Path == "/set":
		fmt.Fprint(w, out+`<form method="post"><label>New password <input type="password" name="next"></label><button>Change password</button></form>`)
	case err == nil && in.Value == "yes":
		fmt.Fprint(w, out)
	case r.URL.Query().Get("elsewhere") != "":
		fmt.Fprint(w, `<p>Guest</p><button onclick="window.open('http://localhost:'+location.port+'/window','w','width=500,height=400')">Sign in</button>`)
	default:
		fmt.Fprint(w, `<p>Guest</p><button onclick="window.open('/window','w','width=500,height=400')">Sign in</button>
<script>window.entered=()=>{document.body.innerHTML='`+out+`'};addEventListener('message',entered)</script>`)
	}
}

// TestASignInInAWindow goes on in the window a page opens, and in the page once that has closed, whichever way the page hears of it.
func TestASignInInAWindow(t *testing.T) {
	b := connector(t)
	const settings = `{"sign_in": {"before": ["button"]}, "timeout_seconds": 8}`
	for name, done := range map[string]string{
		"reloads":          `opener.location.reload();close()`,
		"tells":            `opener.postMessage("in","*");close()`,
		"stays":            `opener.location.reload()`,
		"closes later":     `opener.location.reload();setTimeout(close,700)`,
		"goes on in it":    `location="/"`,
		"closes by itself": `opener.entered();setTimeout(close)`,
	} {
		t.Run(name, func(t *testing.T) {
			app := &windowed{done: done}
			app.password.Store(first)
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			target := rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/", ChangeURL: server.URL + "/set", Settings: []byte(settings)}
			expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Rejected, rotation.StageVerify)
			var count counter
			report := b.Change(short(t), target, credential("quay", first), seal.NewSecret("Canary-third-42"), count.release)
			expect(t, report, rotation.Applied, rotation.StageSubmit)
			if count.calls != 1 || app.password.Load() != "Canary-third-42" {
				t.Errorf("released %d times", count.calls)
			}
		})
	}
	t.Run("of another host", func(t *testing.T) {
		app := &windowed{}
		app.password.Store(first)
		server := httptest.NewServer(app)
		t.Cleanup(server.Close)
		report := b.Verify(short(t), rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/?elsewhere=1", Settings: []byte(settings)}, credential("quay", first))
		expect(t, report, rotation.FormNotFound, rotation.StageVerify)
		if app.heard.Load() > 0 {
			t.Error("the other host heard of it")
		}
	})
}

// TestAWindowThatIsNoSignIn opens beside the page that says how the sign-in went, and stays.
func TestAWindowThatIsNoSignIn(t *testing.T) {
	b := connector(t)
	for name, address := range map[string]string{"of the app": "/news", "of another host": "http://localhost:1/advertisement", "of nothing": ""} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				const form = `<form method="post"><label>User name <input name="u"></label><label>Password <input type="password" name="p"></label><button>Sign in</button></form>`
				opens := fmt.Sprintf(`<script>window.open(%q, "w", "width=500,height=400")</script>`, address)
				switch {
				case r.URL.Path == "/news":
					fmt.Fprint(w, `<p>What is new this month</p>`)
				case r.Method == http.MethodPost && r.FormValue("p") == first:
					fmt.Fprint(w, `<p>Welcome</p><a href="/sign-out">Sign out</a>`+opens)
				case r.Method == http.MethodPost:
					fmt.Fprint(w, `<p role="alert">The user name or password is wrong.</p>`+form+opens)
				default:
					fmt.Fprint(w, form)
				}
			}))
			t.Cleanup(server.Close)
			target := rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/"}
			expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
			expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Rejected, rotation.StageVerify)
		})
	}
}
