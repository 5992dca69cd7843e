package protocol_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// patient is a protocol whose library waits for the end of an answer.
type patient struct{ heard int64 }

func (p *patient) SignIn(ctx context.Context, endpoint protocol.Endpoint, _ []byte, _ rotation.Credential) (protocol.Session, error) {
	connection, err := endpoint.Dial(ctx, "tcp", endpoint.Address("1"))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	p.heard, err = io.Copy(io.Discard, connection)
	return nil, err
}

// An app that talks without end is none, and fills no memory.
func TestAnAppThatTalksWithoutEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				for err == nil {
					_, err = connection.Write(make([]byte, 1<<16))
				}
			}()
		}
	}()
	app := &patient{}
	connector := &protocol.Connector{Protocol: app, Schemes: []string{"talk"}, AllowPrivate: true}
	report := connector.Verify(t.Context(), rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "talk://" + listener.Addr().String()}, rotation.Credential{})
	if report.Outcome != rotation.Unreachable || app.heard > 16<<20 {
		t.Errorf("%s after %d bytes: %s", report.Outcome, app.heard, report.Detail)
	}
}

// registry is a protocol, and a session of it, of an app that keeps a record of who is let in.
type registry struct {
	deaf   bool // it takes requests and does nothing
	hidden bool // the administrator is not shown the record
	fails  bool // it cannot be read
	out    bool
}

func (r *registry) SignIn(context.Context, protocol.Endpoint, []byte, rotation.Credential) (protocol.Session, error) {
	return r, nil
}
func (*registry) Change(context.Context, seal.Secret, func() error) error        { return nil }
func (*registry) Reset(context.Context, string, seal.Secret, func() error) error { return nil }
func (*registry) Close()                                                         {}

func (r *registry) SetEnabled(_ context.Context, _ string, enabled bool) error {
	r.out = !enabled && !r.deaf
	return nil
}

func (r *registry) Enabled(context.Context, string) (enabled, known bool, err error) {
	if r.fails {
		return false, false, errors.New("gone")
	}
	return !r.out, !r.hidden, nil
}

// An app's record is read back: one that says otherwise is no success, and one that cannot be read is no record.
func TestTheRecordIsReadBack(t *testing.T) {
	for name, test := range map[string]struct {
		app  registry
		want rotation.Outcome
	}{
		"it says so":        {registry{}, rotation.Applied},
		"it says otherwise": {registry{deaf: true}, rotation.Unknown},
		"it is not shown":   {registry{hidden: true}, rotation.Applied},
		"it is not told":    {registry{fails: true}, rotation.Applied},
	} {
		connector := &protocol.Guarded{Administered: protocol.Administered{Connector: protocol.Connector{Protocol: &test.app, Schemes: []string{"talk"}, AllowPrivate: true}}}
		target := rotation.Target{Domains: []string{"127.0.0.1"}, SignInURL: "talk://127.0.0.1"}
		report := connector.SetEnabled(t.Context(), target, rotation.Credential{}, "shared", false)
		if report.Outcome != test.want || report.Recorded != (test.app == registry{out: true}) {
			t.Errorf("%s: %+v", name, report)
		}
	}
}
