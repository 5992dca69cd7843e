package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"postern/core/rotation"
	"postern/core/seal"
)

const fails = "Your passphrase fails our entropy check"

// What is quoted of a page that says what Postern does not understand, and what is nobody's business.
func TestWhatIsQuoted(t *testing.T) {
	letters := strings.Split(strings.Repeat("A letter\n", 9), "\n")
	for name, c := range map[string]struct {
		before, now view
		want        string
	}{
		"a complaint":           {view{}, view{Errors: []string{fails}, Notices: []string{"Hint"}, Lines: letters}, fails},
		"a notice":              {view{}, view{Notices: []string{fails}, Lines: letters}, fails},
		"lines beside the form": {view{Lines: []string{"Pier"}}, view{Lines: append([]string{"Pier", fails}, letters...), Forms: []form{{Kind: "change"}}}, fails + strings.Repeat(" A letter", 9)},
		"a page of few lines":   {view{Lines: []string{"Pier"}}, view{Lines: []string{"Pier", "Oh no.", fails}}, "Oh no. " + fails},
		"what is new":           {view{Errors: []string{"Backups are off"}}, view{Errors: []string{"Backups are off", fails}}, fails},
		"another page":          {view{}, view{Lines: letters}, ""},
		"nothing new":           {view{Errors: []string{fails}, Lines: []string{fails}}, view{Errors: []string{fails}, Lines: []string{fails}}, ""},
		"only what is not seen": {view{}, view{Errors: []string{"\u200b\x1b"}}, ""},
		"a secret":              {view{}, view{Errors: []string{`Entropy of "` + second[:7] + "\u200b" + second[7:] + "\", \n" + first + " \x1b[31m\u202eis odd"}}, "Entropy of '[redacted]',  [redacted] [31mis odd"},
		"a long one":            {view{}, view{Errors: []string{strings.Repeat("é", 400)}}, strings.Repeat("é", quoteLength-1) + "…"},
		"a secret at the end":   {view{}, view{Errors: []string{strings.Repeat("é", quoteLength-12) + " " + second}}, strings.Repeat("é", quoteLength-12) + " [redacted]"},
	} {
		j := (&Browser{}).newJob(rotation.Target{}, seal.NewSecret(first), seal.NewSecret(second))
		j.last = c.before
		j.remember()
		if got := j.quote(c.now); got != c.want {
			t.Errorf("%s: %q is quoted, not %q", name, got, c.want)
		}
	}
}

// What an app says and Postern does not understand is in the detail, so that nobody has to look at the picture for it. What came
// of the attempt is the same as without it.
func TestWhatIsNotUnderstoodIsQuoted(t *testing.T) {
	b := connector(t)
	const quoted = `The page says "` + fails + `", which Postern does not understand.`
	const form = `<form id="f" method="post"><label>Current password <input type="password" name="old"></label><label>New password <input type="password" name="new"></label><button>Change</button></form>`
	// A page that stays, and says something once the app has answered or before it asks.
	stays := func(script string) string {
		return form + `<div id="said"></div><script>f.onsubmit=async(e)=>{e.preventDefault();` + script + `}</script>`
	}
	const ask = `await fetch("/change",{method:"POST",body:new URLSearchParams(new FormData(f))});`
	for name, c := range map[string]struct {
		before, after string // the change page, and what it is answered with
		seconds       int
		outcome       rotation.Outcome
		want          string
	}{
		"a page that comes":        {form, `<p role="alert">` + fails + `</p>` + form, 0, rotation.Unknown, quoted},
		"a page that stays":        {stays(ask + `said.innerHTML="<p role=alert>` + fails + `</p>"`), "", 12, rotation.TimedOut, "The app did not answer in time: it never answered the change. " + quoted},
		"a page that does not ask": {stays(`said.textContent="` + fails + `"`), "", 12, rotation.NotSent, "The page sent no change request when its button was pressed. " + quoted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // two of them wait; a gate knows its own request by the candidate, so each has one
			mux := http.NewServeMux()
			mux.HandleFunc("GET /in", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprint(w, `<!doctype html><form method="post"><input name="username"><input type="password" name="password"><button>Sign in</button></form>`)
			})
			mux.HandleFunc("POST /in", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `<a href="/out">Sign out</a>`) })
			mux.HandleFunc("GET /change", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<!doctype html>"+c.before) })
			mux.HandleFunc("POST /change", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<!doctype html>"+c.after) })
			server := httptest.NewServer(mux)
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			target := rotation.Target{AppName: "Entropy", SignInURL: server.URL + "/in", ChangeURL: server.URL + "/change", Settings: fmt.Appendf(nil, `{"timeout_seconds": %d}`, c.seconds)}
			var count counter
			report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second+name), count.release)
			expect(t, report, c.outcome, rotation.StageSubmit)
			if report.Detail != c.want || len([]rune(report.Detail)) > 200 || strings.ContainsFunc(report.Detail, unicode.IsControl) {
				t.Errorf("it says %q, not %q", report.Detail, c.want)
			}
		})
	}
	t.Run("sign-in", func(t *testing.T) {
		said := ""
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				said = `<p>The harbour master is out.</p>`
			}
			_, _ = fmt.Fprintf(w, `<!doctype html><form method="post">%s<input name="username"><input type="password" name="password"><button>Sign in</button></form>`, said)
		}))
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
		report := b.Verify(short(t), rotation.Target{AppName: "Harbour", SignInURL: server.URL + "/"}, credential("quay", first))
		expect(t, report, rotation.Unknown, rotation.StageVerify)
		if want := `The page says "The harbour master is out.", which Postern does not understand.`; report.Detail != want {
			t.Errorf("it says %q, not %q", report.Detail, want)
		}
	})
}
