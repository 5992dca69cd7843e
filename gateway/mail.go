package gateway

import (
	"context"
	"net/url"

	"postern/connectors/smtp"
	"postern/core"
	"postern/core/links"
	"postern/core/mail"
	"postern/core/seal"
)

// mail checks what is said about sending mails.
func (c Config) mail(fault func(string, string, ...any)) {
	switch {
	case c.MailKeep && c.SMTPAddress != "":
		fault("mail-keep", "mails are either kept or sent: leave the mail server out")
	case c.MailKeep && !onLoopback(c.PublicURL):
		fault("mail-keep", "for development on this machine alone: whoever administers a workspace reads everybody's codes")
	}
	if c.SMTPAddress == "" {
		for flag, value := range map[string]string{"smtp-user": c.SMTPUser, "smtp-password": c.SMTPPassword} {
			if value != "" {
				fault(flag, "no mail server was given (smtp-address)")
			}
		}
		return
	}
	sender := &smtp.Sender{Address: c.SMTPAddress, User: c.SMTPUser, From: c.MailFrom}
	if c.SMTPPassword != "" {
		password, err := OpenReference(c.SMTPPassword)
		if err != nil {
			fault("smtp-password", "%s", core.AsError(err).Message)
			return
		}
		sender.Password = password
	}
	if err := core.AsError(sender.Check()); err != nil {
		fault(err.Field, "%s", err.Message)
	}
}

// onLoopback reports whether a public address is this machine alone.
func onLoopback(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && (address == "" || core.Loopback(parsed.Hostname()))
}

// post wires what sends mails, and what is sent by mail.
func (g *Gateway) post() error {
	g.mail = &mail.Mail{DB: g.db, Vault: g.vault, Jobs: g.queue, Keep: g.config.MailKeep, Now: g.now, Wake: g.sequencer.Wake}
	if g.config.SMTPAddress != "" {
		var password seal.Secret
		if g.config.SMTPPassword != "" {
			opened, err := OpenReference(g.config.SMTPPassword)
			if err != nil {
				return err
			}
			password = opened
		}
		g.mail.Sender = &smtp.Sender{
			Address: g.config.SMTPAddress, User: g.config.SMTPUser, Password: password, From: g.config.MailFrom, AllowPrivate: g.config.AllowPrivate, Now: g.now,
		}
	}
	g.links = &links.Links{
		DB: g.db, Directory: g.directory, Accounts: g.accounts, Policies: g.policies, Mail: g.mail, PublicURL: g.config.PublicURL,
		Depart: func(ctx context.Context, cause core.Cause, workspace, user core.ID) error {
			_, err := g.lifecycle.Deprovision(ctx, cause, workspace, user)
			return err
		},
		Return: g.lifecycle.Reactivate, Now: g.now, Wake: g.sequencer.Wake, Log: g.log,
	}
	return nil
}
