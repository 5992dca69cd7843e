package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Program says what is run. Only Path is needed.
type Program struct {
	Path        string
	Arguments   []string
	Folder      string
	Environment []string // nil: ours

	// Credential is whose process it is; nil: ours.
	Credential *syscall.Credential
	// Death is the signal the kernel sends when the starting process dies. Default SIGTERM.
	Death syscall.Signal
}

// Process is a running child. Its methods may be called from several goroutines.
type Process struct {
	command *exec.Cmd
	pipe    func() error // ends a group; nil for a single process
	exited  chan struct{}
	output  *tail
}

// Start runs a program of one process.
func Start(program Program) (*Process, error) {
	if program.Death == 0 {
		program.Death = syscall.SIGTERM
	}
	command := exec.Command(program.Path, program.Arguments...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: program.Death, Credential: program.Credential}
	p := &Process{command: command}
	return p, p.start(program)
}

// StartGroup runs a program that forks workers. A shell holds the reading end of a pipe and kills the
// whole process group when the pipe closes, which the kernel does for us however we end.
func StartGroup(program Program) (*Process, error) {
	const script = `("$@"; kill -KILL 0) </dev/null & read -r _; kill -KILL 0`
	command := exec.Command("/bin/sh", append([]string{"-c", script, "sh", program.Path}, program.Arguments...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: program.Credential}
	pipe, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	p := &Process{command: command, pipe: pipe.Close}
	return p, p.start(program)
}

func (p *Process) start(program Program) error {
	p.exited, p.output = make(chan struct{}), &tail{}
	p.command.Dir, p.command.Env = program.Folder, program.Environment
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

// Exited is closed when the process is gone.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Output is the end of what the process printed, up to 8 KiB.
func (p *Process) Output() string { return p.output.String() }

// Ready tries, again and again, whether the program called name is ready, and returns once it is. When it ends before, or is
// not ready within the limit, the error has the end of what it printed.
func (p *Process) Ready(ctx context.Context, name string, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s stopped at its start:\n%s", name, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s did not start: %w\n%s", name, err, p.Output())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Listens is a try that Ready takes: whether somebody listens on a port of 127.0.0.1.
func Listens(port int) func(context.Context) error {
	return func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return connection.Close()
	}
}

// End asks the process to end, with a signal (a group just ends), and kills it, with its group, when
// it has not after patience; that is an error. Ending one that is gone is none.
func (p *Process) End(signal syscall.Signal, patience time.Duration) error {
	var err error
	if p.pipe != nil {
		err = p.pipe()
	} else {
		err = p.command.Process.Signal(signal)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, os.ErrClosed) {
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

// What a system gives to whoever asks for any port begins at lastPort (Linux) or above it.
const firstPort, lastPort = 20000, 32768

// FreePort finds a port of 127.0.0.1 that nobody listens on now. It is none that the system gives out by itself:
// such a one may be somebody else's before it is listened on, or while what listens there is started again.
func FreePort() (int, error) {
	var listener net.Listener
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, err
}
