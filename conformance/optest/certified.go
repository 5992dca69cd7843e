package optest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core"
	"postern/deploy/local/process"
)

//go:embed provider.mjs
var providerScript []byte

// Certified is npm's oidc-provider: PAR, RFC 9207, back-channel logout. Every name is an account there,
// with any password; sub and preferred_username are that name, and a name with an @ is its e-mail.
type Certified struct {
	Issuer string
}

// CertifiedOptions say what it knows. Its clients cannot be changed later.
type CertifiedOptions struct {
	Clients    []Client
	RequirePAR bool // of every client
}

var listening = regexp.MustCompile(`(?m)^listening (\d+)$`)

// StartCertified starts one for this test, in about a second. It ends with the test.
func StartCertified(t testing.TB, options CertifiedOptions) *Certified {
	t.Helper()
	partstest.Long(t, "oidc-provider")
	folder := partstest.Suites(t, "node_modules/oidc-provider")
	node := nodeProgram(t, folder)
	script := filepath.Join(t.TempDir(), "provider.mjs")
	if err := os.WriteFile(script, providerScript, 0o600); err != nil {
		t.Fatal(err)
	}
	clients := []map[string]any{}
	for _, client := range options.Clients {
		clients = append(clients, client.metadata())
	}
	settings, err := json.Marshal(map[string]any{"clients": clients, "requirePAR": options.RequirePAR})
	if err != nil {
		t.Fatal(err)
	}
	running, err := process.Start(process.Program{
		Path: node, Arguments: []string{script, string(settings), filepath.Join(folder, "node_modules/oidc-provider")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.End(syscall.SIGKILL, 5*time.Second)
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s", running.Output())
		}
	})
	deadline := time.Now().Add(time.Minute)
	for {
		if found := listening.FindStringSubmatch(running.Output()); found != nil {
			return &Certified{Issuer: "http://127.0.0.1:" + found[1]}
		}
		select {
		case <-running.Exited():
			t.Fatalf("oidc-provider ended:\n%s", running.Output())
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("oidc-provider does not come up:\n%s", running.Output())
		}
	}
}

// nodeProgram prefers the one that was installed for it to whatever the machine has.
func nodeProgram(t testing.TB, folder string) string {
	t.Helper()
	if found, err := filepath.Glob(filepath.Join(folder, "node_modules/node-*/bin/node")); err == nil && len(found) > 0 {
		return found[0]
	}
	node, err := exec.LookPath("node")
	if err != nil {
		partstest.Need(t, "Node.js", core.NotFound("node"))
	}
	return node
}

func (c Client) metadata() map[string]any {
	out := map[string]any{
		"client_id": c.ID, "token_endpoint_auth_method": c.method(), "redirect_uris": c.RedirectURIs,
		"grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
	}
	optional := map[string]string{
		"jwks_uri": c.JWKSURI, "backchannel_logout_uri": c.BackChannelLogoutURI, "id_token_signed_response_alg": c.IDTokenAlgorithm,
	}
	if c.JWKSURI == "" {
		optional["client_secret"] = c.Secret
	}
	for name, value := range optional {
		if value != "" {
			out[name] = value
		}
	}
	if c.BackChannelLogoutURI != "" {
		out["backchannel_logout_session_required"] = true
	}
	if len(c.SignedOutURIs) > 0 {
		out["post_logout_redirect_uris"] = c.SignedOutURIs
	}
	if c.RequirePAR {
		out["require_pushed_authorization_requests"] = true
	}
	return out
}

// SignIn goes from the address that a relying party sent the browser to, through signing in and
// consenting, to the callback, and gives the callback's address without opening it.
func (p *Certified) SignIn(b *Browser, authorize, name string) string {
	b.t.Helper()
	at := b.follow(b.Get(authorize), p.Issuer)
	for range 4 {
		if at.Location != "" {
			return at.Location
		}
		fields := url.Values{}
		if strings.Contains(at.Body, `name="login"`) {
			fields = url.Values{"login": {name}, "password": {"any"}}
		}
		at = b.follow(b.submit(at, fields), p.Issuer)
	}
	b.t.Fatalf("signing in at oidc-provider does not end: %d\n%.2000s", at.Status, at.Body)
	return ""
}

var cancelLink = regexp.MustCompile(`href="([^"]*/abort)"`)

// Refuse opens the address and cancels there: the callback it gives says access_denied.
func (p *Certified) Refuse(b *Browser, authorize string) string {
	b.t.Helper()
	at := b.follow(b.Get(authorize), p.Issuer)
	link := cancelLink.FindStringSubmatch(at.Body)
	if link == nil {
		b.t.Fatalf("oidc-provider offers nothing to cancel: %d\n%.2000s", at.Status, at.Body)
	}
	address, err := url.JoinPath(p.Issuer, strings.TrimPrefix(link[1], p.Issuer))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(b.Get(address), p.Issuer).Location
}

// LogOut makes it send a back-channel logout token for every sign-in of an account, and waits until
// the receivers have accepted.
func (p *Certified) LogOut(t testing.TB, account string) {
	t.Helper()
	if err := p.logOut(t, account); err != nil {
		t.Fatal(err)
	}
}

func (p *Certified) logOut(t testing.TB, account string) error {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+"/test/logout?account="+url.QueryEscape(account), nil)
	if err != nil {
		return err
	}
	response, err := direct.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("a receiver did not accept the logout: %s", text)
	}
	return nil
}
