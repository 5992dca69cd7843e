package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core/rotation"
	"postern/core/seal"
	local "postern/deploy/local/process"
	"postern/deploy/local/sampleapp"
)

var shared struct {
	once    sync.Once
	browser *Browser
	log     *logged
	err     error
}

// logged keeps what was logged, at every level.
type logged struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.browser != nil {
		_ = shared.browser.Close()
	}
	os.Exit(code)
}

// connector is one browser for all tests, whose log every test may search.
func connector(t testing.TB) *Browser {
	t.Helper()
	partstest.Long(t, "browser")
	shared.once.Do(func() {
		shared.log = &logged{}
		shared.browser, shared.err = New(Options{
			AllowPrivate: true, Timeout: 20 * time.Second, Log: slog.New(slog.NewTextHandler(shared.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	})
	partstest.Need(t, "browser", shared.err)
	return shared.browser
}

const (
	first  = "Canary-first-4711"
	second = "Canary-second-0815*x"
)

func harbour(t testing.TB) (*sampleapp.App, rotation.Target) {
	t.Helper()
	app, err := sampleapp.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := app.SetPassword("quay", first); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return app, rotation.Target{AppName: "Harbour", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/sign-in", ChangeURL: server.URL + "/account/password"}
}

func credential(username, password string) rotation.Credential {
	return rotation.Credential{Username: username, Password: seal.NewSecret(password)}
}

type counter struct {
	calls int
	err   error
}

func (c *counter) release(context.Context) error {
	c.calls++
	return c.err
}

func short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func expect(t testing.TB, report rotation.Report, outcome rotation.Outcome, stage string) {
	t.Helper()
	t.Logf("%s at %s after %s", report.Outcome, report.Stage, report.Finished.Sub(report.Started).Round(time.Millisecond))
	if report.Outcome != outcome || stage != "" && report.Stage != stage {
		t.Errorf("%s at %s, expected %s at %s: %s\n%s", report.Outcome, report.Stage, outcome, stage, report.Detail, report.Model)
	}
	clean(t, report)
}

// clean looks for the canaries in everything a report holds and in everything logged so far.
func clean(t testing.TB, report rotation.Report) {
	t.Helper()
	everything := fmt.Sprintf("%+v %s %s", report, report.Model, report.Detail)
	if shared.log != nil {
		everything += shared.log.String()
	}
	for _, canary := range []string{first, second, "Canary-"} {
		if strings.Contains(everything, canary) || bytes.Contains(report.Screenshot, []byte(canary)) {
			t.Errorf("a password shows: %s", everything)
			return
		}
	}
}

func TestVerify(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	report := b.Verify(short(t), target, credential("quay", first))
	expect(t, report, rotation.Accepted, rotation.StageVerify)
	if len(report.Hosts) != 1 || report.Hosts[0] != "127.0.0.1" || !strings.Contains(report.Agent, "Chrome/") || report.Finished.Before(report.Started) || report.Released || report.Screenshot != nil {
		t.Errorf("report: %+v", report)
	}
	expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("nobody", first)), rotation.Rejected, rotation.StageVerify)
	if err := app.Disable("quay", true); err != nil {
		t.Fatal(err)
	}
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Disabled, rotation.StageVerify)
}

func TestLook(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	expect(t, b.Look(short(t), target), rotation.Found, rotation.StageSignIn)
	app.Behave(sampleapp.Behaviour{NoSignInForm: true})
	expect(t, b.Look(short(t), target), rotation.FormNotFound, rotation.StageNavigate)
	app.Behave(sampleapp.Behaviour{Down: true})
	expect(t, b.Look(short(t), target), rotation.Unreachable, rotation.StageNavigate)
	app.Behave(sampleapp.Behaviour{})
	target.Domains = []string{"elsewhere.example"}
	expect(t, b.Look(short(t), target), rotation.Unreachable, rotation.StageNavigate)
}

func TestChange(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	var count counter
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.Applied, rotation.StageSubmit)
	if !report.Released || count.calls != 1 || app.Changes() != 1 {
		t.Errorf("released %v, release called %d times, %d changes", report.Released, count.calls, app.Changes())
	}
	expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Accepted, "")
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Rejected, "")
	if !app.Works("quay", second) {
		t.Error("the app has another password")
	}
}

func TestChangeCalledOff(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	count := counter{err: errors.New("the lease is lost")}
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.NotSent, rotation.StageSubmit)
	if report.Released || count.calls != 1 || app.Changes() != 0 || !app.Works("quay", first) {
		t.Errorf("released %v, release called %d times, %d changes", report.Released, count.calls, app.Changes())
	}
}

func TestFailuresAreTyped(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	impatient := func(seconds int) { target.Settings = fmt.Appendf(nil, `{"timeout_seconds": %d}`, seconds) }
	verify := func() rotation.Report { return b.Verify(short(t), target, credential("quay", first)) }
	changing := func() (rotation.Report, *counter) {
		count := &counter{}
		return b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), count
	}
	for name, c := range map[string]struct {
		behaviour sampleapp.Behaviour
		outcome   rotation.Outcome
		stage     string
	}{
		"hangs":         {sampleapp.Behaviour{Hang: true}, rotation.TimedOut, rotation.StageNavigate},
		"down":          {sampleapp.Behaviour{Down: true}, rotation.Unreachable, rotation.StageNavigate},
		"form has gone": {sampleapp.Behaviour{NoSignInForm: true}, rotation.FormNotFound, rotation.StageNavigate},
		"captcha":       {sampleapp.Behaviour{Captcha: true}, rotation.Challenge, rotation.StageVerify},
	} {
		app.Behave(c.behaviour)
		target.Settings = nil
		if c.behaviour.Hang {
			impatient(2)
		}
		report := verify()
		expect(t, report, c.outcome, c.stage)
		if report.Screenshot == nil && name != "hangs" {
			t.Errorf("%s: a failure without a picture", name)
		}
	}

	target.Settings = nil
	app.Behave(sampleapp.Behaviour{NoChangeForm: true})
	report, count := changing()
	expect(t, report, rotation.FormNotFound, rotation.StageChangeForm)
	if report.Released || count.calls != 0 {
		t.Errorf("form gone: released %v after %d calls", report.Released, count.calls)
	}
	app.Behave(sampleapp.Behaviour{RefuseEveryPassword: true})
	report, count = changing()
	expect(t, report, rotation.Refused, rotation.StageSubmit)
	if !report.Released || count.calls != 1 {
		t.Errorf("refused: released %v after %d calls", report.Released, count.calls)
	}
	app.Behave(sampleapp.Behaviour{HangAfterChange: true})
	impatient(8) // enough for what comes before it, on a busy machine too
	report, count = changing()
	expect(t, report, rotation.TimedOut, rotation.StageSubmit)
	if !report.Released || count.calls != 1 || !app.Works("quay", second) {
		t.Errorf("no answer: released %v after %d calls", report.Released, count.calls)
	}
	app.Behave(sampleapp.Behaviour{})
	target.Settings = nil
	report, count = changing() // the first password is the old one now
	expect(t, report, rotation.Rejected, rotation.StageSignIn)
	if report.Released || count.calls != 0 {
		t.Errorf("rejected: released %v after %d calls", report.Released, count.calls)
	}

	closed, err := local.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	down := target
	down.SignInURL = fmt.Sprintf("http://127.0.0.1:%d/sign-in", closed)
	expect(t, b.Verify(short(t), down, credential("quay", first)), rotation.Unreachable, rotation.StageNavigate)
	elsewhere := target
	elsewhere.Domains = []string{"harbour.example"}
	expect(t, b.Verify(short(t), elsewhere, credential("quay", first)), rotation.Unreachable, rotation.StageNavigate)
	faulty := target
	faulty.Settings = []byte(`{"sing_in": {}}`)
	expect(t, b.Verify(short(t), faulty, credential("quay", first)), rotation.FormNotFound, rotation.StageNavigate)
	long, count := target, &counter{}
	if err := app.SetPassword("quay", first); err != nil {
		t.Fatal(err)
	}
	report = b.Change(short(t), long, credential("quay", first), seal.NewSecret(strings.Repeat("Canary-7", 12)), count.release)
	expect(t, report, rotation.Refused, rotation.StageChangeForm)
	if count.calls != 0 {
		t.Error("a password that does not fit was released")
	}
}

func TestPrivateAddressesAreRefused(t *testing.T) {
	partstest.Long(t, "browser")
	strict, err := New(Options{})
	partstest.Need(t, "browser", err)
	defer strict.Close()
	_, target := harbour(t)
	expect(t, strict.Verify(short(t), target, credential("quay", first)), rotation.Unreachable, rotation.StageNavigate)
	target.AllowPrivate = true
	expect(t, strict.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
}

func TestTheCallersEndIsKept(t *testing.T) {
	b := connector(t)
	app, target := harbour(t)
	app.Behave(sampleapp.Behaviour{Hang: true})
	if err := b.Prepare(short(t)); err != nil { // the end is to come while the app is asked
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	expect(t, b.Verify(ctx, target, credential("quay", first)), rotation.TimedOut, rotation.StageNavigate)
	canceled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, cancel)
	var count counter
	expect(t, b.Change(canceled, target, credential("quay", first), seal.NewSecret(second), count.release), rotation.NotSent, rotation.StageNavigate)
}
