package cli

import (
	"context"

	"postern/core/directory"
	"postern/webhooks/transmitter"
)

// receiverSecrets are the commands for a receiver's client secrets. 'postern receiver secret NAME' is to make one.
type receiverSecrets struct {
	Create createReceiverSecret `cmd:"" default:"withargs" help:"Make one more client secret, shown once."`
	List   listReceiverSecrets  `cmd:"" help:"List the secrets: when they were made, last used, expire."`
	Revoke revokeReceiverSecret `cmd:"" help:"End a secret and its access tokens at once and for good."`
}

// createReceiverSecret fills a receiver's second slot.
type createReceiverSecret struct {
	oneReceiver `embed:""`
	lifetime    `embed:""`
}

// Help is shown by 'postern receiver secret create --help'.
func (createReceiverSecret) Help() string {
	return `A receiver has two slots for live client secrets, so that one can be replaced without a gap:

  1. postern receiver secret Globex --workspace acme            make the second one
  2. give it to the receiver, beside the client id it has
  3. postern receiver secret list Globex --workspace acme       see which one is still used
  4. postern receiver secret revoke Globex SECRET-ID --workspace acme`
}

func (c createReceiverSecret) Run(ctx context.Context, terminal terminal) error {
	expires, err := c.expires()
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		token, secret, err := t.AddSecret(ctx, s.cause, s.workspace.ID, one.ID, expires)
		if err != nil {
			return slotsFull(err, "secret", "postern receiver secret list")
		}
		made := struct {
			tokenRow
			ClientSecret string `json:"client_secret"`
		}{tokenRows([]directory.Token{token})[0], secret.Reveal()}
		return c.show(terminal, made, func(sheet sheet) {
			sheet.say("Made a client secret for %s.\n", one.Name)
			sheet.row("secret id", made.ID.String())
			sheet.row("client id", one.Account.String())
			sheet.row("client secret, shown once", made.ClientSecret)
			sheet.say("\nThe other one still works. Once the receiver uses this one, revoke it: postern receiver secret revoke --help")
		})
	})
}

// listReceiverSecrets shows everything about the secrets but themselves.
type listReceiverSecrets struct {
	oneReceiver `embed:""`
}

func (l listReceiverSecrets) Run(ctx context.Context, terminal terminal) error {
	return l.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		found, err := t.Secrets(ctx, s.db, s.workspace.ID, one.ID)
		if err != nil {
			return err
		}
		rows := tokenRows(found)
		return l.show(terminal, map[string]any{"receiver": one.ID, "secrets": rows}, func(sheet sheet) { sheet.tokens(rows) })
	})
}

// revokeReceiverSecret ends a secret.
type revokeReceiverSecret struct {
	oneReceiver `embed:""`
	Secret      string `arg:"" help:"Id of the secret, as 'list' shows it."`
}

func (r revokeReceiverSecret) Run(ctx context.Context, terminal terminal) error {
	id, err := parseTokenID(r.Secret)
	if err != nil {
		return err
	}
	return r.with(ctx, func(s *setup, t *transmitter.Service, one transmitter.Receiver) error {
		if err := t.RevokeSecret(ctx, s.cause, s.workspace.ID, one.ID, id); err != nil {
			return err
		}
		return r.show(terminal, map[string]any{"receiver": one.ID, "revoked": id}, func(sheet sheet) {
			sheet.say("Revoked the secret %s of %s, and its access tokens.", id, one.Name)
		})
	})
}
