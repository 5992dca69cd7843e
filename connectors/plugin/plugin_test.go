package plugin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/connectors/connectortest"
	"postern/connectors/plugin"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

const (
	first  = "Canary-first-4711"
	second = "Canary-second-0815"
)

// built is the template as a developer builds it.
func built(t *testing.T) plugin.Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template")
	if said, err := exec.Command("go", "build", "-o", path, "./template").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return at(t, path)
}

func at(t *testing.T, path string) plugin.Options {
	t.Helper()
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	return plugin.Options{Name: "office", Path: path, SHA256: sum[:]}
}

func open(t *testing.T, options plugin.Options) *plugin.Connector {
	t.Helper()
	connector, err := plugin.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connector.Close() })
	return connector
}

// The template keeps the contract of all connectors, from its own process.
func TestTheTemplateKeepsTheContract(t *testing.T) {
	boss := rotation.Credential{Username: "boss", Password: seal.GeneratePassword(seal.PasswordPolicy{})}
	app := &office{
		passwords: map[string]string{"boss": boss.Password.Reveal()}, disabled: map[string]bool{}, sessions: map[string]bool{},
		tokens: map[string]officeToken{}, admin: "boss",
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	number := 0
	connectortest.App{
		Connector: open(t, built(t)), Address: server.Listener.Addr().String(),
		At: func(address string) rotation.Target {
			return rotation.Target{Workspace: core.NewID(), Account: core.NewID(), AppName: "Office", Domains: []string{"127.0.0.1"}, SignInURL: "http://" + address, AllowPrivate: true}
		},
		Account: func(*testing.T) rotation.Credential {
			app.lock.Lock()
			defer app.lock.Unlock()
			number++
			made := rotation.Credential{Username: fmt.Sprintf("shared a %d", number), Password: seal.GeneratePassword(seal.PasswordPolicy{})}
			app.passwords[made.Username] = made.Password.Reveal()
			return made
		},
		Disable: func(_ *testing.T, account rotation.Credential) {
			app.lock.Lock()
			defer app.lock.Unlock()
			app.disabled[account.Username] = true
		},
		Set: func(_ *testing.T, account rotation.Credential) {
			app.lock.Lock()
			defer app.lock.Unlock()
			app.passwords[account.Username] = account.Password.Reveal()
		},
		Lie: func(t *testing.T, done bool) {
			say := func(what string) {
				app.lock.Lock()
				defer app.lock.Unlock()
				app.lies = what
			}
			say(map[bool]string{false: "yes", true: "no"}[done])
			t.Cleanup(func() { say("") })
		},
		Disabled:      rotation.Disabled,
		Administrator: func(*testing.T) rotation.Credential { return boss },
		Session: func(_ *testing.T, account rotation.Credential) func() bool {
			app.lock.Lock()
			defer app.lock.Unlock()
			app.sessions[account.Username] = true
			return func() bool {
				app.lock.Lock()
				defer app.lock.Unlock()
				return app.sessions[account.Username]
			}
		},
	}.Run(t)
}

// rebel is this test as a program that behaves in one way.
func rebel(t *testing.T, behaviour string, environment ...string) plugin.Options {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return at(t, path).With(append(environment, "REBEL="+behaviour)...)
}

func TestMain(m *testing.M) {
	switch behaviour := os.Getenv("REBEL"); behaviour {
	case "":
		os.Exit(m.Run())
	case "gone":
		os.Exit(3)
	case "garbage":
		fmt.Println("\x00|" + first + "|||||\xff")
		select {}
	case "false handshake":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc")
		select {}
	case "starts once":
		if os.Mkdir(os.Getenv("STARTED"), 0o700) != nil {
			select {}
		}
		plugin.Serve(rebellion("dies"))
	case "verifies":
		plugin.Serve(struct{ rotation.Connector }{rebellion(behaviour)})
	default:
		plugin.Serve(rebellion(behaviour))
	}
}

// rebellion is a connector that behaves in one way.
type rebellion string

func (r rebellion) Verify(ctx context.Context, _ rotation.Target, credential rotation.Credential) rotation.Report {
	switch r {
	case "dies":
		os.Exit(4)
	case "hangs":
		select {}
	case "verify applied":
		return rotation.Report{Outcome: rotation.Applied, Released: true}
	case "code":
		code, err := credential.Code(ctx)
		return rotation.Report{Outcome: rotation.Accepted, Detail: "it took " + code.Reveal() + fmt.Sprint(err)}
	case "environment":
		return rotation.Report{Outcome: rotation.Accepted, Detail: strings.Join(os.Environ(), " ")}
	case "blabs":
		fmt.Fprintln(os.Stderr, credential.Password.Reveal())
		fmt.Println(credential.Password.Reveal())
		fmt.Fprintf(os.Stderr, "panic: %s\n{\"@level\":\"error\",\"@message\":%q}\n", credential.Password.Reveal(), credential.Password.Reveal())
		return rotation.Report{
			Outcome: rotation.Accepted, Detail: "hello " + credential.Password.Reveal() + "\x00\n" + strings.Repeat("x", 9000), Stage: "a stage of its own",
			Agent: credential.Password.Reveal(), Hosts: append(make([]string, 1000), credential.Password.Reveal()), Model: []byte(`"` + credential.Password.Reveal() + `"`),
			Screenshot: []byte(credential.Password.Reveal()), Rules: credential.Password.Reveal(),
		}
	case "floods, hangs with a code":
		if credential.Code != nil {
			_, _ = credential.Code(ctx)
			select {}
		}
		return rotation.Report{Outcome: rotation.Accepted, Screenshot: make([]byte, 64<<20)}
	case "floods":
		return rotation.Report{Outcome: rotation.Accepted, Screenshot: make([]byte, 64<<20)}
	}
	return rotation.Report{Outcome: rotation.Accepted, Detail: "Hello."}
}

func (r rebellion) Change(ctx context.Context, _ rotation.Target, _ rotation.Credential, _ seal.Secret, release func(ctx context.Context) error) rotation.Report {
	switch r {
	case "dies":
		os.Exit(4)
	case "hangs":
		select {}
	case "applied unasked":
		return rotation.Report{Outcome: rotation.Applied}
	case "released unasked":
		return rotation.Report{Outcome: rotation.Refused, Released: true}
	case "accepted":
		return rotation.Report{Outcome: rotation.Accepted}
	case "words":
		return rotation.Report{Outcome: "everything is fine"}
	}
	err := release(ctx)
	switch r {
	case "dies released":
		os.Exit(4)
	case "hangs released":
		select {}
	case "twice":
		err = errors.Join(err, release(ctx))
	case "denies":
		return rotation.Report{Outcome: rotation.NotSent}
	case "ignores the answer":
		return rotation.Report{Outcome: rotation.Applied, Released: true}
	}
	if err != nil {
		return rotation.Report{Outcome: rotation.NotSent, Detail: "It was not sent."}
	}
	return rotation.Report{Outcome: rotation.Applied, Released: true, Detail: "Done.", Rules: "minlength: 9", Reused: true}
}

var somewhere = rotation.Target{Workspace: core.NewID(), Account: core.NewID(), AppName: "Office", Domains: []string{"127.0.0.1"}, SignInURL: "http://127.0.0.1:1"}

func given(password string) rotation.Credential {
	return rotation.Credential{Username: "quay", Password: seal.NewSecret(password)}
}

// patience is how long a program is waited for: long enough for a busy machine, but where it hangs the end is what is waited for.
func patience(behaviour string) time.Duration {
	if strings.HasPrefix(behaviour, "hangs") {
		return 5 * time.Second
	}
	return time.Minute
}

// Whatever a program does with a change ends in an outcome that loses no password: one that may have left is told as
// such, and one that certainly did not as not sent.
func TestAProgramThatMisbehavesInAChange(t *testing.T) {
	for behaviour, want := range map[string]struct {
		outcome  rotation.Outcome
		released bool
		asked    int
		held     bool // the gateway does not let it leave
	}{
		"obeys":              {rotation.Applied, true, 1, false},
		"obeys when held":    {rotation.NotSent, false, 1, true},
		"dies":               {rotation.NotSent, false, 0, false},
		"hangs":              {rotation.TimedOut, false, 0, false},
		"dies released":      {rotation.Unknown, true, 1, false},
		"hangs released":     {rotation.Unknown, true, 1, false},
		"applied unasked":    {rotation.Unknown, true, 0, false},
		"released unasked":   {rotation.Unknown, true, 0, false},
		"ignores the answer": {rotation.Unknown, true, 1, true},
		"twice":              {rotation.Unknown, true, 1, false},
		"denies":             {rotation.Unknown, true, 1, false},
		"accepted":           {rotation.Unknown, false, 0, false},
		"words":              {rotation.Unknown, false, 0, false},
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			connector := open(t, rebel(t, behaviour))
			ctx, cancel := context.WithTimeout(t.Context(), patience(behaviour))
			defer cancel()
			asked := 0
			report := connector.Change(ctx, somewhere, given(first), seal.NewSecret(second), func(context.Context) error {
				asked++
				if want.held {
					return errors.New("the lease is lost")
				}
				return nil
			})
			if report.Outcome != want.outcome || report.Released != want.released || asked != want.asked {
				t.Errorf("%s, released %t, asked %d times: %s", report.Outcome, report.Released, asked, report.Detail)
			}
			if report.Released && report.Stage != rotation.StageSubmit || report.Detail == "" || report.Finished.Before(report.Started) {
				t.Errorf("%+v", report)
			}
			if behaviour == "obeys" && (report.Rules != "minlength: 9" || !report.Reused) {
				t.Errorf("%+v", report)
			}
			if behaviour == "dies" || behaviour == "hangs" {
				return // signing in too
			}
			if next := connector.Verify(t.Context(), somewhere, given(first)); next.Outcome != rotation.Accepted {
				t.Errorf("afterwards: %s %s", next.Outcome, next.Detail)
			}
		})
	}
}

func TestAProgramThatMisbehavesInASignIn(t *testing.T) {
	for behaviour, want := range map[string]rotation.Outcome{
		"dies": rotation.Unknown, "hangs": rotation.TimedOut, "verify applied": rotation.Unknown, "floods": rotation.Unknown, "obeys": rotation.Accepted,
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			connector := open(t, rebel(t, behaviour))
			ctx, cancel := context.WithTimeout(t.Context(), patience(behaviour))
			defer cancel()
			if report := connector.Verify(ctx, somewhere, given(first)); report.Outcome != want || report.Released {
				t.Errorf("%s, released %t: %s", report.Outcome, report.Released, report.Detail)
			}
		})
	}
}

// A program that is killed is replaced at the next attempt, and one under way ends at once.
func TestAKilledProgramIsReplaced(t *testing.T) {
	changer := open(t, rebel(t, "obeys"))
	before := changer.Process()
	report := changer.Change(t.Context(), somewhere, given(first), seal.NewSecret(second), func(context.Context) error {
		id, err := strconv.Atoi(before)
		if err != nil {
			return err
		}
		return syscall.Kill(id, syscall.SIGKILL)
	})
	if report.Outcome != rotation.Unknown || !report.Released {
		t.Errorf("%s, released %t: %s", report.Outcome, report.Released, report.Detail)
	}
	if report := changer.Verify(t.Context(), somewhere, given(first)); report.Outcome != rotation.Accepted || changer.Process() == before {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
}

// No secret the program was given is in a report or in the log, whatever it prints and says, and it gets none of the
// gateway's environment.
func TestWhatAProgramSaysShowsNoSecret(t *testing.T) {
	t.Setenv("POSTERN_KEY", "canary-key")
	var log bytes.Buffer
	options := rebel(t, "blabs")
	options.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	connector := open(t, options)
	report := connector.Verify(t.Context(), somewhere, given(first))
	text, err := json.Marshal(report)
	if err != nil || report.Outcome != rotation.Accepted || !strings.Contains(report.Detail, "hello [redacted]") || strings.ContainsAny(report.Detail, "\x00\n") || len(report.Detail) > 600 {
		t.Errorf("%s %v", text, err)
	}
	if strings.Contains(string(text)+log.String()+string(report.Screenshot), first) || len(report.Hosts) != 50 || report.Stage != rotation.StageNavigate {
		t.Errorf("%s\n%s", text, log.String())
	}
	if log.Len() == 0 {
		t.Error("nothing was logged at all")
	}
	coded := given(first)
	coded.Code = func(context.Context) (seal.Secret, error) { return seal.NewSecret("Canary-code"), nil }
	if report := open(t, rebel(t, "code")).Verify(t.Context(), somewhere, coded); report.Outcome != rotation.Accepted || !strings.HasPrefix(report.Detail, "it took [redacted]") {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	if report := open(t, rebel(t, "environment")).Verify(t.Context(), somewhere, given(first)); strings.Contains(report.Detail, "canary") || !strings.Contains(report.Detail, "PATH=") {
		t.Error(report.Detail)
	}
}

func TestAProgramThatIsNoConnector(t *testing.T) {
	tampered := rebel(t, "obeys")
	tampered.SHA256 = make([]byte, 32)
	if _, err := plugin.Open(t.Context(), tampered); core.KindOf(err) != core.KindDenied || core.AsError(err).Code != "checksum" {
		t.Errorf("tampered: %v", err)
	}
	for _, behaviour := range []string{"gone", "garbage", "false handshake"} {
		if _, err := plugin.Open(t.Context(), rebel(t, behaviour)); core.KindOf(err) != core.KindUnavailable || strings.Contains(err.Error(), first) {
			t.Errorf("%s: %v", behaviour, err)
		}
	}
	missing := rebel(t, "obeys")
	missing.Path = "/nowhere/office"
	if _, err := plugin.Open(t.Context(), missing); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("missing: %v", err)
	}
	missing.Path = "office"
	if _, err := plugin.Open(t.Context(), missing); core.KindOf(err) != core.KindInvalid {
		t.Errorf("relative: %v", err)
	}
	missing.SHA256 = nil
	if _, err := plugin.Open(t.Context(), missing); core.KindOf(err) != core.KindInvalid {
		t.Errorf("without a checksum: %v", err)
	}
}

// What a program cannot do its connector cannot do either.
func TestCapabilitiesAreTheProgramsOwn(t *testing.T) {
	if can := rotation.Capabilities(open(t, rebel(t, "verifies")), nil); !slices.Equal(can, []rotation.Capability{rotation.CanVerify}) {
		t.Errorf("it can %v", can)
	}
	obeys := open(t, rebel(t, "obeys"))
	if can := rotation.Capabilities(obeys, []byte(`{}`)); !slices.Equal(can, []rotation.Capability{rotation.CanVerify, rotation.CanChange, rotation.CanEnrol, rotation.CanRecover, rotation.CanIssue}) {
		t.Errorf("it can %v", can)
	}
	if report := obeys.Revoke(t.Context(), somewhere, given(first), "shared"); report.Outcome != rotation.Unknown {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
}

// Who waits for a program to start again gives up when their time is over.
func TestAProgramThatDoesNotStartAgain(t *testing.T) {
	connector := open(t, rebel(t, "starts once", "STARTED="+filepath.Join(t.TempDir(), "started")))
	if report := connector.Verify(t.Context(), somewhere, given(first)); report.Outcome != rotation.Unknown {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if report := connector.Verify(ctx, somewhere, given(first)); report.Outcome != rotation.TimedOut {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
}

// A program that broke off one attempt while another ran ends too when the connector is closed.
func TestCloseEndsWhatWasReplaced(t *testing.T) {
	connector := open(t, rebel(t, "floods, hangs with a code"))
	hangs, ended := make(chan struct{}), make(chan rotation.Report, 1)
	go func() {
		slow := given(first)
		slow.Code = func(context.Context) (seal.Secret, error) {
			close(hangs)
			return seal.NewSecret("123456"), nil
		}
		ended <- connector.Verify(context.WithoutCancel(t.Context()), somewhere, slow)
	}()
	<-hangs
	if report := connector.Verify(t.Context(), somewhere, given(first)); report.Outcome != rotation.Unknown {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	if err := connector.Close(); err != nil {
		t.Error(err)
	}
	select {
	case report := <-ended:
		if report.Outcome != rotation.Unknown {
			t.Errorf("%s: %s", report.Outcome, report.Detail)
		}
	case <-time.After(30 * time.Second):
		t.Error("the program goes on")
	}
}
