// Command withpostgresql runs a command beside a PostgreSQL server that the tests of all packages share:
//
//	withpostgresql gotestsum … ──► a server in a scratch folder ──► $POSTERN_TEST_POSTGRES ──► the command
//
// It ends as the command does. Where there is no PostgreSQL, or a server is named already, it runs the
// command alone. It never keeps what the tests wrote.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"postern/deploy/local/postgresql"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(command []string) int {
	if len(command) == 0 {
		fmt.Fprintln(os.Stderr, "withpostgresql: name a command")
		return 2
	}
	// The command gets Ctrl-C from the terminal itself, and ends first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("POSTERN_TEST_POSTGRES") == "" {
		defer serve(ctx)()
	}
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := child.Run()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok && exited.Exited() {
		return exited.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgresql:", err)
		return 1
	}
	return 0
}

// serve starts the server and gives what ends it. Without one the packages look for themselves, and
// name what the machine lacks.
func serve(ctx context.Context) (stop func()) {
	folder, err := os.MkdirTemp("", "postern-shared-postgresql-")
	if err != nil {
		return func() {}
	}
	remove := func() { _ = os.RemoveAll(folder) }
	if err := os.Chmod(folder, 0o711); err != nil {
		return remove
	}
	server, err := postgresql.Start(ctx, postgresql.Options{Folder: folder, Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "600", "shared_buffers": "256MB",
	}})
	if err != nil {
		return remove
	}
	address, forget := tell(server.URL)
	if err := os.Setenv("POSTERN_TEST_POSTGRES", address); err != nil {
		return remove
	}
	return func() {
		forget()
		_ = server.Stop()
		remove()
	}
}

// tell writes a server's address into a file, and gives "file:" and its name. The name is the same for
// every run, so that go test may keep the results of packages that nothing has changed for. While another
// run has the file, the address itself is given.
func tell(url string) (address string, forget func()) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return url, func() {}
	}
	file, err := os.OpenFile(filepath.Join(cache, "postern", "test-postgresql"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return url, func() {}
	}
	forget = func() { _ = file.Close() }
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return url, forget
	}
	if err := file.Truncate(0); err != nil {
		return url, forget
	}
	if _, err := file.WriteString(url); err != nil {
		return url, forget
	}
	return "file:" + file.Name(), forget
}
