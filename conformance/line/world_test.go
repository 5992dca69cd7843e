package line

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/deploy/local"
	"postern/deploy/local/broker"
	"postern/deploy/local/demo"
	"postern/deploy/local/postgresql"
	"postern/deploy/local/process"
	"postern/deploy/local/receiver"
	"postern/deploy/local/sampleapp"
	"postern/gateway/api"
	"postern/oidc/devidp"
	"postern/oidc/devidp/push"
)

// binary builds postern once per run.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "postern-line-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "postern")
	output, err := exec.Command("go", "build", "-o", path, "postern/gateway/cmd/postern").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

// world is everything around one postern process.
type world struct {
	t testing.TB

	Folder   *local.Folder
	Server   *postgresql.Server
	Database string
	DB       *postgres.DB
	Broker   *broker.Broker
	Harbour  *sampleapp.App
	AppURL   string
	People   *devidp.Server
	Receiver *receiver.Receiver
	Stack    local.Descriptor
	API      demo.API

	hecToken  seal.Secret
	arguments []string
	process   *exec.Cmd
	exited    chan struct{}
	log       *output
}

type worldOptions struct {
	// RealKafka uses Apache Kafka instead of the embedded broker.
	RealKafka bool
	// Arguments are added to those of postern serve.
	Arguments []string
}

// newWorld starts everything but postern, and plants the workspace.
func newWorld(t testing.TB, options worldOptions) *world {
	t.Helper()
	partstest.Long(t, "a browser, a broker and a database")
	base, err := os.MkdirTemp("", "postern-world-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	w := &world{t: t, log: &output{}}
	if w.Folder, err = local.OpenFolder(base); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Folder.Close() })
	ctx := context.WithoutCancel(t.Context())

	w.Server, err = postgresql.Start(ctx, postgresql.Options{Folder: w.Folder.In("postgresql"), Settings: map[string]string{"max_connections": "200"}})
	partstest.Need(t, "PostgreSQL", err)
	t.Cleanup(func() { _ = w.Server.Stop() })
	if w.Database, err = w.Server.Database(ctx, "postern"); err != nil {
		t.Fatal(err)
	}

	if options.RealKafka {
		jars, err := broker.Jars(ctx)
		partstest.Need(t, "Apache Kafka", err)
		w.Broker, err = broker.Kafka(ctx, w.Folder.In("kafka"), jars, 0)
		partstest.Need(t, "Apache Kafka", err)
	} else if w.Broker, err = broker.Embedded(ctx, w.Folder.In("kafka"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Broker.Stop() })

	if w.Harbour, err = sampleapp.New(w.Folder.In("app")); err != nil {
		t.Fatal(err)
	}
	w.AppURL = w.site(w.Harbour)

	port := freePort(t)
	issuer := fmt.Sprintf("http://127.0.0.1:%d", port)
	if w.People, err = devidp.New(devidp.Options{Issuer: issuer, Folder: w.Folder.In("idp")}); err != nil {
		t.Fatal(err)
	}
	w.siteAt(port, w.People)

	w.hecToken = seal.NewToken("pst_hec")
	if w.Receiver, err = receiver.New(receiver.Options{Folder: w.Folder.In("receiver"), Token: w.hecToken}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Receiver.Close() })
	hec := w.site(w.Receiver)

	gatewayPort := freePort(t)
	address := fmt.Sprintf("http://127.0.0.1:%d", gatewayPort)
	w.secret("database", w.Database)
	w.secret("hec", w.hecToken.Reveal())
	key := seal.GenerateLocalKey()
	w.secret("key", key.Reveal())
	w.secret("audit-key", seal.GenerateLocalKey().Reveal())
	w.arguments = append([]string{
		"serve", "--api-rate", "1000", "--database", "file:" + w.Folder.In("secrets", "database"), "--listen", fmt.Sprintf("127.0.0.1:%d", gatewayPort),
		"--public-url", address, "--key", "file:" + w.Folder.In("secrets", "key"), "--audit-key", "file:" + w.Folder.In("secrets", "audit-key"),
		"--kafka", w.Broker.Address, "--splunk-url", hec, "--splunk-token", "file:" + w.Folder.In("secrets", "hec"), "--allow-private",
		"--concurrency", "2", "--log-level", "debug",
		"--rotation-lease", "3s", "--rotation-first-retry", "1s", "--rotation-last-retry", "5s", "--rotation-quiet", "3s",
		"--rotation-settle", "2s", "--rotation-failed-sign-ins", "8", "--rotation-failed-window", "1m",
	}, options.Arguments...)

	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	migrate := exec.Command(built, "migrate", "--database", "file:"+w.Folder.In("secrets", "database"))
	if text, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, text)
	}
	if w.DB, err = postgres.Open(ctx, w.Database, postgres.Options{MaxConnections: 4, Name: "line-test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.DB.Close)
	keys, err := seal.NewLocalKey([]byte(key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	seed := local.Seed{DB: w.DB, Keys: keys, GatewayURL: address, Issuer: issuer, Scopes: api.Scopes()}
	if w.Stack, err = seed.Plant(ctx, w.Folder); err != nil {
		t.Fatal(err)
	}
	w.Stack.IdP, w.Stack.App, w.Stack.HEC, w.Stack.Owner = issuer, w.AppURL, hec, local.OwnerName
	if err := local.Introduce(w.Folder, w.People, w.Stack); err != nil {
		t.Fatal(err)
	}
	w.API = demo.API{URL: address, Token: w.Stack.APIToken}
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			t.Logf("the end of postern's log:\n%s", w.log.end(16<<10))
		}
	})
	return w
}

func (w *world) secret(name, text string) {
	w.t.Helper()
	if err := w.Folder.Write("secrets/"+name, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) site(handler http.Handler) string {
	server := httptest.NewServer(handler)
	w.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

func (w *world) siteAt(port int, handler http.Handler) {
	w.t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	w.t.Cleanup(func() { server.Close() })
}

func freePort(t testing.TB) int {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serve starts postern and waits until it is ready.
func (w *world) serve() {
	w.t.Helper()
	built, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	w.process = exec.Command(built, w.arguments...)
	w.process.Stdout, w.process.Stderr = w.log, w.log
	w.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.process.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.exited = make(chan struct{})
	go func(process *exec.Cmd, exited chan struct{}) {
		_ = process.Wait()
		close(exited)
	}(w.process, w.exited)
	if err := demo.Ready(w.t.Context(), w.Stack.Gateway); err != nil {
		w.t.Fatalf("%v\n%s", err, w.log.end(8<<10))
	}
}

// kill ends postern with SIGKILL, as a machine that loses power would.
func (w *world) kill() {
	if w.process == nil {
		return
	}
	_ = w.process.Process.Signal(syscall.SIGKILL)
	<-w.exited
	w.process = nil
}

// stop ends postern with SIGTERM and waits for its clean end.
func (w *world) stop() {
	w.t.Helper()
	if err := w.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.t.Fatal(err)
	}
	select {
	case <-w.exited:
		w.process = nil
	case <-time.After(time.Minute):
		w.t.Fatal("postern did not stop within a minute of SIGTERM")
	}
}

// furnish makes the owner, the sample app and its logins, each proven by a sign-in.
func (w *world) furnish(logins ...demo.Login) {
	w.t.Helper()
	for _, login := range logins {
		if err := w.Harbour.SetPassword(login.Username, login.Password); err != nil {
			w.t.Fatal(err)
		}
	}
	own := func(ctx context.Context, id core.ID) error {
		return w.DB.Tx(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `update users set role = 'owner' where id = $1`, id)
			return err
		})
	}
	if err := demo.Furnish(w.t.Context(), w.Stack, own, logins); err != nil {
		w.t.Fatal(err)
	}
}

// scim is an IdP of a style at a connection.
func (w *world) scim(connection string, style push.Style) *push.Client {
	address := w.Stack.SCIM[connection]
	return &push.Client{Style: style, URL: address.URL, Token: seal.NewSecret(address.Token)}
}

// eventually asks until done says so.
func (w *world) eventually(patience time.Duration, what string, done func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// output keeps what a process printed.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

func (o *output) end(size int) string {
	text := o.String()
	return strings.TrimSpace(text[max(0, len(text)-size):])
}
