package mail

import (
	"context"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"postern/core"
	"postern/core/seal"
)

// Message is a mail to one person.
type Message struct {
	To      string      // an address as Address gives it
	Subject string      // one line, and no secret: it is kept
	Text    seal.Secret // plain text; it may hold a code
	// Until is when it is of no use any more, and not sent. Zero is in a day.
	Until time.Time
	// Decoy makes it look like a mail to whoever asks for it, and nobody gets it.
	Decoy bool
	// ID is the mail's, as Queue returns it. A Sender sends it along, so that a mail sent twice is known for it.
	ID core.ID
}

// Sender hands a mail to the world. An error of kind Invalid, Denied or TooLarge says that this mail will never be
// accepted; any other that it may be later. It is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, message Message) error
}

// The longest of what a mail is made of, in bytes.
const (
	MaxAddress = 254 // RFC 5321 §4.5.3.1.3
	MaxSubject = 200
	MaxText    = 32 << 10
)

// defaultLife is how long an attempt is made to send a mail that does not say.
const defaultLife = 24 * time.Hour

// Address is one mailbox's address (RFC 5321 §4.1.2) as it is kept and compared: without spaces around it, the domain
// in lower case and in ASCII. Anything else than local@domain is Invalid: a name, a list, a quoted or an
// internationalised local part, a domain in brackets.
func Address(text string) (string, error) {
	refused := core.Invalid("email", "an e-mail address is needed, such as ada@example.com")
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '@')
	if at < 1 || len(text) > 2*MaxAddress {
		return "", refused
	}
	domain, err := idna.Lookup.ToASCII(text[at+1:])
	if err != nil || !strings.Contains(domain, ".") || strings.HasSuffix(domain, ".") {
		return "", refused
	}
	address := text[:at] + "@" + strings.ToLower(domain)
	if len(address) > MaxAddress || at > 64 || !plain(address) {
		return "", refused
	}
	if parsed, err := netmail.ParseAddress(address); err != nil || parsed.Name != "" || parsed.Address != address {
		return "", refused
	}
	return address, nil
}

// plain reports whether a text is printable ASCII without spaces, quotes, brackets or separators.
func plain(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"\()<>[],:;`, r)
	}) < 0
}

// check refuses what cannot be sent and gives the rest as it is kept.
func (m Message) check(now time.Time) (Message, error) {
	address, err := Address(m.To)
	if err != nil {
		return Message{}, err
	}
	m.To = address
	switch {
	case m.Subject == "" || len(m.Subject) > MaxSubject || !utf8.ValidString(m.Subject) || strings.ContainsFunc(m.Subject, unicode.IsControl):
		return Message{}, core.Invalid("subject", "a subject is one line of at most %d bytes", MaxSubject)
	case m.Text.IsZero() || len(m.Text.Reveal()) > MaxText || !utf8.ValidString(m.Text.Reveal()):
		return Message{}, core.Invalid("text", "a mail has a text of at most %d bytes", MaxText)
	}
	if m.Until.IsZero() {
		m.Until = now.Add(defaultLife)
	}
	return m, nil
}
