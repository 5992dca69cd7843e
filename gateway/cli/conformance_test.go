package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/conformance/posterntest"
	"postern/core/directory"
	"postern/gateway/cli"
)

// TestMain lets this program be the command line, for tests that have to send it signals.
func TestMain(m *testing.M) {
	if os.Getenv("POSTERN_TEST_COMMAND") == "1" {
		os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// summary is what a build server wants to know of a report.
type summary struct {
	Results []struct {
		Name    string `json:"name"`
		Outcome string `json:"outcome"`
	} `json:"results"`
	Interrupted bool `json:"interrupted"`
}

func TestConformanceSCIM(t *testing.T) {
	server := posterntest.Start(t)
	token := server.Connect(t, directory.Okta, directory.Provisioning{})
	t.Setenv("POSTERN_SCIM_URL", server.URL)
	t.Setenv("POSTERN_SCIM_TOKEN", file(t, token+"\n"))
	few := func(more ...string) []string {
		return append([]string{"conformance", "scim", "--only", "rfc/create/*,okta/user/create*"}, more...)
	}
	target := filepath.Join(t.TempDir(), "report")
	for format, holds := range map[string]func(text []byte) bool{
		"text": func(text []byte) bool { return bytes.Contains(text, []byte("0 failed")) },
		"html": func(text []byte) bool { return bytes.HasPrefix(text, []byte("<!doctype html>")) },
		"json": func(text []byte) bool {
			var read summary
			return json.Unmarshal(text, &read) == nil && len(read.Results) > 5 && read.Results[0].Outcome == "passed"
		},
		"junit": func(text []byte) bool {
			var read struct{ XMLName xml.Name }
			return xml.Unmarshal(text, &read) == nil && read.XMLName.Local == "testsuites"
		},
	} {
		code, out, told := run(few("--format", format)...)
		if code != 0 || !holds([]byte(out)) || strings.Contains(out+told, token) {
			t.Errorf("--format %s: %d\n%.2000s\n%s", format, code, out, told)
		}
		code, out, told = run(few("--format", format, "--output", target)...)
		written, err := os.ReadFile(target)
		if code != 0 || out != "" || err != nil || !holds(written) || !strings.Contains(told, "passed") {
			t.Errorf("--format %s --output: %d %v\n%s\n%s", format, code, err, out, told)
		}
	}
	if code, out, _ := run("conformance", "scim", "--list", "--profile", "entra"); code != 0 || strings.Count(out, "\n") < 20 || strings.Contains(out, "okta/") {
		t.Errorf("--list: %d %s", code, out)
	}
	client, secret := server.Client(t, token)
	optional := []string{
		"conformance", "scim", "--only", "rfc/tenancy/*,rfc/access/*,entra/connection/token-life", "--format", "json",
		"--other-token", file(t, server.Connect(t, directory.Okta, directory.Provisioning{})), "--token-url", server.TokenURL, "--client-id", client,
		"--client-secret", file(t, secret),
	}
	code, out, told := run(optional...)
	var read summary
	if err := json.Unmarshal([]byte(out), &read); code != 0 || err != nil || len(read.Results) < 10 || strings.Contains(out, `"outcome": "skipped"`) {
		t.Errorf("%v: %d %v %s\n%s", optional, code, err, out, told)
	}
	for says, line := range map[string][]string{
		"give all three":       few("--client-id", client),
		"no such file or":      few("--client-secret", "file:/nowhere"),
		"cannot be the same":   few("--other-token", token),
		"does not conform":     few("--token", "pst_scim_nobody"),
		"base of a SCIM":       few("--url", "nowhere"),
		"is empty":             few("--token", "env:POSTERN_TEST_NOTHING"),
		"no such file":         few("--token", "file:/nowhere"),
		"--format must be one": few("--format", "pdf"),
		"output":               few("--output", filepath.Join(target, "under")),
		"no check":             {"conformance", "scim", "--only", "rfc/nothing"},
	} {
		if code, _, told := run(line...); code != 2 || !strings.Contains(told, says) {
			t.Errorf("%v: %d %s", line, code, told)
		}
	}
}

// Ctrl-C while checks are under way: what was done is reported, and what was made deleted.
func TestConformanceSCIMIsStopped(t *testing.T) {
	server := posterntest.Start(t)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var asked, made, deleted atomic.Int64
	slow := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if asked.Add(1) > 60 {
				time.Sleep(50 * time.Millisecond)
			}
			r.Out.URL.Scheme, r.Out.URL.Host = base.Scheme, base.Host
		},
		ModifyResponse: func(answer *http.Response) error {
			switch {
			case answer.Request.Method == http.MethodPost && answer.StatusCode == http.StatusCreated:
				made.Add(1)
			case answer.Request.Method == http.MethodDelete && answer.StatusCode == http.StatusNoContent:
				deleted.Add(1)
			}
			return nil
		},
	})
	defer slow.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(ctx, program, "conformance", "scim", "--format", "json", "--url", slow.URL+base.Path, "--concurrency", "2")
	command.Env = append(os.Environ(), "POSTERN_TEST_COMMAND=1", "POSTERN_SCIM_TOKEN="+server.Connect(t, directory.Generic, directory.Provisioning{}))
	var out, told bytes.Buffer
	command.Stdout, command.Stderr = &out, &told
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for asked.Load() < 100 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	var read summary
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatalf("%v: %.500s\n%s", err, out.String(), told.String())
	}
	if code := command.ProcessState.ExitCode(); code != 2 || len(read.Results) == 0 || !read.Interrupted || !strings.Contains(told.String(), "stopped before every check was run") {
		t.Errorf("%d, %d results, interrupted %t: %s", code, len(read.Results), read.Interrupted, told.String())
	}
	if made.Load() == 0 || deleted.Load() < made.Load()-2 { // a check may delete what it made by itself; an answer may have been lost
		t.Errorf("%d made, %d deleted", made.Load(), deleted.Load())
	}
}

func TestConformanceIDP(t *testing.T) {
	server := posterntest.Start(t)
	play := func(kind directory.ConnectionKind, more ...string) (int, string, string) {
		return run(append([]string{
			"conformance", "idp", "--url", server.URL, "--token", server.Connect(t, kind, directory.Provisioning{}), "--users", "8", "--groups", "2", "--cycles", "1", "--seed", "7",
		}, more...)...)
	}
	if code, out, told := play(directory.Okta); code != 0 || out == "" || !strings.Contains(told, "seed 7") {
		t.Errorf("okta: %d\n%s\n%s", code, out, told)
	}
	code, out, told := play(directory.Entra, "--shape", "entra", "--json")
	if code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("entra: %d\n%s\n%s", code, out, told)
	}
	for says, more := range map[string][]string{
		"nothing to play": {"--users", "0"}, "--api-token": {"--api-url", "http://127.0.0.1:1"}, "--shape must be one": {"--shape", "ping"},
	} {
		if code, _, told := play(directory.Okta, more...); code != 2 || !strings.Contains(told, says) {
			t.Errorf("%v: %d %s", more, code, told)
		}
	}
	if code, out, told := run("conformance", "idp", "--url", server.URL, "--token", "pst_scim_nobody", "--users", "2", "--groups", "1", "--cycles", "0"); code == 0 {
		t.Errorf("with a wrong token: %d\n%s\n%s", code, out, told)
	}
}
