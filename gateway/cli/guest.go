package cli

import (
	"context"
	"net/http"
	"time"

	"postern/core"
	"postern/gateway/api"
)

type guestCommands struct {
	List   listGuests  `cmd:"" help:"List guests, and who was one."`
	Invite inviteGuest `cmd:"" help:"Invite somebody outside: they sign in with codes that are mailed to them."`
	Resend resendGuest `cmd:"" help:"Send an invitation again that was not accepted yet."`
	Remove removeGuest `cmd:"" help:"Take an invitation back, or send a guest away like any leaver."`
}

type listGuests struct {
	remote `embed:""`
	Limit  int `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listGuests) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/guests", nil, l.Limit),
		column[api.Guest]{"ID", func(one api.Guest) string { return one.ID.String() }},
		column[api.Guest]{"E-MAIL", func(one api.Guest) string { return one.Email }},
		column[api.Guest]{"NAME", func(one api.Guest) string { return one.Name }},
		column[api.Guest]{"STATE", func(one api.Guest) string { return one.State }},
		column[api.Guest]{"INVITED (UTC)", func(one api.Guest) string { return utc(&one.Invited) }},
		column[api.Guest]{"FIRST SIGNED IN (UTC)", func(one api.Guest) string { return utc(one.Accepted) }})
}

func (s sheet) guest(one api.Guest) {
	s.say("%s <%s>", visible(one.Name), visible(one.Email))
	s.row("id", one.ID.String())
	s.row("state", one.State)
	if one.Accepted == nil {
		s.row("invitation ends (UTC)", utc(&one.Expires))
	}
}

type inviteGuest struct {
	remote `embed:""`
	Email  string        `arg:"" help:"Their e-mail address."`
	Name   string        `help:"For people to read." placeholder:"TEXT"`
	Life   time.Duration `help:"How long the invitation is good: 1h to 720h." default:"168h" placeholder:"TIME"`
}

// Help is shown by 'postern guest invite --help'.
func (inviteGuest) Help() string {
	return `  postern guest invite ada@example.com --name "Ada of the auditors"
  postern grant add 0198c7e2-… --user ada@example.com --days 7`
}

// Run asks the gateway.
func (i inviteGuest) Run(ctx context.Context, terminal terminal) error {
	c, err := i.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/guests", nil, struct {
		Email       string `json:"email"`
		Name        string `json:"name,omitempty"`
		LifeSeconds int64  `json:"life_seconds"`
	}{i.Email, i.Name, int64(i.Life / time.Second)})
	if err != nil {
		return err
	}
	return thing(terminal, i.remote, text, sheet.guest)
}

// oneGuest is part of every command about one guest.
type oneGuest struct {
	remote `embed:""`
	Guest  string `arg:"" help:"Id or e-mail address of the guest."`
}

// find gives the gateway and the guest's id.
func (o oneGuest) find(ctx context.Context) (*apiClient, core.ID, error) {
	c, err := o.connect()
	if err != nil {
		return nil, core.ID{}, err
	}
	user, err := c.user(ctx, o.Guest)
	return c, user.ID, err
}

type resendGuest struct {
	oneGuest `embed:""`
}

// Run asks the gateway.
func (r resendGuest) Run(ctx context.Context, terminal terminal) error {
	c, id, err := r.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPost, "/guests/"+id.String()+"/resend", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, sheet.guest)
}

type removeGuest struct {
	oneGuest `embed:""`
}

// Run asks the gateway.
func (r removeGuest) Run(ctx context.Context, terminal terminal) error {
	_, id, err := r.find(ctx)
	if err != nil {
		return err
	}
	return r.remove(ctx, terminal, "/guests/", id.String(), "They are out; what they knew is rotated, by policy.")
}
