package protocol_test

import (
	"context"
	"io"
	"net"
	"testing"

	"postern/connectors/protocol"
	"postern/core/rotation"
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
