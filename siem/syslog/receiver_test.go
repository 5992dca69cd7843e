package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/siem/sink"
	"postern/siem/stream"
	"postern/siem/transport"
	"postern/siem/transporttest"
)

func made(t testing.TB, settings Settings, key string) *Receiver {
	t.Helper()
	receiver, err := New(settings, Secrets{Key: transporttest.Secret(key)}, new(net.Dialer).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	return receiver
}

// server counts messages out of each connection, as RFC 5425 says, and treats connections as it is told.
type server struct {
	t        testing.TB
	address  string
	mutex    sync.Mutex
	messages []string
	count    int                                       // of connections
	treat    func(number int, c net.Conn) (ended bool) // nil: read and end
}

func listen(t testing.TB, config *tls.Config) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	made := &server{t: t, address: listener.Addr().String()}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { made.serve(connection) })
		}
	})
	t.Cleanup(func() { listener.Close(); open.Wait() })
	return made
}

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	s.mutex.Lock()
	s.count++
	number, treat := s.count, s.treat
	s.mutex.Unlock()
	if treat != nil && treat(number, connection) {
		return
	}
	from := bufio.NewReader(connection)
	for {
		length, err := from.ReadString(' ')
		if err != nil {
			return
		}
		size, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || strings.HasPrefix(length, "0") {
			s.t.Errorf("%q is no length", length)
			return
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(from, message); err != nil {
			return
		}
		s.mutex.Lock()
		s.messages = append(s.messages, string(message))
		s.mutex.Unlock()
	}
}

func (s *server) got() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.messages)
}

func TestAMessage(t *testing.T) {
	workspace, id, correlation := core.NewID(), core.NewID(), core.NewID()
	event := stream.Event{ID: id, Workspace: workspace, Correlation: correlation, Type: core.UserUpdated, Sequence: 7, Occurred: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600)), Value: []byte(`{"severity_id":4,"a":"b"}`)}
	want := `<107>1 2026-01-02T02:04:05.678901Z postern postern - user.updated [postern@32473 id="` + id.String() + `" workspace="` + workspace.String() + `" sequence="7" correlation="` + correlation.String() + `" type="user.updated"] {"severity_id":4,"a":"b"}`
	if got := string(Settings{}.frame(nil, event)); got != strconv.Itoa(len(want))+" "+want {
		t.Fatalf("\n%s, want\n%s", got, want)
	}
	facility := 0
	own := Settings{Facility: &facility, Hostname: "h", AppName: "a", EnterpriseNumber: 5}
	event.Type = core.EventType("a kind]\"\\ of its own, rather long, as nobody has")
	event.Value = []byte(`{"name":"Zoë"}`)
	got := string(own.frame(nil, event))
	if !strings.Contains(got, "<6>1 ") || !strings.Contains(got, ` h a - - [postern@5 `) || !strings.Contains(got, `type="a kind\]\"\\ of its own, rather long, as nobody has"] `+mark+`{"name":"Zoë"}`) {
		t.Fatal(got)
	}
	own.OmitMark = true
	if strings.Contains(string(own.frame(nil, event)), mark) {
		t.Fatal("the mark is not left out")
	}
	event.Value = []byte("{\"name\":\"\xff\"}")
	if strings.Contains(string(Settings{}.frame(nil, event)), mark) {
		t.Fatal("what is not UTF-8 is marked as if it were")
	}
}

func TestABatchIsAcceptedOnceItWasRead(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	for name, config := range map[string]*tls.Config{"TLS": {Certificates: []tls.Certificate{authority.Pair(t, "syslog")}}, "plain": nil} {
		receiving := listen(t, config)
		settings := Settings{Address: receiving.address, Plain: config == nil}
		if config != nil {
			settings.TLS = transport.TLS{CA: authority.PEM, ServerName: "syslog"}
		}
		receiver, sent := made(t, settings, ""), transporttest.Events(t, 500)
		if got := receiver.Send(t.Context(), sent); got.Verdict != sink.Accepted || got.Reason != "" {
			t.Fatalf("%s: %+v", name, got)
		}
		// No waiting: accepted means read.
		if got := receiving.got(); len(got) != 500 || !strings.HasSuffix(got[499], string(sent[499].Value)) {
			t.Fatalf("%s: %d messages", name, len(got))
		}
	}
}

func TestABatchWhoseEndWasNotSeenIsSentAgain(t *testing.T) {
	receiving, sent := listen(t, nil), transporttest.Events(t, 20)
	receiving.treat = func(number int, c net.Conn) bool {
		if number == 1 { // takes a little and dies
			_, _ = io.ReadFull(c, make([]byte, 100))
			_ = c.(*net.TCPConn).SetLinger(0)
			return true
		}
		return false
	}
	receiver := made(t, Settings{Address: receiving.address, Plain: true}, "")
	if got := receiver.Send(t.Context(), sent); got.Verdict != sink.Busy || got.Reason == "" {
		t.Fatalf("%+v", got)
	}
	if got := receiver.Send(t.Context(), sent); got.Verdict != sink.Accepted || len(receiving.got()) != 20 {
		t.Fatalf("%+v", got)
	}
}

func TestAConnectionThatIsKeptIsMadeAnew(t *testing.T) {
	receiving, sent := listen(t, nil), transporttest.Events(t, 4)
	first := make(chan struct{})
	receiving.treat = func(number int, c net.Conn) bool {
		if number != 1 {
			return false
		}
		length, _ := bufio.NewReader(c).ReadString(' ') // the first message, then it restarts
		size, _ := strconv.Atoi(strings.TrimSpace(length))
		_, _ = io.CopyN(io.Discard, c, int64(size)-4096)
		close(first)
		return true
	}
	receiver := made(t, Settings{Address: receiving.address, Plain: true, KeepOpen: true}, "")
	if got := receiver.Send(t.Context(), sent[:1]); got.Verdict != sink.Accepted {
		t.Fatalf("%+v", got)
	}
	<-first
	held := <-receiver.kept
	<-held.ended // it is known that the receiver is gone
	receiver.kept <- held
	for _, event := range sent[1:] {
		if got := receiver.Send(t.Context(), []stream.Event{event}); got.Verdict != sink.Accepted {
			t.Fatalf("%+v", got)
		}
	}
	transporttest.Eventually(t, "the rest arrived", func() bool { return len(receiving.got()) == 3 })
	if receiving.count != 2 {
		t.Fatalf("%d connections", receiving.count)
	}
}

func TestFaultsOnTheWay(t *testing.T) {
	authority, other := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	secure, plain := listen(t, &tls.Config{Certificates: []tls.Certificate{authority.Pair(t, "syslog")}}), listen(t, nil)
	silent := listen(t, nil)
	done := make(chan struct{})
	silent.treat = func(_ int, c net.Conn) bool { <-done; return true }
	defer close(done)
	for name, test := range map[string]struct {
		settings Settings
		want     sink.Verdict
		says     string
	}{
		"nobody there":      {Settings{Address: "127.0.0.1:1"}, sink.Busy, "cannot be reached"},
		"no such name":      {Settings{Address: "syslog.invalid:6514"}, sink.Busy, "cannot be found"},
		"another authority": {Settings{Address: secure.address, TLS: transport.TLS{CA: other.PEM}}, sink.Misconfigured, "not trusted"},
		"another name":      {Settings{Address: secure.address, TLS: transport.TLS{CA: authority.PEM, ServerName: "else"}}, sink.Misconfigured, "not trusted"},
		"never read":        {Settings{Address: silent.address, Plain: true, TimeoutSeconds: 1}, sink.Busy, "in time"},
	} {
		if got := made(t, test.settings, "").Send(t.Context(), transporttest.Events(t, 2)); got.Verdict != test.want || !strings.Contains(got.Reason, test.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := made(t, Settings{Address: plain.address, Plain: true}, "").Send(ctx, transporttest.Events(t, 1)); got.Verdict != sink.Busy {
		t.Errorf("%+v", got)
	}
	guarded, err := New(Settings{Address: plain.address, Plain: true}, Secrets{}, transporttest.Refusing)
	if err != nil {
		t.Fatal(err)
	}
	if got := guarded.Send(t.Context(), transporttest.Events(t, 1)); got.Verdict != sink.Misconfigured || !strings.Contains(got.Reason, "private") {
		t.Errorf("%+v", got)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	many := 24
	for field, settings := range map[string]Settings{
		"address": {Address: "syslog"}, "facility": {Address: "a:1", Facility: &many}, "hostname": {Address: "a:1", Hostname: "a b"}, "app_name": {Address: "a:1", AppName: strings.Repeat("a", 49)},
		"enterprise_number": {Address: "a:1", EnterpriseNumber: -1}, "max_bytes": {Address: "a:1", MaxBytes: 1}, "timeout_seconds": {Address: "a:1", TimeoutSeconds: -1},
		"plain": {Address: "a:1", Plain: true, TLS: transport.TLS{ServerName: "b"}}, "tls.ca": {Address: "a:1", TLS: transport.TLS{CA: "x"}},
	} {
		if err := settings.Validate(); core.AsError(err) == nil || core.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
