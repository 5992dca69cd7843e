package inbox

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/emersion/go-smtp"

	"postern/core"
	"postern/core/mailbox"
	"postern/core/seal"
)

// session is one client's dialogue. It is used by one goroutine.
type session struct {
	receiver   *Receiver
	ctx        context.Context // of the server
	limits     Limits
	connection *smtp.Conn
	from       string // may be empty: the message is a report of a mail server
	to         mailbox.Recipient
	expected   bool
	strangers  int // recipients nobody is
}

// maxStrangers is how many recipients that are nobody a client may name before it is sent away.
const maxStrangers = 10

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to, s.expected = "", mailbox.Recipient{}, false }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.Reset()
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.strangers >= maxStrangers {
		_ = s.connection.Close()
		return answer(421, smtp.EnhancedCode{4, 7, 0}, "Too many recipients nobody is")
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.Commit)
	defer cancel()
	found, err := s.receiver.Mailboxes.Expected(ctx, to)
	if err != nil {
		if core.KindOf(err) == core.KindNotFound {
			s.strangers++
		}
		return s.refusal(err)
	}
	s.to, s.expected = found, true
	return nil
}

// Data implements smtp.Session. It returns nil once the message is committed, or was before.
func (s *session) Data(r io.Reader) error {
	if !s.expected {
		return answer(503, smtp.EnhancedCode{5, 5, 1}, "Say for whom it is first")
	}
	raw, err := io.ReadAll(r)
	if known, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return known // too large
	}
	if errors.Is(err, smtp.ErrTooLongLine) {
		return answer(554, smtp.EnhancedCode{5, 6, 0}, "A line of the message is too long")
	}
	if err != nil {
		return answer(451, smtp.EnhancedCode{4, 4, 2}, "The message did not come to its end")
	}
	spf, dkim := s.checks(raw)
	in := read(raw)
	in.SPF, in.DKIM = spf, dkim
	if in.Sender == "" {
		in.Sender = s.from
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.limits.Commit)
	defer cancel()
	_, err = s.receiver.Mailboxes.Receive(ctx, s.to, in)
	if err == nil || core.AsError(err).Code == "replayed" {
		return nil
	}
	return s.refusal(err)
}

func (s *session) checks(raw []byte) (spf, dkim string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.DNS)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); dkim = s.receiver.checkDKIM(ctx, raw) }()
	if from, ok := s.connection.Conn().RemoteAddr().(*net.TCPAddr); ok {
		spf = s.receiver.checkSPF(ctx, from.IP, s.connection.Hostname(), s.from)
	}
	<-done
	return spf, dkim
}

// refusal is what a client is told of an error.
func (s *session) refusal(err error) error {
	switch core.KindOf(err) {
	case core.KindNotFound:
		return answer(550, smtp.EnhancedCode{5, 1, 1}, "Nobody here has this address")
	case core.KindRateLimited:
		return answer(452, smtp.EnhancedCode{4, 2, 2}, "This mailbox takes no more messages for a while")
	case core.KindInternal, core.KindInvalid, core.KindUnauthenticated, core.KindDenied, core.KindConflict, core.KindStale, core.KindTooLarge, core.KindUnavailable:
	}
	s.receiver.log().WarnContext(s.ctx, "a message could not be taken now", "error", err)
	return answer(451, smtp.EnhancedCode{4, 3, 0}, "The message cannot be taken now, come again later")
}

func answer(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

func secret(text string) seal.Secret {
	if text == "" {
		return seal.Secret{}
	}
	return seal.NewSecret(text)
}
