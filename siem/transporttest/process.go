package transporttest

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"postern/deploy/local/process"
)

// Eventually waits for something, and fails when it does not happen.
func Eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !happened(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// run starts a program that ends with the test.
func run(t testing.TB, path string, arguments ...string) *process.Process {
	t.Helper()
	running, err := process.Start(process.Program{Path: path, Arguments: arguments})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.End(syscall.SIGTERM, 20*time.Second); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(running.Output())
		}
	})
	return running
}

// listening waits until a program takes connections.
func listening(t testing.TB, running *process.Process, address string) {
	t.Helper()
	Eventually(t, "somebody listens on "+address, func() bool {
		select {
		case <-running.Exited():
			t.Fatal("the program ended: ", running.Output())
		default:
		}
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
}

func freeAddress(t testing.TB) string {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func write(t testing.TB, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
