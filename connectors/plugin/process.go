package plugin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"postern/connectors/plugin/connectorpb"
	"postern/core"
)

const (
	startTimeout = 20 * time.Second
	// maxMessage bounds what a program may send at once, in bytes: a report with its picture.
	maxMessage = 2 << 20
)

// process is the program running. It serves many attempts at once.
type process struct {
	client *goplugin.Client
	stub   connectorpb.ConnectorClient
	uses   int
	worn   bool // serves no new attempt, and ends with its last
}

// program starts the process and replaces it.
type program struct {
	options Options

	mutex    sync.Mutex
	current  *process
	starting *starting
	leaving  []*process // out of use, with attempts that still run
	closed   bool
	ending   sync.WaitGroup
}

// starting is a process on its way; err is there once done is closed.
type starting struct {
	done chan struct{}
	err  error
}

// passed are the variables of the environment a program gets. No other: the gateway's holds its keys.
var passed = []string{"PATH", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// start starts the program. What it said instead of the handshake is in no error: it may be anything.
func (p *program) start() (*process, error) {
	fail := func(err error) (*process, error) {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return nil, core.Unavailable(time.Minute, "the program of the connector %s cannot be started: it is not there, or may not be run", p.options.Name)
		}
		return nil, core.Unavailable(time.Minute, "the program of the connector %s does not start as a connector does", p.options.Name)
	}
	file, name, sum, err := image(p.options.Path)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = file.Close() }() // the program has it by then
	if !bytes.Equal(sum, p.options.SHA256) {
		return nil, core.Denied("the program of the connector %s has another checksum than the one configured", p.options.Name).WithCode("checksum")
	}
	command := exec.Command(name)
	command.Args, command.ExtraFiles = []string{p.options.Path}, []*os.File{file}
	for _, name := range passed {
		if value, set := os.LookupEnv(name); set {
			command.Env = append(command.Env, name+"="+value)
		}
	}
	command.Env = append(command.Env, p.options.environment...)
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: goplugin.PluginSet{kind: wire{}}, Cmd: command, SkipHostEnv: true, AutoMTLS: true,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC}, StartTimeout: startTimeout,
		Stderr: io.Discard, SyncStdout: io.Discard, SyncStderr: io.Discard, Logger: hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off}),
		GRPCDialOptions: []grpc.DialOption{grpc.WithDisableRetry(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage))},
	})
	broken := func(err error) (*process, error) {
		client.Kill()
		return fail(err)
	}
	channel, err := client.Client()
	if err != nil {
		return broken(err)
	}
	served, err := channel.Dispense(kind)
	if err != nil {
		return broken(err)
	}
	stub, ok := served.(connectorpb.ConnectorClient)
	if !ok {
		return broken(errors.New("plugin: no connector"))
	}
	return &process{client: client, stub: stub}, nil
}

// acquire gives the process for an attempt, which waits for it as long as ctx lets it; release gives it back.
func (p *program) acquire(ctx context.Context) (*process, error) {
	for {
		one, coming, err := p.take()
		if err != nil || one != nil {
			return one, err
		}
		select {
		case <-coming.done:
			if coming.err != nil {
				return nil, coming.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take gives the process if there is one, and else what is on its way.
func (p *program) take() (*process, *starting, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.closed {
		return nil, nil, core.Unavailable(time.Minute, "the connector %s has been closed", p.options.Name)
	}
	if p.current != nil && p.current.client.Exited() {
		p.retire(p.current)
	}
	if p.current != nil {
		p.current.uses++
		return p.current, nil, nil
	}
	if p.starting == nil {
		p.starting = &starting{done: make(chan struct{})}
		p.ending.Go(func() { p.arrive(p.start()) })
	}
	return nil, p.starting, nil
}

// arrive puts a process into use that has started, or not.
func (p *program) arrive(started *process, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	coming := p.starting
	p.starting, coming.err = nil, err
	switch {
	case err != nil:
	case p.closed:
		p.end(started)
	default:
		p.current = started
		p.options.Log.Info("connector's program started", "connector", p.options.Name)
	}
	close(coming.done)
}

// release gives a process back. One that broke off serves no other attempt.
func (p *program) release(one *process, broken bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	one.uses--
	if broken && !one.worn {
		p.options.Log.Warn("connector's program broke off", "connector", p.options.Name)
		p.retire(one)
	} else if at := slices.Index(p.leaving, one); at >= 0 && one.uses == 0 {
		p.leaving = slices.Delete(p.leaving, at, at+1)
		p.end(one)
	}
}

// retire takes a process out of use. Under the lock.
func (p *program) retire(one *process) {
	one.worn = true
	if p.current == one {
		p.current = nil
	}
	if one.uses == 0 {
		p.end(one)
	} else {
		p.leaving = append(p.leaving, one)
	}
}

func (p *program) end(one *process) { p.ending.Go(one.client.Kill) }

// close ends the program, and with it what still runs.
func (p *program) close() {
	p.mutex.Lock()
	p.closed = true
	if one := p.current; one != nil {
		p.current, one.worn = nil, true
		p.end(one)
	}
	for _, one := range p.leaving {
		p.end(one)
	}
	p.leaving = nil
	p.mutex.Unlock()
	p.ending.Wait()
}

// describe asks the program what it can do.
func (p *program) describe(ctx context.Context) (*connectorpb.Description, error) {
	one, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	described, err := one.stub.Describe(ctx, &connectorpb.Nothing{})
	p.release(one, err != nil)
	if err != nil {
		return nil, core.Unavailable(time.Minute, "the program of the connector %s does not answer as a connector does", p.options.Name)
	}
	return described, nil
}

// tidy makes a text of a program's fit to be kept: bounded, on one line, without control characters.
func tidy(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
