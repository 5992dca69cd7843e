package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"postern/core"
	"postern/gateway/api"
)

type totpCommands struct {
	Show   showTOTP   `cmd:"" help:"Say whether one-time codes are made for an account."`
	Set    setTOTP    `cmd:"" help:"Store the secret an account's one-time codes are made from."`
	Enrol  enrolTOTP  `cmd:"" help:"Turn on an account's second factor in its app."`
	Remove removeTOTP `cmd:"" help:"Have no more one-time codes made for an account."`
}

type showTOTP struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (s showTOTP) Run(ctx context.Context, terminal terminal) error {
	text, err := s.ask(ctx, http.MethodGet, "/totp", nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.totp)
}

func (s sheet) totp(one api.TOTP) {
	s.say("One-time codes are made for %s.", one.Account)
	s.row("secret", fmt.Sprintf("version %d", one.Version))
	s.row("stored (UTC)", utc(&one.Stored))
}

type setTOTP struct {
	oneAccount `embed:""`
	SecretFile string `help:"File that holds the otpauth://totp/ address, or the secret in base32, in one line; - is standard input." required:"" placeholder:"PATH"`
}

// Help is shown by 'postern account totp set --help'.
func (setTOTP) Help() string {
	return `  postern account totp set 0198c7e2-… --secret-file -

The otpauth:// address is what the app's QR code says. The secret is never an argument: others could see it.`
}

// Run asks the gateway.
func (p setTOTP) Run(ctx context.Context, terminal terminal) error {
	secret, err := readLine("--secret-file", p.SecretFile)
	if err != nil {
		return err
	}
	text, err := p.ask(ctx, http.MethodPut, "/totp", map[string]string{"secret": secret.Reveal()})
	if err != nil {
		return err
	}
	return thing(terminal, p.remote, text, sheet.totp)
}

type enrolTOTP struct {
	oneAccount `embed:""`
}

// Help is shown by 'postern account totp enrol --help'.
func (enrolTOTP) Help() string {
	return `Postern signs in, has the app show the secret its codes are made from, stores it, and answers with the first code. A fresh
sign-in proves that it works. The password stays as it is. Answers at once with the rotation that will do it.

  postern account totp enrol 0198c7e2-…

Where the way to the app's page is not found, give it in the app's settings: {"enrol": {"url": "https://…"}}.`
}

// Run asks the gateway.
func (e enrolTOTP) Run(ctx context.Context, terminal terminal) error {
	text, err := e.ask(ctx, http.MethodPost, "/totp/enrolment", nil)
	if err != nil {
		return err
	}
	return thing(terminal, e.remote, text, sheet.begun)
}

type removeTOTP struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (r removeTOTP) Run(ctx context.Context, terminal terminal) error {
	if _, err := r.ask(ctx, http.MethodDelete, "/totp", nil); err != nil {
		return err
	}
	return thing(terminal, r.remote, json.RawMessage(`{"removed":`+strconv.Quote(r.Account)+`}`), func(sheet sheet, _ struct{}) {
		sheet.say("No more one-time codes are made for %s.", r.Account)
	})
}

// codeOfAccount gives a code in the name of somebody the account is shared with.
type codeOfAccount struct {
	oneAccount `embed:""`
	For        string `help:"userName or id of who is given it; it goes on record." required:"" placeholder:"NAME"`
}

// Help is shown by 'postern account code --help'.
func (codeOfAccount) Help() string {
	return `  postern account code 0198c7e2-… --for dana@acme.example
  postern account code 0198c7e2-… --for dana@acme.example -o json | jq -r .code`
}

// Run asks the gateway.
func (c codeOfAccount) Run(ctx context.Context, terminal terminal) error {
	client, err := c.connect()
	if err != nil {
		return err
	}
	user, err := client.user(ctx, c.For)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/code", map[string]core.ID{"user": user.ID})
	if err != nil {
		return err
	}
	return thing(terminal, c.remote, text, func(sheet sheet, one api.Code) {
		sheet.say("%s", visible(one.Code))
		sheet.say("good for %d s", one.Seconds)
		if one.Spent {
			sheet.say("Postern has just signed in with it: the app takes the next one.")
		}
	})
}
