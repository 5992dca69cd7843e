package browser

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/mailbox"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
	"postern/webhooks/inbox"
)

// post is a Postern that receives mail, with one account of an app.
type post struct {
	*coretest.Core
	boxes     *mailbox.Mailboxes
	port      int
	workspace core.ID
	account   accounts.Account
	address   string
}

func receiving(t *testing.T) *post {
	t.Helper()
	b := connector(t)
	p := &post{Core: coretest.Open(t, nil)}
	p.boxes = &mailbox.Mailboxes{DB: p.DB, Accounts: p.Accounts, Vault: p.Vault, Domain: "in.example.com", Options: mailbox.Options{Patience: 10 * time.Second}}
	p.Rotations.Connectors, p.Rotations.Inbox, p.Rotations.AllowPrivate = rotation.Connectors{"browser": b}, p.boxes, true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	coretest.Must(t, err)
	p.port = listener.Addr().(*net.TCPAddr).Port
	coretest.Run(t, func(ctx context.Context) error {
		return (&inbox.Receiver{Mailboxes: p.boxes, Name: "mx.example.com"}).Serve(ctx, listener)
	})
	return p
}

// keep makes an account of an app at an address, with an address of its own.
func (p *post) keep(t *testing.T, signIn, username, password string) {
	t.Helper()
	workspace, connection := p.Workspace(t, "acme", directory.NewConnection{Name: "Okta", Kind: directory.Okta, Issuer: "https://acme.okta.com"})
	owner := p.Person(t, connection, directory.User{UserName: "ana@acme.example", DisplayName: "Ana"})
	p.workspace = workspace.ID
	at, err := url.Parse(signIn)
	coretest.Must(t, err)
	p.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		app, err := p.Accounts.CreateApp(ctx, tx, coretest.System(), workspace.ID, accounts.NewApp{
			Name: "Blog", Domains: []string{at.Host}, SignInURL: signIn, Connector: "browser",
		})
		if err != nil {
			return err
		}
		if p.account, err = p.Accounts.CreateAccount(ctx, tx, coretest.System(), workspace.ID, accounts.NewAccount{
			App: app.ID, Username: username, Password: seal.NewSecret(password), Owner: owner.ID,
		}); err != nil {
			return err
		}
		box, err := p.boxes.CreateAddress(ctx, tx, coretest.System(), workspace.ID, p.account.ID)
		p.address = box.Address
		return err
	})
}

func (p *post) mail(t *testing.T, text string) {
	t.Helper()
	message := "From: Blog <blog@example.com>\r\nSubject: Password Reset\r\n\r\n" + text + "\r\n"
	coretest.Must(t, smtp.SendMail(fmt.Sprintf("127.0.0.1:%d", p.port), nil, "blog@example.com", []string{p.address}, []byte(message)))
}

// TestARealAppMailsALink has an application mail the account, whose password somebody changed behind Postern's back, and
// Postern set another behind the link: found by evidence, proved by two sign-ins, with an older reset's mail and another
// app's link in the mailbox beside it.
func TestARealAppMailsALink(t *testing.T) {
	partstest.Long(t, "web application")
	for name, app := range map[string]struct {
		start  starter
		behind string // what its links end in, without the key
		key    string // what a key in a link begins with
	}{
		"WordPress": {apps.StartWordPress, "/wp-login.php?action=rp&login=shared&key=", "key="},
		"DokuWiki":  {apps.StartDokuWiki, "/doku.php?do=resendpwd&pwauth=", "pwauth="},
	} {
		t.Run(name, func(t *testing.T) {
			p := receiving(t)
			site, err := app.start(t.Context(), t.TempDir(), apps.Options{Username: "shared", Password: first, MailPort: p.port})
			partstest.Need(t, name, err)
			t.Cleanup(func() { coretest.Must(t, site.Stop()) })
			p.keep(t, site.SignInURL, "shared", first)
			coretest.Must(t, site.SetAddress(t.Context(), "shared", p.address))
			// Of an older reset, which came before, and of another place.
			p.mail(t, "To reset your password, visit "+site.URL+app.behind+"0123456789abcdef0123")
			p.mail(t, "To reset your password, visit https://other.example.net"+app.behind+"fedcba98765432100123")
			p.resets(t, site, app.key)
		})
	}
}

// resets has a password that nobody at Postern knows replaced by the site's mail.
func (p *post) resets(t *testing.T, site *apps.Site, key string) {
	t.Helper()
	elsewhere := "Behind-the-back-4711"
	coretest.Must(t, site.SetPassword(t.Context(), "shared", elsewhere))
	p.Rotations.Options = rotation.Options{FailedSignIns: 4, Settle: time.Second, FirstRetry: time.Second}
	var planned rotation.Rotation
	p.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		planned, err = p.Rotations.PlanReset(ctx, tx, core.NewCause(core.System, time.Now()), p.workspace, p.account.ID)
		return err
	})
	end := p.finish(t, planned.ID)
	steps, err := p.Rotations.Steps(t.Context(), p.DB, p.workspace, planned.ID)
	coretest.Must(t, err)
	if end.State != rotation.StateDone || end.Receipt == nil || !end.Receipt.Mailed {
		for _, step := range steps {
			t.Logf("%s: %s %.1500s", step.State, step.Detail, step.Evidence)
		}
		t.Fatalf("%s: %s", end.State, end.Detail)
	}
	for _, step := range steps {
		if found := regexp.MustCompile(key + `[A-Za-z0-9]`).FindString(string(step.Evidence) + step.Detail); found != "" {
			t.Errorf("the history shows the link: %s", step.Evidence)
		}
	}
	set, err := p.Accounts.Password(t.Context(), p.DB, p.workspace, p.account.ID, end.Receipt.Candidate)
	coretest.Must(t, err)
	for password, want := range map[string]bool{set.Reveal(): true, elsewhere: false, first: false} {
		if ok, err := site.Accepts(t.Context(), "shared", password); err != nil || ok != want {
			t.Errorf("a password is accepted: %v, %v", ok, err)
		}
	}
}

// finish drives a rotation until it rests for good.
func (p *post) finish(t *testing.T, id core.ID) rotation.Rotation {
	t.Helper()
	for range 60 {
		err := p.Rotations.Advance(t.Context(), p.workspace, id)
		after, snoozed := jobs.SnoozeOf(err)
		if err == nil {
			break
		} else if !snoozed {
			t.Fatal(err)
		}
		select {
		case <-time.After(min(after, 5*time.Second)):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	end, err := p.Rotations.Rotation(t.Context(), p.DB, p.workspace, id)
	coretest.Must(t, err)
	return end
}

// forgetful is a small app that mails links to whoever forgot the password. Its pages are German.
type forgetful struct {
	mutex    sync.Mutex
	base     string
	password string
	links    []string
	asked    []string // what was typed in
	unknown  bool     // it knows nobody
	away     string   // where the page behind the link sends everybody
}

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	page := func(body string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, `<!doctype html><form action="/suche"><input type="text" name="suchwort" placeholder="Suche"><button>Suchen</button></form>`+body)
	}
	switch r.URL.Path {
	case "/anmelden":
		page(`<form method="post"><label>Benutzername <input name="b"></label><label>Kennwort <input type="password" name="k"></label><button>Anmelden</button></form>
			<a href="/konto/loeschen">Konto löschen</a> <a href="/zugang">Passwort vergessen?</a>`)
	case "/zugang":
		if r.Method != http.MethodPost {
			page(`<form method="post"><label>Benutzername <input name="wer"></label><button>Link anfordern</button></form>`)
			return
		}
		f.asked = append(f.asked, r.FormValue("wer"))
		if f.unknown {
			page(`<p role="alert">Zu diesem Namen ist kein Konto bekannt.</p><form method="post"><label>Benutzername <input name="wer"></label><button>Link anfordern</button></form>`)
			return
		}
		f.links = append(f.links, f.base+"/neu/"+strings.ToLower(rand.Text()))
		page(`<p>Wenn es das Konto gibt, ist eine E-Mail unterwegs.</p>`)
	default:
		newest := ""
		if len(f.links) > 0 {
			newest = strings.TrimPrefix(f.links[len(f.links)-1], f.base)
		}
		switch {
		case r.URL.Path != newest:
			w.WriteHeader(http.StatusNotFound)
			page(`<p class="error">Dieser Link ist abgelaufen.</p>`)
		case f.away != "":
			http.Redirect(w, r, f.away, http.StatusFound)
		case r.Method == http.MethodPost && r.FormValue("p1") == r.FormValue("p2"):
			f.password, f.links = r.FormValue("p1"), nil
			page(`<p role="status">Das Passwort wurde geändert.</p>`)
		default:
			page(`<h1>Neues Passwort</h1><form method="post"><label>Neues Passwort <input type="password" name="p1"></label><label>Passwort wiederholen <input type="password" name="p2"></label><button>Speichern</button></form>`)
		}
	}
}

// newest is the link mailed last.
func (f *forgetful) newest() string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.links[len(f.links)-1]
}

var errNoMail = core.Unavailable(0, "no message with a link came").WithCode("no_message")

// What can go wrong with a mailed link ends in words about it, and never at another host or with a password nobody released.
func TestAMailedLinkIsMistrusted(t *testing.T) {
	b := connector(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("another host was reached")
		_, _ = fmt.Fprint(w, `<form method="post"><input type="password" name="p1" autocomplete="new-password"><button>Save</button></form>`)
	}))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		prepare func(*forgetful)
		links   func(f *forgetful, turn int) string // empty: none comes
		refuse  bool                                // the gate stays shut
		want    rotation.Outcome
		detail  string
	}{
		"as it should be": {links: func(f *forgetful, _ int) string { return f.newest() }, want: rotation.Applied},
		"an older mail is late": {links: func(f *forgetful, turn int) string {
			return []string{f.base + "/neu/alterlinkalterlink", f.newest()}[turn]
		}, want: rotation.Applied},
		"another host": {
			links: func(_ *forgetful, turn int) string {
				return []string{elsewhere.URL + "/neu/abcdefghijklmnop", ""}[turn]
			}, want: rotation.NoMessage, detail: "somewhere else",
		},
		"another user at the host": {
			links: func(f *forgetful, turn int) string {
				return []string{strings.Replace(f.newest(), "http://", "http://"+strings.TrimPrefix(f.base, "http://")+"@", 1), ""}[turn]
			}, want: rotation.NoMessage, detail: "somewhere else",
		},
		"a script": {links: func(_ *forgetful, turn int) string { return []string{"javascript:alert(1)", ""}[turn] }, want: rotation.NoMessage, detail: "somewhere else"},
		"it leads away": {
			prepare: func(f *forgetful) { f.away = elsewhere.URL }, links: func(f *forgetful, _ int) string { return f.newest() }, want: rotation.Unreachable, detail: "not one of the app's domains",
		},
		"no mail":     {links: func(*forgetful, int) string { return "" }, want: rotation.NoMessage},
		"only old":    {links: func(f *forgetful, turn int) string { return []string{f.base + "/neu/alterlinkalterlink", ""}[turn] }, want: rotation.NoMessage, detail: "abgelaufen"},
		"nobody":      {prepare: func(f *forgetful) { f.unknown = true }, want: rotation.Rejected, detail: "kein Konto"},
		"a shut gate": {links: func(f *forgetful, _ int) string { return f.newest() }, refuse: true, want: rotation.NotSent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := &forgetful{password: first}
			server := httptest.NewServer(app)
			t.Cleanup(server.Close)
			if app.base = server.URL; test.prepare != nil {
				test.prepare(app)
			}
			turn, released := 0, 0
			whose := rotation.Forgotten{Username: "quay", Address: "acct@in.example.com", Link: func(context.Context) (seal.Secret, error) {
				link := test.links(app, turn)
				if turn++; link == "" {
					return seal.Secret{}, errNoMail
				}
				return seal.NewSecret(link), nil
			}}
			next := seal.GeneratePassword(seal.PasswordPolicy{})
			target := rotation.Target{AppName: "Lotse", Domains: []string{strings.TrimPrefix(server.URL, "http://")}, SignInURL: server.URL + "/anmelden"}
			report := b.Recover(short(t), target, whose, next, func(context.Context) error {
				if released++; test.refuse {
					return errors.New("no")
				}
				return nil
			})
			if report.Outcome != test.want || !strings.Contains(report.Detail, test.detail) {
				t.Fatalf("%s at %s: %s", report.Outcome, report.Stage, report.Detail)
			}
			applied := test.want == rotation.Applied
			if (app.password == next.Reveal()) != applied || app.password != first && !applied || report.Released != applied {
				t.Errorf("released %v, %d times", report.Released, released)
			}
			if len(app.asked) != 1 || app.asked[0] != "quay" {
				t.Errorf("it was asked for %q", app.asked)
			}
			for _, link := range app.links {
				if token := link[strings.LastIndex(link, "/")+1:]; strings.Contains(report.Detail+string(report.Model), token) {
					t.Errorf("the report shows the link: %s", report.Model)
				}
			}
			if slices.ContainsFunc(report.Hosts, func(host string) bool { return strings.Contains(host, strings.TrimPrefix(elsewhere.URL, "http://")) }) {
				t.Errorf("reached %v", report.Hosts)
			}
		})
	}
}

// The way to the form is found in every language, and the form that asks for something else is not taken for it.
func TestTheForgottenPasswordForm(t *testing.T) {
	b := connector(t)
	for language, page := range map[string][2]string{
		"English":    {"Forgot your password?", "E-mail"},
		"German":     {"Kennwort zurücksetzen", "Benutzername"},
		"French":     {"Mot de passe oublié ?", "Identifiant"},
		"Spanish":    {"¿Olvidaste tu contraseña?", "Usuario"},
		"Portuguese": {"Esqueceu a senha?", "Usuário"},
		"Japanese":   {"パスワードを忘れた場合", "ユーザー名"},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Value
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				switch {
				case r.URL.Path == "/in":
					_, _ = fmt.Fprintf(w, `<form><input name="u"><input type="password" name="p"><button>OK</button></form><a href="/help">?</a><a href="/r">%s</a>`, page[0])
				case r.Method == http.MethodPost:
					asked.Store(r.FormValue("x"))
					_, _ = fmt.Fprint(w, "<p>OK</p>")
				case r.URL.Path == "/r":
					_, _ = fmt.Fprintf(w, `<form role="search"><input name="q"><button>OK</button></form><form method="post"><label>%s <input name="x"></label><button>OK</button></form>`, page[1])
				default:
					t.Errorf("it went to %s", r.URL.Path)
				}
			}))
			t.Cleanup(server.Close)
			report := b.Recover(short(t), rotation.Target{AppName: "Lotse", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/in"}, rotation.Forgotten{
				Username: "quay", Address: "acct@in.example.com", Link: func(context.Context) (seal.Secret, error) { return seal.Secret{}, errNoMail },
			}, seal.NewSecret(second), func(context.Context) error { return nil })
			want := "quay"
			if page[1] == "E-mail" {
				want = "acct@in.example.com"
			}
			if report.Outcome != rotation.NoMessage || asked.Load() != want {
				t.Errorf("%s: %s; it was asked for %v", report.Outcome, report.Detail, asked.Load())
			}
		})
	}
}
