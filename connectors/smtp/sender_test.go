package smtp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	server "github.com/emersion/go-smtp"

	"postern/core"
	"postern/core/mail"
	"postern/core/seal"
)

// receiver is a real SMTP server that keeps what it is given, and refuses what it is told to refuse.
type receiver struct {
	lock    sync.Mutex
	got     []string
	to      []string
	from    string
	user    string
	refuse  map[string]*server.SMTPError // by command: mail, rcpt, data
	address string
	roots   *x509.CertPool
}

type session struct {
	of     *receiver
	signed bool
}

func (r *receiver) NewSession(*server.Conn) (server.Session, error) { return &session{of: r}, nil }
func (s *session) AuthMechanisms() []string                         { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "postern" || password != "pa55" {
			return server.ErrAuthFailed
		}
		s.of.user, s.signed = user, true
		return nil
	}), nil
}
func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
func (s *session) Mail(from string, _ *server.MailOptions) error {
	if !s.signed && s.of.user != "anybody" {
		return server.ErrAuthRequired
	}
	s.of.from = from
	return fault(s.of.refuse["mail"])
}
func (s *session) Rcpt(to string, _ *server.RcptOptions) error {
	s.of.to = append(s.of.to, to)
	return fault(s.of.refuse["rcpt"])
}
func (s *session) Data(text io.Reader) error {
	all, err := io.ReadAll(text)
	if err != nil {
		return err
	}
	if err := fault(s.of.refuse["data"]); err != nil {
		return err
	}
	s.of.lock.Lock()
	defer s.of.lock.Unlock()
	s.of.got = append(s.of.got, string(all))
	return nil
}

func fault(err *server.SMTPError) error {
	if err == nil {
		return nil
	}
	return err
}

// certificate is one for this machine, and who vouches for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	parsed, err := x509.ParseCertificate(raw)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, roots
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receive runs a server, with STARTTLS unless it is plain.
func receive(t *testing.T, plain bool) *receiver {
	t.Helper()
	r := &receiver{refuse: map[string]*server.SMTPError{}}
	listening := server.NewServer(r)
	listening.Domain, listening.AllowInsecureAuth = "mx.example.com", plain
	if !plain {
		var pair tls.Certificate
		pair, r.roots = certificate(t)
		listening.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.address = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = listening.Serve(listener) }()
	t.Cleanup(func() { _ = listening.Close(); <-done })
	return r
}

func (r *receiver) sender() *Sender {
	return &Sender{
		Address: r.address, User: "postern", Password: seal.NewSecret("pa55"), From: "Postern <postern@example.com>", AllowPrivate: true,
		TLS: &tls.Config{RootCAs: r.roots}, Timeout: 20 * time.Second,
	}
}

var letter = mail.Message{ID: core.NewID(), To: "ada@example.com", Subject: "Ihr Schlüssel für heute", Text: seal.NewSecret("Ada, your code is\n\n    1234 5678\n\n.\n..ü\n")}

func TestAMailArrivesByAnEncryptedConnection(t *testing.T) {
	r := receive(t, false)
	must(t, r.sender().Send(t.Context(), letter))
	if len(r.got) != 1 || r.from != "postern@example.com" || len(r.to) != 1 || r.to[0] != "ada@example.com" || r.user != "postern" {
		t.Fatalf("%+v", r)
	}
	parsed, err := netmail.ReadMessage(strings.NewReader(r.got[0]))
	must(t, err)
	for name, want := range map[string]string{
		"To": "<ada@example.com>", "From": `"Postern" <postern@example.com>`, "Message-Id": "<" + letter.ID.String() + "@example.com>", "Auto-Submitted": "auto-generated",
		"Subject": "=?UTF-8?q?Ihr_Schl=C3=BCssel_f=C3=BCr_heute?=",
	} {
		if got := parsed.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if parsed.Header.Get("Bcc") != "" || !strings.Contains(r.got[0], "1234 5678") {
		t.Errorf("%s", r.got[0])
	}
}

func TestWhatAServerRefuses(t *testing.T) {
	for name, one := range map[string]struct {
		at   string
		code int
		kind core.Kind
		says string
	}{
		"no such mailbox":    {"rcpt", 550, core.KindDenied, "recipient_refused"},
		"greylisted":         {"rcpt", 451, core.KindUnavailable, "mail_server"},
		"a mail it dislikes": {"data", 554, core.KindDenied, "mail_refused"},
		"full":               {"data", 452, core.KindUnavailable, "mail_server"},
		"our own address":    {"mail", 553, core.KindUnavailable, "mail_server"},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, false)
			r.refuse[one.at] = &server.SMTPError{Code: one.code, EnhancedCode: server.EnhancedCodeNotSet, Message: "no\x1b[31m" + strings.Repeat("o", 400)}
			err := r.sender().Send(t.Context(), letter)
			fault := core.AsError(err)
			if fault == nil || fault.Kind != one.kind || fault.Code != one.says || len(r.got) != 0 {
				t.Errorf("%v (%s)", err, fault.Code)
			}
			if strings.Contains(err.Error(), "1234 5678") || strings.ContainsRune(err.Error(), '\x1b') || len(err.Error()) > 1000 {
				t.Errorf("it says %q", err)
			}
		})
	}
}

func TestAServerThatIsNotTrustedGetsNothing(t *testing.T) {
	good, plain := receive(t, false), receive(t, true)
	plain.user = "anybody"
	wrong, stranger, private, elsewhere := good.sender(), good.sender(), good.sender(), plain.sender()
	wrong.Password = seal.NewSecret("canary-wrong")
	stranger.TLS = nil
	private.AllowPrivate = false
	elsewhere.AllowPrivate, elsewhere.Address = true, strings.Replace(plain.address, "127.0.0.1", "localhost.localdomain", 1)
	for what, one := range map[string]struct {
		sender *Sender
		code   string
	}{
		"a wrong password": {wrong, "mail_sign_in"}, "an unknown certificate": {stranger, "mail_server"}, "a private address": {private, "private_address"},
		"a server without TLS elsewhere": {elsewhere, ""},
	} {
		err := one.sender.Send(t.Context(), letter)
		if core.KindOf(err) != core.KindUnavailable || err == nil || one.code != "" && core.AsError(err).Code != one.code || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v (%s)", what, err, core.AsError(err).Code)
		}
	}
	if len(good.got)+len(plain.got) != 0 {
		t.Error("a mail got through")
	}
	// On this very machine, in development, a server may do without.
	here := plain.sender()
	here.User, here.Password = "", seal.Secret{}
	must(t, here.Send(t.Context(), letter))
	if len(plain.got) != 1 {
		t.Error("nothing arrived")
	}
}

// lying is a server that says what a script says, line by line, and then nothing any more.
func lying(t *testing.T, script ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			for _, line := range script {
				if _, err := io.WriteString(conn, line); err != nil {
					break
				}
				if _, err := reader.ReadString('\n'); err != nil {
					break
				}
			}
			_, _ = io.Copy(io.Discard, reader) // until the sender has had enough
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func TestAServerThatLiesOrHangs(t *testing.T) {
	for name, script := range map[string][]string{
		"says nothing":        nil,
		"is no mail server":   {"HTTP/1.1 400 Bad Request\r\n\r\n"},
		"hangs after HELO":    {"220 mx\r\n"},
		"never ends a line":   {"220 " + strings.Repeat("x", 1<<16)},
		"takes back its word": {"220 mx\r\n", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"},
		"goes away":           {"220 mx\r\n", "421 closing\r\n"},
		"answers garbage":     {"220 mx\r\n", "\x00\xff\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			sender := &Sender{Address: lying(t, script...), From: "postern@example.com", AllowPrivate: true, Timeout: 500 * time.Millisecond}
			err := sender.Send(t.Context(), letter)
			if err == nil || core.KindOf(err) != core.KindUnavailable {
				t.Errorf("%v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Sender{Address: lying(t), From: "postern@example.com", AllowPrivate: true}).Send(ctx, letter); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("whoever waits no longer: %v", err)
	}
}

func TestNothingBecomesAHeader(t *testing.T) {
	r := receive(t, false)
	for name, change := range map[string]func(m *mail.Message){
		"the address": func(m *mail.Message) { m.To = "ada@example.com\r\nBcc: eve@evil.org" },
		"a list":      func(m *mail.Message) { m.To = "ada@example.com, eve@evil.org" },
		"a command":   func(m *mail.Message) { m.To = "ada@example.com>\r\nRCPT TO:<eve@evil.org" },
	} {
		sent := letter
		change(&sent)
		if err := r.sender().Send(t.Context(), sent); core.KindOf(err) != core.KindInvalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	sent := letter
	sent.Subject = "Hello\r\nBcc: eve@evil.org\r\n\r\nbody"
	_ = r.sender().Send(t.Context(), sent)
	for _, got := range r.got {
		parsed, err := netmail.ReadMessage(strings.NewReader(got))
		if err != nil || parsed.Header.Get("Bcc") != "" {
			t.Errorf("%v: %s", err, got)
		}
	}
	for _, to := range r.to {
		if strings.Contains(to, "eve") {
			t.Errorf("written to %s", to)
		}
	}
}

func TestHowItIsSetUp(t *testing.T) {
	good := Sender{Address: "smtp.example.com:587", From: "Postern <postern@example.com>", User: "u", Password: seal.NewSecret("p")}
	must(t, good.Check())
	for field, change := range map[string]func(s *Sender){
		"smtp-address":    func(s *Sender) { s.Address = "smtp.example.com" },
		"smtp-address no": func(s *Sender) { s.Address = ":587" },
		"smtp-address 0":  func(s *Sender) { s.Address = "smtp.example.com:0" },
		"smtp-address x":  func(s *Sender) { s.Address = "smtp.example.com:x" },
		"mail-from":       func(s *Sender) { s.From = "" },
		"mail-from bad":   func(s *Sender) { s.From = "Postern" },
		"mail-from line":  func(s *Sender) { s.From = "Postern <a@b.com>\r\nBcc: x@y.com" },
		"smtp-password":   func(s *Sender) { s.Password = seal.Secret{} },
		"smtp-password u": func(s *Sender) { s.User = "" },
	} {
		wrong := good
		change(&wrong)
		err := wrong.Check()
		field, _, _ = strings.Cut(field, " ")
		if fault := core.AsError(err); fault == nil || fault.Kind != core.KindInvalid || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
		if err := wrong.Send(t.Context(), letter); core.AsError(err).Code != "mail_configuration" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if text := fmt.Sprintf("%+v %v", good, errors.New("x")); strings.Contains(text, "{p}") {
		t.Error("the password is printed")
	}
}
