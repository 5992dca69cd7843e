package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/deploy/local"
	"postern/deploy/local/broker"
	"postern/deploy/local/demo"
	"postern/deploy/local/postgresql"
	"postern/deploy/local/process"
	"postern/gateway/api"
)

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

// built is the folder of the program, once a test has asked for it.
var built string

// binary builds postern once per run.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "postern-chaos-")
	if err != nil {
		return "", err
	}
	built = folder
	path := filepath.Join(folder, "postern")
	output, err := exec.Command("go", "build", "-o", path, "postern/gateway/cmd/postern").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// world is everything around the processes of postern.
type world struct {
	t testing.TB

	Folder  *local.Folder
	Server  *postgresql.Server
	DB      *postgres.DB
	Brokers []*broker.Broker
	Stack   local.Descriptor

	All *double // what the operator's sink delivers to: the events of all workspaces
	Own *double // what the sink of the workspace acme delivers to: its events alone

	built string
}

// newWorld starts the database and brokers, brings the schema and the topic up to date, and plants a workspace.
func newWorld(t testing.TB, brokers int) *world {
	t.Helper()
	partstest.Long(t, "Apache Kafka and PostgreSQL")
	base, err := os.MkdirTemp("", "postern-chaos-")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	w := &world{t: t}
	w.Folder, err = local.OpenFolder(base)
	check(t, err)
	t.Cleanup(func() { w.Folder.Close() })
	ctx := context.WithoutCancel(t.Context())
	w.built, err = binary()
	check(t, err)

	w.Server, err = postgresql.Start(ctx, postgresql.Options{Folder: w.Folder.In("postgresql"), Settings: map[string]string{"max_connections": "200", "max_prepared_transactions": "2"}})
	partstest.Need(t, "PostgreSQL", err)
	t.Cleanup(func() { _ = w.Server.Stop() })
	database, err := w.Server.Database(ctx, "postern")
	check(t, err)
	jars, err := broker.Jars(ctx)
	partstest.Need(t, "Apache Kafka", err)
	w.Brokers, err = broker.Cluster(ctx, w.Folder.In("kafka"), jars, brokers)
	check(t, err)
	t.Cleanup(func() {
		for _, one := range w.Brokers {
			_ = one.Kill()
		}
	})

	w.All, w.Own = w.double("all"), w.double("own")
	key := seal.GenerateLocalKey()
	for name, text := range map[string]string{"database": database, "hec": w.All.token.Reveal(), "sink.json": w.All.described(), "key": key.Reveal(), "audit-key": seal.GenerateLocalKey().Reveal()} {
		check(t, w.Folder.Write("secrets/"+name, []byte(text)))
	}
	text, code := w.run("migrate", "--kafka", w.addresses())
	if want := fmt.Sprintf("the topic postern.audit was made: 6 partitions on %d of %d brokers each\n", min(3, brokers), brokers); code != 0 || !strings.HasSuffix(text, want) {
		t.Fatalf("migrate: %d\n%s", code, text)
	}
	w.DB, err = postgres.Open(ctx, database, postgres.Options{MaxConnections: 6, Name: "chaos-test"})
	check(t, err)
	t.Cleanup(w.DB.Close)
	keys, err := seal.NewLocalKey([]byte(key.Reveal()))
	check(t, err)
	seed := local.Seed{DB: w.DB, Keys: keys, GatewayURL: fmt.Sprintf("http://127.0.0.1:%d", w.port()), Issuer: "http://127.0.0.1:1", Scopes: api.Scopes()}
	w.Stack, err = seed.Plant(ctx, w.Folder)
	check(t, err)
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) port() int {
	w.t.Helper()
	port, err := process.FreePort()
	check(w.t, err)
	return port
}

func (w *world) addresses() string {
	var all []string
	for _, one := range w.Brokers {
		all = append(all, one.Address)
	}
	return strings.Join(all, ",")
}

func (w *world) secret(name string) string { return "file:" + w.Folder.In("secrets", name) }

// run has postern do something with the database, and gives what it printed and its exit code.
func (w *world) run(arguments ...string) (string, int) {
	w.t.Helper()
	command := exec.Command(w.built, append(arguments, "--database", w.secret("database"))...)
	text, err := command.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		w.t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode()
}

// eventually asks until done says so.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// server is one process of postern.
type server struct {
	w         *world
	role      string
	address   string
	arguments []string
	command   *exec.Cmd
	exited    chan struct{}
	log       *output
}

// serve starts a process with a role and waits until it is ready.
func (w *world) serve(role string) *server {
	w.t.Helper()
	address := fmt.Sprintf("http://127.0.0.1:%d", w.port())
	if role == "gateway" {
		address = w.Stack.Gateway
	}
	s := &server{w: w, role: role, address: address, log: &output{}}
	s.arguments = []string{
		"serve", "--roles", role, "--database", w.secret("database"), "--listen", strings.TrimPrefix(address, "http://"), "--public-url", address,
		"--key", w.secret("key"), "--audit-key", w.secret("audit-key"), "--kafka", w.addresses(), "--allow-private",
	}
	if role == "sink" {
		s.arguments = append(s.arguments, "--sink", "splunk="+w.secret("sink.json"))
	}
	w.t.Cleanup(func() {
		s.kill()
		if w.t.Failed() {
			w.t.Logf("the end of the log of %s:\n%s", role, s.log.end(8<<10))
		}
	})
	s.start()
	return s
}

func (s *server) start() {
	s.w.t.Helper()
	s.command = exec.Command(s.w.built, s.arguments...)
	s.command.Stdout, s.command.Stderr = s.log, s.log
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(s.w.t, s.command.Start())
	s.exited = make(chan struct{})
	go func(command *exec.Cmd, exited chan struct{}) {
		_ = command.Wait()
		close(exited)
	}(s.command, s.exited)
	if err := demo.Ready(s.w.t.Context(), s.address); err != nil {
		s.w.t.Fatalf("%s: %v\n%s", s.role, err, s.log.end(8<<10))
	}
}

// kill ends it with SIGKILL, as a machine that loses power would.
func (s *server) kill() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGKILL)
	<-s.exited
	s.command = nil
}

// stop ends it with SIGTERM, as an operator would.
func (s *server) stop() {
	s.w.t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.w.t.Fatal(err)
	}
	select {
	case <-s.exited:
		if code := s.command.ProcessState.ExitCode(); code != 0 {
			s.w.t.Errorf("%s ended with %d\n%s", s.role, code, s.log.end(4<<10))
		}
		s.command = nil
	case <-time.After(patience):
		s.w.t.Fatalf("%s did not stop", s.role)
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

func (o *output) says(text string) bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return bytes.Contains(o.text.Bytes(), []byte(text))
}

func (o *output) end(size int) string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	text := o.text.String()
	return strings.TrimSpace(text[max(0, len(text)-size):])
}
