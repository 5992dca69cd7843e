package browser

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/conformance/partstest"
	"postern/core/coretest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/sampleapp"
)

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within half a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// using counts the processes that name a folder.
func using(t *testing.T, folder string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("skipped: /proc: this machine has none")
	}
	count := 0
	for _, entry := range entries {
		if line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); err == nil && bytes.Contains(line, []byte(folder)) {
			count++
		}
	}
	return count
}

func running(b *Browser) *process {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.process
}

func TestAKilledBrowserIsReplaced(t *testing.T) {
	partstest.Long(t, "browser")
	b, err := New(Options{AllowPrivate: true})
	partstest.Need(t, "browser", err)
	defer b.Close()
	app, target := harbour(t)
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
	before := running(b)
	app.Behave(sampleapp.Behaviour{Hang: true})
	done := make(chan rotation.Report)
	go func() {
		done <- b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), new(counter).release)
	}()
	until(t, "the second job runs", func() bool { b.mutex.Lock(); defer b.mutex.Unlock(); return before.active == 1 })
	if err := chromedp.FromContext(before.ctx).Browser.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	report := <-done
	expect(t, report, rotation.NotSent, "")
	app.Behave(sampleapp.Behaviour{})
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
	if running(b) == before {
		t.Error("the killed browser is still used")
	}
	until(t, "the killed browser's profile is removed", func() bool { _, err := os.Stat(before.profile); return os.IsNotExist(err) })
}

// A browser that hangs without dying is neither waited for without end nor taken for an app that does not answer.
func TestABrowserThatHangsIsReplaced(t *testing.T) {
	partstest.Long(t, "browser")
	b, err := New(Options{AllowPrivate: true, Timeout: 3 * time.Second})
	partstest.Need(t, "browser", err)
	defer b.Close()
	app, target := harbour(t)
	hang := func() *process {
		before := running(b)
		if err := chromedp.FromContext(before.ctx).Browser.Process().Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		return before
	}
	replaced := func(before *process) {
		t.Helper()
		expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
		until(t, "the browser that hung is gone", func() bool { return using(t, before.profile) == 0 })
	}
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")

	// While jobs run on it.
	app.Behave(sampleapp.Behaviour{Hang: true})
	done := make(chan rotation.Report)
	go func() {
		done <- b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), new(counter).release)
	}()
	go func() { done <- b.Verify(short(t), target, credential("quay", first)) }()
	until(t, "both jobs have a page", func() bool { b.mutex.Lock(); defer b.mutex.Unlock(); return b.process.active == 2 })
	before := hang()
	one, other := <-done, <-done
	if outcomes := string(one.Outcome + " " + other.Outcome); outcomes != "not_sent unknown" && outcomes != "unknown not_sent" {
		t.Errorf("%s (%s, %s)", outcomes, one.Detail, other.Detail)
	}
	app.Behave(sampleapp.Behaviour{})
	replaced(before)

	// While it has nothing to do.
	before = hang()
	expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), new(counter).release), rotation.NotSent, "")
	replaced(before)
	b.spares.drop(func(*spare) bool { return true })
	before = hang()
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Unknown, "")
	replaced(before)
}

func TestABrowserDoesNotBecomeOld(t *testing.T) {
	b, err := New(Options{AllowPrivate: true, ProcessAge: 1})
	partstest.Need(t, "browser", err)
	defer b.Close()
	coretest.Must(t, b.Prepare(t.Context()))
	before := running(b)
	coretest.Must(t, b.Prepare(t.Context()))
	if running(b) == before {
		t.Error("it takes jobs for ever")
	}
}

func TestAPreparedBrowserServesTheFirstJob(t *testing.T) {
	b, err := New(Options{AllowPrivate: true})
	partstest.Need(t, "browser", err)
	defer b.Close()
	if running(b) != nil {
		t.Fatal("a browser runs that nobody asked for")
	}
	if err := b.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := running(b)
	_, target := harbour(t)
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
	if before == nil || running(b) != before {
		t.Error("the first job started a browser of its own")
	}
}

func TestABrowserIsReplacedAfterItsShare(t *testing.T) {
	partstest.Long(t, "browser")
	b, err := New(Options{AllowPrivate: true, JobsPerProcess: 2})
	partstest.Need(t, "browser", err)
	_, target := harbour(t)
	var profiles []string
	for range 3 {
		expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "")
		profiles = append(profiles, running(b).profile)
	}
	if profiles[0] != profiles[1] || profiles[1] == profiles[2] {
		t.Errorf("profiles: %v", profiles)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, profile := range profiles {
		if _, err := os.Stat(profile); !os.IsNotExist(err) || using(t, profile) != 0 {
			t.Errorf("%s is left", profile)
		}
	}
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Unreachable, "")
}

func TestSignInsShareNothing(t *testing.T) {
	b := connector(t)
	var mutex sync.Mutex
	strangers := 0 // visitors to the sign-in page without a cookie
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		http.SetCookie(w, &http.Cookie{Name: "visitor", Value: "x", MaxAge: 3600})
		if r.Method == http.MethodPost {
			fmt.Fprint(w, `<a href="/logout">Log out</a>`)
			return
		}
		if _, err := r.Cookie("visitor"); err != nil {
			mutex.Lock()
			strangers++
			mutex.Unlock()
		}
		fmt.Fprint(w, `<form method="post"><input name="username" autocomplete="username"><input type="password" name="p"><button>Sign in</button></form>`)
	}))
	defer server.Close()
	target := rotation.Target{SignInURL: server.URL + "/"}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, "") })
	}
	all.Wait()
	if strangers != 4 {
		t.Errorf("%d of 4 sign-ins began without a cookie", strangers)
	}
}

// TestTheBrowserDiesWithUs runs this test binary again, kills it without warning, and looks for what
// is left.
func TestTheBrowserDiesWithUs(t *testing.T) {
	partstest.Long(t, "browser")
	if address := os.Getenv("POSTERN_BROWSER_CHILD"); address != "" {
		b, err := New(Options{AllowPrivate: true})
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		b.Verify(t.Context(), rotation.Target{SignInURL: address + "/sign-in"}, credential("quay", first))
		fmt.Println("profile", running(b).profile)
		select {}
	}
	_, err := Find("")
	partstest.Need(t, "browser", err)
	_, target := harbour(t)
	t.Setenv("TMPDIR", t.TempDir()) // another process that starts a browser would sweep the profile first
	child := exec.Command(os.Args[0], "-test.run=TestTheBrowserDiesWithUs$")
	child.Env = append(os.Environ(), "POSTERN_BROWSER_CHILD="+strings.TrimSuffix(target.SignInURL, "/sign-in"))
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var profile string
	if _, err := fmt.Fscanf(output, "profile %s\n", &profile); err != nil {
		rest, _ := io.ReadAll(output)
		t.Fatalf("%v: %s", err, rest)
	}
	if using(t, profile) == 0 {
		t.Fatal("no browser was found")
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	until(t, "every process of the browser is gone", func() bool { return using(t, profile) == 0 })
	if _, err := os.Stat(profile); err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := os.Stat(profile); !os.IsNotExist(err) {
		t.Error("the profile of the killed process was not swept")
	}
}

func TestSweepLeavesTheLivingAlone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	mine, err := newProfile()
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newProfile()
	if err != nil {
		t.Fatal(err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "owner"), []byte(strconv.Itoa(gone.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	sweepProfiles()
	if _, err := os.Stat(mine); err != nil {
		t.Error("swept a living process's profile")
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Error("a dead process's profile is left")
	}
}
