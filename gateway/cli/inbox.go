package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

type mailboxCommands struct {
	Show   showMailbox   `cmd:"" help:"Show where an account is sent messages."`
	Create createMailbox `cmd:"" help:"Give an account an e-mail address; one that it has it keeps."`
	Phone  assignPhone   `cmd:"" help:"Have the text messages to a number come to an account."`
	Remove removeMailbox `cmd:"" help:"Have nothing more come to an account's address, or its number."`
}

type showMailbox struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (s showMailbox) Run(ctx context.Context, terminal terminal) error {
	return s.mailbox(ctx, terminal, http.MethodGet, "/mailbox", nil)
}

func (o oneAccount) mailbox(ctx context.Context, terminal terminal, method, part string, body any) error {
	text, err := o.ask(ctx, method, part, body)
	if err != nil {
		return err
	}
	return thing(terminal, o.remote, text, func(sheet sheet, one api.Mailbox) {
		sheet.row("account", one.Account.String())
		sheet.row("address", dash(visible(one.Address)))
		sheet.row("phone", dash(visible(one.Phone)))
		sheet.row("received", strconv.Itoa(one.Received))
	})
}

type createMailbox struct {
	oneAccount `embed:""`
}

// Help is shown by 'postern account mailbox create --help'.
func (createMailbox) Help() string {
	return `  postern account mailbox create 0198c7e2-…
  postern account mailbox create 0198c7e2-… -o json | jq -r .address

Enter the address in the app as the account's. The app's codes then come to Postern: people read them with 'postern account inbox', and Postern signs in with them where no TOTP secret is stored.`
}

// Run asks the gateway.
func (c createMailbox) Run(ctx context.Context, terminal terminal) error {
	return c.mailbox(ctx, terminal, http.MethodPut, "/mailbox/address", nil)
}

type assignPhone struct {
	oneAccount `embed:""`
	Number     string `arg:"" help:"The number with its country, such as +49 30 123456."`
}

// Run asks the gateway.
func (a assignPhone) Run(ctx context.Context, terminal terminal) error {
	return a.mailbox(ctx, terminal, http.MethodPut, "/mailbox/phone", map[string]string{"phone": a.Number})
}

type removeMailbox struct {
	oneAccount `embed:""`
	Phone      bool `help:"The number, not the address."`
}

// Run asks the gateway.
func (r removeMailbox) Run(ctx context.Context, terminal terminal) error {
	part, what := "/mailbox/address", "address"
	if r.Phone {
		part, what = "/mailbox/phone", "number"
	}
	if _, err := r.ask(ctx, http.MethodDelete, part, nil); err != nil {
		return err
	}
	return thing(terminal, r.remote, json.RawMessage(`{"removed":`+strconv.Quote(r.Account)+`}`), func(sheet sheet, _ struct{}) {
		sheet.say("Nothing more comes to the %s of %s.", what, r.Account)
	})
}

type inboxCommands struct {
	List inboxList `cmd:"" help:"List the messages to an account, latest first."`
	Read inboxRead `cmd:"" help:"Read a message, for somebody the account is shared with."`
}

type inboxList struct {
	oneAccount `embed:""`
	Limit      int `help:"At most so many rows; 0 is all." default:"20" placeholder:"N"`
}

// Run asks the gateway.
func (l inboxList) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/accounts/", l.Account)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, path+"/messages", url.Values{}, l.Limit), []column[api.Message]{
		{"ID", func(one api.Message) string { return one.ID.String() }},
		{"RECEIVED (UTC)", func(one api.Message) string { return utc(&one.Received) }},
		{"FROM", func(one api.Message) string { return dash(one.Sender) }},
		{"SUBJECT", func(one api.Message) string { return dash(one.Subject) }},
		{"HOLDS", func(one api.Message) string {
			switch {
			case one.HasCode && one.HasLink:
				return "code, link"
			case one.HasCode:
				return "code"
			case one.HasLink:
				return "link"
			}
			return dash("")
		}},
	}...)
}

type inboxRead struct {
	oneAccount `embed:""`
	Message    string `arg:"" help:"Id of the message ('postern account inbox list' shows it)."`
	For        string `help:"userName or id of who reads it; it goes on record." required:"" placeholder:"NAME"`
}

// Help is shown by 'postern account inbox read --help'.
func (inboxRead) Help() string {
	return `  postern account inbox read 0198c7e2-… 0199aa01-… --for dana@acme.example
  postern account inbox read 0198c7e2-… 0199aa01-… --for dana@acme.example -o json | jq -r .code`
}

// Run asks the gateway.
func (r inboxRead) Run(ctx context.Context, terminal terminal) error {
	client, err := r.connect()
	if err != nil {
		return err
	}
	user, err := client.user(ctx, r.For)
	if err != nil {
		return err
	}
	path, err := pathOf("/messages/", r.Message)
	if err != nil {
		return err
	}
	text, err := r.ask(ctx, http.MethodPost, path+"/read", map[string]core.ID{"user": user.ID})
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, func(sheet sheet, one api.OpenMessage) {
		sheet.row("from", dash(visible(one.Sender)))
		sheet.row("subject", dash(visible(one.Full)))
		sheet.row("received (UTC)", utc(&one.Received))
		sheet.row("code", dash(visible(one.Code)))
		sheet.row("link", dash(visible(one.Link)))
		sheet.say("")
		for line := range strings.SplitSeq(one.Text, "\n") {
			sheet.say("%s", visible(line))
		}
	})
}
