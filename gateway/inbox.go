package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"regexp"
	"time"

	"postern/core"
	"postern/core/mailbox"
	"postern/webhooks/inbox"
)

// domainText is a domain name mails can be sent to (RFC 1035 2.3.1, in ASCII).
var domainText = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// mailbox checks what is said about receiving mails.
func (c Config) mailbox(fault func(string, string, ...any)) {
	if c.MailboxRetention < 0 || c.MailboxRetention != 0 && c.MailboxRetention < time.Hour {
		fault("mailbox-retention", "an hour or more, for example 720h")
	}
	if (c.MailboxCertificate == "") != (c.MailboxKey == "") {
		fault("mailbox-key", "a certificate and its private key go together")
		return
	}
	if c.MailboxDomain == "" {
		if c.MailboxCertificate != "" {
			fault("mailbox-certificate", "no domain was given (mailbox-domain)")
		}
		return
	}
	if len(c.MailboxDomain) > 200 || !domainText.MatchString(c.MailboxDomain) {
		fault("mailbox-domain", "a domain name in lower case is needed, for example in.example.com")
	}
	if _, _, err := net.SplitHostPort(c.MailboxListen); err != nil {
		fault("mailbox-listen", "HOST:PORT is needed, for example 0.0.0.0:25")
	}
	if c.MailboxCertificate != "" {
		if _, err := c.certificate(); err != nil {
			fault("mailbox-certificate", "%s", core.AsError(err).Message)
		}
	}
}

// certificate reads what STARTTLS shows. It is read for each connection, so that a renewed one needs no restart.
func (c Config) certificate() (*tls.Certificate, error) {
	chain, err := OpenReference(c.MailboxCertificate)
	if err != nil {
		return nil, err
	}
	key, err := OpenReference(c.MailboxKey)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(chain.Reveal()), []byte(key.Reveal()))
	if err != nil {
		return nil, core.Invalid("certificate", "a certificate chain and its private key are needed, each in PEM").Because(err)
	}
	return &pair, nil
}

// letterbox makes what keeps messages to accounts.
func (g *Gateway) letterbox() {
	g.mailboxes = &mailbox.Mailboxes{
		DB: g.db, Accounts: g.accounts, Vault: g.vault, Domain: g.config.MailboxDomain, Options: mailbox.Options{Retention: g.config.MailboxRetention},
		Now: g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
}

// receive takes mails until ctx ends.
func (g *Gateway) receive(ctx context.Context) error {
	listener, err := net.Listen("tcp", g.config.MailboxListen)
	if err != nil {
		return core.Invalid("mailbox-listen", "%s cannot be listened on", g.config.MailboxListen).Because(err)
	}
	receiver := &inbox.Receiver{Mailboxes: g.mailboxes, Name: g.config.MailboxDomain, Log: g.log}
	if g.config.MailboxCertificate != "" {
		receiver.Certificate = g.config.certificate
	}
	g.log.InfoContext(ctx, "receiving mail", "address", listener.Addr().String(), "domain", g.config.MailboxDomain)
	return receiver.Serve(ctx, listener)
}
