package browser

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// leaky is an app that repeats passwords wherever it can.
func leaky() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "style-src 'none'")
		username, password := html.EscapeString(r.FormValue("username")), html.EscapeString(r.FormValue("password"))
		said := ""
		if r.Method == http.MethodPost {
			said = fmt.Sprintf(`<p class="error">The username %s is not registered. You typed <b>%s</b> (%s).</p><p title="%s">hint</p><input readonly value="%s">`, password, password, strings.Repeat("x", 400)+password, password, password)
		}
		fmt.Fprintf(w, `<!doctype html><title>%s</title>%s<form method="post"><input name="username" autocomplete="username" value="%s">
<input type="text" name="password" autocomplete="current-password" value="%s" size="40"><textarea>%s</textarea><button>Sign in</button></form>`, password, said, username, password, password)
	})
}

func TestNoSecretLeaves(t *testing.T) {
	b := connector(t)
	server := httptest.NewServer(leaky())
	defer server.Close()
	target := rotation.Target{AppName: "leaky", SignInURL: server.URL + "/", Settings: []byte(`{"screenshot": true}`)}
	for _, awkward := range []string{`Canary-"<&>'\ +%3c`, "Canary-ümläut-パス", "Canary-" + strings.Repeat("long", 20)} {
		report := b.Verify(short(t), target, credential("quay", awkward))
		expect(t, report, rotation.Rejected, "")
		everything := fmt.Sprintf("%+v%s%s", report, report.Model, report.Detail)
		for _, piece := range []string{awkward, awkward[len("Canary-"):], html.EscapeString(awkward)} {
			if strings.Contains(everything, piece) {
				t.Errorf("%q shows in %s", piece, everything)
			}
		}
	}

	// Pictures of two different passwords are the same, whatever their length; so a picture tells
	// nothing about either. The page shows them in the clear.
	var pictures [][]byte
	for _, password := range []string{"Canary-aaaaaaaaaa", "Canary-bbbbbbbbbb", "Canary-WWWWWWWWWWWWW"} {
		pictures = append(pictures, pixels(t, b.Verify(short(t), target, credential("quay", password)).Screenshot))
	}
	if !bytes.Equal(pictures[0], pictures[1]) {
		t.Error("the pictures of two passwords of one length differ")
	}
	other := pixels(t, b.Verify(short(t), target, credential("another-user", "Canary-aaaaaaaaaa")).Screenshot)
	if !bytes.Equal(pictures[0], other) {
		t.Error("the pictures of two usernames differ: fields are not covered")
	}
}

// TestThePictureWouldDiffer shows that the comparison above has teeth: without the cover, two
// passwords make two pictures.
func TestThePictureWouldDiffer(t *testing.T) {
	b := connector(t)
	server := httptest.NewServer(leaky())
	defer server.Close()
	target := rotation.Target{AppName: "leaky", SignInURL: server.URL + "/", Settings: []byte(`{"screenshot": true}`)}
	var pictures [][]byte
	for _, password := range []string{"aaaaaaaaaa", "bbbbbbbbbb"} {
		// The job does not know of this secret, and the field it is in is covered all the same; the
		// text of the page is not.
		j := b.newJob(target, seal.NewSecret("something else"))
		j.run(short(t), func(ctx context.Context) { j.outcome = j.signIn(ctx, credential("quay", password)) })
		pictures = append(pictures, pixels(t, j.report.Screenshot))
	}
	if bytes.Equal(pictures[0], pictures[1]) {
		t.Error("two pages with different texts make the same picture")
	}
}

func pixels(t *testing.T, picture []byte) []byte {
	t.Helper()
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatalf("no picture: %v", err)
	}
	var all bytes.Buffer
	bounds := decoded.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, _ := decoded.At(x, y).RGBA()
			all.Write([]byte{byte(r >> 8), byte(g >> 8), byte(b >> 8)})
		}
	}
	return all.Bytes()
}

func TestSettings(t *testing.T) {
	settings, err := ParseSettings([]byte(`{"sign_in":{"username":"#u","before":["#x"]},"change":{"new":"#n","success":["Done"]},"timeout_seconds":5}`))
	if err != nil || settings.SignIn.Username != "#u" || settings.Change.Success[0] != "Done" || settings.timeout(1).Seconds() != 5 {
		t.Errorf("%+v, %v", settings, err)
	}
	if _, err := ParseSettings(nil); err != nil {
		t.Error(err)
	}
	for _, faulty := range []string{`{"sign_in":{"user":"#u"}}`, `[]`, `{"timeout_seconds":-1}`, `{"change":{"gate":"open"}}`, `{`} {
		if _, err := ParseSettings([]byte(faulty)); err == nil {
			t.Errorf("%s is taken", faulty)
		}
	}
}

// TestOverrides signs in to and changes a password in an app no detection could make sense of.
func TestOverrides(t *testing.T) {
	b := connector(t)
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch {
		case r.URL.Path == "/in" && r.Method == http.MethodGet:
			fmt.Fprint(w, `<button id="open" type="button" onclick="document.getElementById('f').hidden=false">Zugang</button>
<form id="f" method="post" hidden><input id="a" name="a"><input id="b" name="b"><input id="c" name="c" type="password"><button id="no" name="no">Zap</button><button id="yes">Zip</button></form>`)
		case r.URL.Path == "/in":
			if r.FormValue("b") == "quay" && r.FormValue("c") == first && !r.Form.Has("no") {
				fmt.Fprint(w, `<p>Ahoy, matey</p>`)
				return
			}
			fmt.Fprint(w, `<p>Walk the plank</p>`)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `<form method="post"><input id="x" name="x"><input id="y" name="y"><button>Zip</button></form>`)
		default:
			got = r.FormValue("y")
			fmt.Fprint(w, `<p>Shipshape</p>`)
		}
	}))
	defer server.Close()
	target := rotation.Target{SignInURL: server.URL + "/in", ChangeURL: server.URL + "/change", Settings: []byte(`{
"sign_in": {"before": ["#open"], "username": "#b", "password": "#c", "submit": "#yes", "success": ["Ahoy, matey"], "failure": ["Walk the plank"]},
"change": {"current": "#x", "new": "#y", "success": ["Shipshape"]}}`)}
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
	expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, "")
	var count counter
	expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, "")
	if got != second || count.calls != 1 {
		t.Errorf("release called %d times, right password: %v", count.calls, got == second)
	}
}

// TestUsernameFirst is about apps that ask for the password on a second page, in another language.
func TestUsernameFirst(t *testing.T) {
	b := connector(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.FormValue("step") {
		case "":
			fmt.Fprint(w, `<form method="post"><input type="hidden" name="step" value="1"><label>Benutzername <input name="u" autocomplete="username"></label><button>Weiter</button></form>`)
		case "1":
			fmt.Fprint(w, `<form method="post"><input type="hidden" name="step" value="2"><label>Kennwort <input type="password" name="p"></label><button>Anmelden</button></form>`)
		case "2":
			if r.FormValue("p") == first {
				fmt.Fprint(w, `<a href="/x">Abmelden</a>`)
				return
			}
			fmt.Fprint(w, `<p class="error">Benutzername oder Kennwort ist falsch.</p><form method="post"><input type="hidden" name="step" value="2"><label>Kennwort <input type="password" name="p"></label><button>Anmelden</button></form>`)
		}
	}))
	defer server.Close()
	target := rotation.Target{SignInURL: server.URL + "/"}
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
	expect(t, b.Verify(short(t), target, credential("quay", "falsch")), rotation.Rejected, "")
}
