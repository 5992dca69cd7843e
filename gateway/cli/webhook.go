package cli

import (
	"context"
	"strings"
	"time"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
)

type webhookCommands struct {
	Create createWebhook `cmd:"" help:"Tell an endpoint of events by Standard Webhooks, and print its secret."`
	List   listWebhooks  `cmd:"" help:"List the endpoints and how they go."`
	Show   showWebhook   `cmd:"" help:"Print a webhook's last messages."`
	Rotate rotateWebhook `cmd:"" help:"Give a webhook a new secret; both sign for a while."`
	State  stateWebhook  `cmd:"" help:"Let a webhook run, pause or disable it."`
	Test   testWebhook   `cmd:"" help:"Send a message of type webhook.test."`
	Replay replayWebhook `cmd:"" help:"Send messages again: one, all that were given up, or everything since a time."`
	Delete deleteWebhook `cmd:"" help:"Tell an endpoint no more."`
}

// ofWebhooks is part of every command about webhooks. The command line delivers nothing itself.
type ofWebhooks struct {
	inWorkspace  `embed:""`
	sealing      `embed:""`
	AllowPrivate bool `help:"Allow addresses without https." env:"POSTERN_ALLOW_PRIVATE"`
}

func (o ofWebhooks) webhooks(s *setup) (*outgoing.Service, error) {
	safe, err := o.vault(s)
	if err != nil {
		return nil, err
	}
	return &outgoing.Service{DB: s.db, Vault: safe, Deliveries: &delivery.Deliveries{DB: s.db}, AllowPrivate: o.AllowPrivate}, nil
}

// webhookRow is a webhook as it is printed.
type webhookRow struct {
	ID        core.ID  `json:"id"`
	Name      string   `json:"name"`
	URL       string   `json:"url"`
	Types     []string `json:"types"`
	Scheme    string   `json:"scheme"`
	State     string   `json:"state"`
	Reason    string   `json:"reason,omitempty"`
	LastError string   `json:"last_error,omitempty"`
	Secret    string   `json:"secret,omitempty"` // when it was just made
}

func webhookRowOf(one outgoing.Webhook) webhookRow {
	return webhookRow{
		ID: one.ID, Name: one.Name, URL: one.Address, Types: append([]string{}, one.Types...), Scheme: one.Scheme, State: string(one.State), Reason: one.Reason, LastError: one.LastError,
	}
}

func (s sheet) webhook(row webhookRow) {
	s.say("Webhook %s", row.Name)
	s.row("id", row.ID.String())
	s.row("URL", row.URL)
	types := strings.Join(row.Types, ", ")
	if types == "" {
		types = "every event"
	}
	s.row("events", types)
	s.row("state", strings.TrimSuffix(row.State+", "+row.Reason, ", "))
	if row.LastError != "" {
		s.row("last error", row.LastError)
	}
	if row.Secret != "" {
		s.row("secret, shown once", row.Secret)
	}
}

type createWebhook struct {
	ofWebhooks `embed:""`
	Name       string   `arg:"" help:"What administrators call it."`
	URL        string   `arg:"" help:"Where messages are sent to."`
	Type       []string `help:"Event types, such as user.deprovisioned or user.*; every event when left out." placeholder:"TYPE"`
	Scheme     string   `help:"v1: a shared secret. v1a: our Ed25519 key, of which the endpoint gets the public half." enum:"v1,v1a" default:"v1"`
}

func (c createWebhook) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := c.webhooks(s)
	if err != nil {
		return err
	}
	made, err := service.Create(ctx, s.cause, outgoing.Webhook{Workspace: s.workspace.ID, Name: c.Name, Address: c.URL, Types: c.Type, Scheme: c.Scheme})
	if err != nil {
		return err
	}
	row := webhookRowOf(made.Webhook)
	row.Secret = made.Secret.Reveal()
	return c.show(terminal, row, func(sheet sheet) { sheet.webhook(row) })
}

type listWebhooks struct {
	ofWebhooks `embed:""`
}

func (l listWebhooks) Run(ctx context.Context, terminal terminal) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := l.webhooks(s)
	if err != nil {
		return err
	}
	found, err := service.Webhooks(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	rows := make([]webhookRow, 0, len(found))
	for _, one := range found {
		rows = append(rows, webhookRowOf(one))
	}
	return l.show(terminal, map[string]any{"webhooks": rows}, func(sheet sheet) {
		if len(rows) == 0 {
			sheet.say("no webhooks; make one with 'postern webhook create'")
		}
		for _, one := range rows {
			sheet.webhook(one)
		}
	})
}

// oneWebhook is part of every command about one webhook.
type oneWebhook struct {
	ofWebhooks `embed:""`
	Webhook    string `arg:"" help:"Id or name of the webhook."`
}

// with finds the webhook and does something with it.
func (o oneWebhook) with(ctx context.Context, work func(s *setup, service *outgoing.Service, one outgoing.Webhook) error) error {
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	service, err := o.webhooks(s)
	if err != nil {
		return err
	}
	all, err := service.Webhooks(ctx, s.db, s.workspace.ID)
	if err != nil {
		return err
	}
	var names []string
	for _, one := range all {
		if one.ID.String() == o.Webhook || strings.EqualFold(one.Name, o.Webhook) {
			return work(s, service, one)
		}
		names = append(names, one.Name)
	}
	return missing("webhook", o.Webhook, names, "postern webhook create")
}

type showWebhook struct {
	oneWebhook `embed:""`
}

func (c showWebhook) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, service *outgoing.Service, one outgoing.Webhook) error {
		found, err := service.Messages(ctx, s.db, s.workspace.ID, one.ID, "", 50)
		if err != nil {
			return err
		}
		row := webhookRowOf(one)
		return c.show(terminal, map[string]any{"webhook": row, "messages": found}, func(sheet sheet) {
			sheet.webhook(row)
			for _, message := range found {
				sheet.say("  %s  %-10s %d attempts, last %d  %s %s", message.ID, message.State, message.Attempts, message.Status, message.Type, message.Error)
			}
		})
	})
}

type rotateWebhook struct {
	oneWebhook `embed:""`
	Overlap    time.Duration `help:"How long both secrets sign." default:"24h"`
}

func (c rotateWebhook) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, service *outgoing.Service, one outgoing.Webhook) error {
		made, err := service.Rotate(ctx, s.cause, s.workspace.ID, one.ID, c.Overlap)
		if err != nil {
			return err
		}
		row := webhookRowOf(made.Webhook)
		row.Secret = made.Secret.Reveal()
		return c.show(terminal, row, func(sheet sheet) { sheet.webhook(row) })
	})
}

type stateWebhook struct {
	oneWebhook `embed:""`
	State      string `arg:"" help:"running, paused or disabled." enum:"running,paused,disabled"`
}

func (c stateWebhook) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, service *outgoing.Service, one outgoing.Webhook) error {
		changed, err := service.SetState(ctx, s.cause, s.workspace.ID, one.ID, delivery.State(c.State), "")
		if err != nil {
			return err
		}
		row := webhookRowOf(changed)
		return c.show(terminal, row, func(sheet sheet) { sheet.webhook(row) })
	})
}

type testWebhook struct {
	oneWebhook `embed:""`
}

func (c testWebhook) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, service *outgoing.Service, one outgoing.Webhook) error {
		message, err := service.Test(ctx, s.workspace.ID, one.ID)
		if err != nil {
			return err
		}
		return c.show(terminal, map[string]any{"message": message}, func(sheet sheet) { sheet.row("webhook-id", message.String()) })
	})
}

type replayWebhook struct {
	oneWebhook `embed:""`
	Message    string        `help:"Only this one, by its webhook-id." placeholder:"ID"`
	Since      time.Duration `help:"Everything of as long ago as this; what was given up when left out." placeholder:"TIME"`
}

func (c replayWebhook) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, service *outgoing.Service, one outgoing.Webhook) error {
		var message core.ID
		var err error
		if c.Message != "" {
			if message, err = core.ParseID(c.Message); err != nil {
				return core.Invalid("--message", "a webhook-id is needed")
			}
		}
		if c.Since > 0 {
			_, err = service.Replay(ctx, s.cause, s.workspace.ID, one.ID, time.Now().Add(-c.Since))
		} else {
			err = service.Resend(ctx, s.cause, s.workspace.ID, one.ID, message)
		}
		if err != nil {
			return err
		}
		return c.show(terminal, map[string]any{"webhook": one.ID}, func(sheet sheet) { sheet.say("sent again, each under its id") })
	})
}

type deleteWebhook struct {
	oneWebhook `embed:""`
}

func (c deleteWebhook) Run(ctx context.Context, terminal terminal) error {
	return c.with(ctx, func(s *setup, service *outgoing.Service, one outgoing.Webhook) error {
		if err := service.Delete(ctx, s.cause, s.workspace.ID, one.ID); err != nil {
			return err
		}
		return c.show(terminal, map[string]any{"deleted": one.ID}, func(sheet sheet) { sheet.say("it is told no more") })
	})
}
