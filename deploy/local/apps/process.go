package apps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a server that ends with ours.
type process struct {
	command *exec.Cmd
	end     func() error // asks it to end
	exited  chan struct{}
	output  *tail
}

// startGroup starts a program that forks workers. A shell holds the reading end of a pipe and kills
// the whole process group when the pipe closes, which the kernel does for us however we end.
func startGroup(folder string, environment []string, program string, arguments ...string) (*process, error) {
	const script = `("$@"; kill -KILL 0) </dev/null & read -r _; kill -KILL 0`
	command := exec.Command("/bin/sh", append([]string{"-c", script, "sh", program}, arguments...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	p := &process{command: command, end: pipe.Close}
	return p, p.start(folder, environment)
}

// startAlone starts a program of one process; the kernel signals it when we end.
func startAlone(folder string, environment []string, program string, arguments ...string) (*process, error) {
	command := exec.Command(program, arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p := &process{command: command}
	p.end = func() error {
		if err := command.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return nil
	}
	return p, p.start(folder, environment)
}

func (p *process) start(folder string, environment []string) error {
	p.exited, p.output = make(chan struct{}), &tail{}
	p.command.Dir, p.command.Env = folder, environment
	p.command.Stdout, p.command.Stderr = p.output, p.output
	// A worker that outlives its parent for a moment must not hold Wait up with our pipe.
	p.command.WaitDelay = 2 * time.Second
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the starting thread ends, so that thread must stay.
		runtime.LockOSThread()
		err := p.command.Start()
		started <- err
		if err == nil {
			_ = p.command.Wait()
		}
		close(p.exited)
	}()
	return <-started
}

func (p *process) stop(patience time.Duration) error {
	if err := p.end(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(patience):
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("%s had to be killed after %s", p.command.Path, patience)
	}
}

// run runs a program to its end with a text on its standard input.
func run(command *exec.Cmd, input string) error {
	command.Stdin = bytes.NewReader([]byte(input))
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command.Path, err, bytes.TrimSpace(output))
	}
	return nil
}

// tail keeps the last 8 KiB of what a process printed.
type tail struct {
	mutex sync.Mutex
	bytes []byte
}

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - 8192; over > 0 {
		t.bytes = t.bytes[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(bytes.TrimSpace(t.bytes))
}
