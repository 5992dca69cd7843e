package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"postern/connectors/guard"
	"postern/core"
	"postern/core/mail"
	"postern/core/seal"
)

// Sender sends mails by one server. It is a mail.Sender, and safe for concurrent use.
type Sender struct {
	// Address is the server's, as host:port. On port 465 TLS is spoken from the first byte (RFC 8314); on every
	// other by STARTTLS.
	Address string
	// User signs in at the server, if it is not empty, with Password.
	User     string
	Password seal.Secret
	// From is who mails are from, with or without a name: "Postern <postern@example.com>".
	From string
	// AllowPrivate lets the server be at a private address, and one on this machine do without TLS.
	AllowPrivate bool
	TLS          *tls.Config   // nil: the system's certificates
	Timeout      time.Duration // of one exchange; zero is 30 seconds
	Now          func() time.Time
}

// implicitPort is where TLS is spoken from the first byte.
const implicitPort = 465

// Check refuses, as Invalid, what cannot send any mail.
func (s *Sender) Check() error {
	host, port, err := net.SplitHostPort(s.Address)
	if number, parsed := strconv.ParseUint(port, 10, 16); err != nil || host == "" || parsed != nil || number == 0 {
		return core.Invalid("smtp-address", "HOST:PORT is needed, for example smtp.example.com:587")
	}
	from, err := netmail.ParseAddress(s.From)
	if err != nil || strings.ContainsFunc(from.Name, unicode.IsControl) {
		return core.Invalid("mail-from", "an e-mail address is needed, for example Postern <postern@example.com>")
	}
	if _, err := mail.Address(from.Address); err != nil {
		return core.Invalid("mail-from", "%s is no address mails can come from", from.Address)
	}
	if (s.User == "") != s.Password.IsZero() {
		return core.Invalid("smtp-password", "a user and a password go together")
	}
	return nil
}

// Send implements mail.Sender.
func (s *Sender) Send(ctx context.Context, message mail.Message) error {
	if err := s.Check(); err != nil {
		return core.Unavailable(0, "the mail server is not set up as it has to be").WithCode("mail_configuration").Because(err)
	}
	written, err := s.write(message)
	if err != nil {
		return core.Invalid("mail", "this cannot be written as a mail").Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	// The library watches the context only while it connects, and leaves a connection open at which it failed.
	var connection net.Conn
	defer func() {
		if connection != nil {
			_ = connection.Close()
		}
	}()
	client, err := s.client(func(made net.Conn) {
		connection = made
		context.AfterFunc(ctx, func() { _ = made.Close() })
	})
	if err != nil {
		return core.Unavailable(0, "the mail server is not set up as it has to be").WithCode("mail_configuration").Because(err)
	}
	talk, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.classify(ctx, err, false)
	}
	err = client.SendWithSMTPClient(talk, written)
	delivered := written.IsDelivered()
	_ = client.CloseWithSMTPClient(talk)
	if delivered {
		return nil // what fails after the server has taken the mail fails nobody
	}
	return s.classify(ctx, err, true)
}

func (s *Sender) timeout() time.Duration {
	if s.Timeout <= 0 {
		return 30 * time.Second
	}
	return s.Timeout
}

// write makes the message of RFC 5322.
func (s *Sender) write(message mail.Message) (*gomail.Msg, error) {
	from, err := netmail.ParseAddress(s.From)
	if err != nil {
		return nil, err
	}
	written := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(written.FromFormat(from.Name, from.Address), written.EnvelopeFrom(from.Address), written.To(message.To)); err != nil {
		return nil, err
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	written.Subject(message.Subject)
	written.SetDateWithValue(now())
	_, domain, _ := strings.Cut(from.Address, "@")
	written.SetMessageIDWithValue(message.ID.String() + "@" + domain)
	written.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: nobody's absence answers
	written.SetBodyString(gomail.TypeTextPlain, message.Text.Reveal())
	return written, nil
}

// client is the library's, which tells of the connection it makes.
func (s *Sender) client(connected func(net.Conn)) (*gomail.Client, error) {
	host, portText, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		settings = s.TLS.Clone()
	}
	if settings.ServerName == "" {
		settings.ServerName = host
	}
	dialer := &guard.Dialer{AllowPrivate: s.AllowPrivate}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		connected(connection)
		if port != implicitPort {
			return connection, nil
		}
		secured := tls.Client(connection, settings)
		return secured, secured.HandshakeContext(ctx)
	}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(s.timeout()), gomail.WithTLSConfig(settings), gomail.WithDialContextFunc(dial),
	}
	switch {
	case port == implicitPort:
		options = append(options, gomail.WithSSL())
	case s.AllowPrivate && core.Loopback(host):
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()))
	}
	return gomail.NewClient(host, options...)
}

// classify tells what is refused for good, which is said of the mail or whom it is for, from what may pass.
func (s *Sender) classify(ctx context.Context, err error, sending bool) error {
	if err == nil {
		err = errors.New("the server did not say that it took the mail")
	}
	host, _, _ := net.SplitHostPort(s.Address)
	if ctx.Err() != nil {
		return core.Unavailable(0, "the mail server %s did not answer in time", host).WithCode("timeout").Because(err)
	}
	if known, ok := errors.AsType[*core.Error](err); ok { // the guard's
		return core.Unavailable(known.RetryAfter, "%s", known.Message).WithCode(known.Code).Because(known.Err)
	}
	if sent, ok := errors.AsType[*gomail.SendError](err); ok && sending && sent.ErrorCode() >= 500 {
		switch sent.Reason {
		case gomail.ErrSMTPRcptTo:
			return core.Denied("the mail server does not take mail for this address (%d)", sent.ErrorCode()).WithCode("recipient_refused").Because(cutShort(err))
		case gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
			return core.Denied("the mail server refuses this mail (%d)", sent.ErrorCode()).WithCode("mail_refused").Because(cutShort(err))
		default:
		}
	}
	if said, ok := errors.AsType[*textproto.Error](err); ok && (said.Code == 535 || said.Code == 534 || said.Code == 538) {
		return core.Unavailable(0, "the mail server does not accept Postern's user and password (%d)", said.Code).WithCode("mail_sign_in").Because(cutShort(err))
	}
	return core.Unavailable(0, "the mail server %s could not be used", host).WithCode("mail_server").Because(cutShort(err))
}

// cutShort keeps what a server said from filling a log.
func cutShort(err error) error {
	return fmt.Errorf("smtp: %s", core.Cut(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error()), 500))
}
