package apps

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/conformance/partstest"
)

func TestSites(t *testing.T) {
	partstest.Long(t, "web application")
	for name, start := range map[string]func(context.Context, string, Options) (*Site, error){"DokuWiki": StartDokuWiki, "WordPress": StartWordPress, "MediaWiki": StartMediaWiki, "Redmine": StartRedmine, "Fossil": StartFossil, "Django": StartDjango, "phpMyAdmin": StartPHPMyAdmin, "PostfixAdmin": StartPostfixAdmin} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			begun := time.Now()
			site, err := start(t.Context(), folder, Options{})
			partstest.Need(t, name, err)
			t.Logf("first start: %s", time.Since(begun).Round(time.Millisecond))
			defer func() {
				if err := site.Stop(); err != nil {
					t.Error(err)
				}
			}()
			expect(t, site, site.Username, site.Password, true)
			expect(t, site, site.Username, "wrong", false)
			expect(t, site, "nobody", site.Password, false)
			if err := site.SetPassword(t.Context(), site.Username, "A-second-password-7"); err != nil {
				t.Fatal(err)
			}
			if err := site.SetPassword(t.Context(), "second", "Another-password-8"); err != nil {
				t.Fatal(err)
			}
			if err := site.Stop(); err != nil {
				t.Fatal(err)
			}

			// A second start, on another port, finds everything again.
			begun = time.Now()
			again, err := start(t.Context(), folder, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("second start: %s", time.Since(begun).Round(time.Millisecond))
			defer func() {
				if err := again.Stop(); err != nil {
					t.Error(err)
				}
			}()
			expect(t, again, site.Username, site.Password, false)
			expect(t, again, site.Username, "A-second-password-7", true)
			expect(t, again, "second", "Another-password-8", true)
		})
	}
}

func expect(t *testing.T, site *Site, username, password string, want bool) {
	t.Helper()
	if got, err := site.Accepts(t.Context(), username, password); err != nil || got != want {
		t.Errorf("%s accepts %s: %v, %v", site.Name, username, got, err)
	}
}

// TestSitesEndWithUs runs this test binary again, kills it, and looks for what it left behind.
func TestSitesEndWithUs(t *testing.T) {
	partstest.Long(t, "web application")
	if folder := os.Getenv("POSTERN_APPS_CHILD"); folder != "" {
		site, err := StartWordPress(context.Background(), folder, Options{})
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println("ready", site.URL)
		select {}
	}
	_, err := findMariaDB()
	partstest.Need(t, "MariaDB", err)
	_, err = need(part{wordpressProgram, "wordpress"})
	partstest.Need(t, "WordPress", err)
	folder := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=TestSitesEndWithUs$")
	child.Env = append(os.Environ(), "POSTERN_APPS_CHILD="+folder)
	told, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	for lines := bufio.NewScanner(told); ; {
		if !lines.Scan() {
			t.Fatal("the child ended before its site was ready")
		}
		if strings.Contains(lines.Text(), "ready") {
			break
		}
	}
	if left(t, folder) == 0 {
		t.Fatal("no process of the site was found")
	}
	if err := child.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return left(t, folder) == 0 })
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within a minute")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// left counts the processes whose command line names the folder.
func left(t *testing.T, folder string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("skipped: /proc: this machine has none")
	}
	count := 0
	for _, entry := range entries {
		line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if err == nil && strings.Contains(string(line), folder) {
			count++
		}
	}
	return count
}

// What an application's administrator does to an account, it does to the next sign-in.
func TestSitesDisableAndExpire(t *testing.T) {
	partstest.Long(t, "web application")
	for name, start := range map[string]func(context.Context, string, Options) (*Site, error){"MediaWiki": StartMediaWiki, "Redmine": StartRedmine} {
		t.Run(name, func(t *testing.T) {
			site, err := start(t.Context(), t.TempDir(), Options{})
			partstest.Need(t, name, err)
			defer func() {
				if err := site.Stop(); err != nil {
					t.Error(err)
				}
			}()
			for _, step := range []struct {
				do   func() error
				want bool
			}{
				{func() error { return site.Enable(t.Context(), site.Username, false) }, false},
				{func() error { return site.Enable(t.Context(), site.Username, true) }, true},
				{func() error { return site.Expire(t.Context(), site.Username) }, false},
				{func() error { return site.SetPassword(t.Context(), site.Username, site.Password) }, true},
			} {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				expect(t, site, site.Username, site.Password, step.want)
			}
		})
	}
}
