package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
)

type linkCommands struct {
	List   listLinks  `cmd:"" help:"List links, latest first."`
	Create createLink `cmd:"" help:"Give an account's password to people outside, for a while, by a link that opens for them alone."`
	Show   showLink   `cmd:"" help:"Show a link, and who viewed it."`
	Revoke revokeLink `cmd:"" help:"End a link now; the account is rotated, by policy."`
}

func linkTo(one api.Link) string {
	everybody := append([]string{}, one.Recipients...)
	for _, domain := range one.Domains {
		everybody = append(everybody, "@"+domain)
	}
	return strings.Join(everybody, " ")
}

type listLinks struct {
	remote  `embed:""`
	Account string `help:"Id of an account: only links to it." placeholder:"ID"`
	Live    bool   `help:"Only those that have not ended."`
	Limit   int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listLinks) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.Account != "" {
		query.Set("account", l.Account)
	}
	if l.Live {
		query.Set("live", "true")
	}
	return rows(terminal, l.remote, c.pages(ctx, "/links", query, l.Limit),
		column[api.Link]{"ID", func(one api.Link) string { return one.ID.String() }},
		column[api.Link]{"ACCOUNT", func(one api.Link) string { return one.AppName + " (" + one.Username + ")" }},
		column[api.Link]{"FOR", linkTo},
		column[api.Link]{"STATE", func(one api.Link) string { return one.State }},
		column[api.Link]{"VIEWS", func(one api.Link) string { return strconv.Itoa(one.Views) }},
		column[api.Link]{"ENDS (UTC)", func(one api.Link) string { return utc(&one.Ends) }},
		column[api.Link]{"OWNER", func(one api.Link) string { return one.OwnerName }})
}

type createLink struct {
	oneAccount `embed:""`
	Owner      string        `help:"userName or id of an owner of the account, in whose name it is made: it ends when they leave." required:"" placeholder:"NAME"`
	For        []string      `help:"E-mail addresses, and @domains for everybody there." required:"" placeholder:"ADDRESS"`
	Life       time.Duration `help:"How long it lives: a minute to 720h." default:"168h" placeholder:"TIME"`
	Once       bool          `help:"It can be viewed once, by whoever is first."`
	Linger     time.Duration `help:"With --once: how long after the view the password stays good, at most 24h." default:"1h" placeholder:"TIME"`
	DeviceLock bool          `help:"Each recipient opens it on the device they first opened it on."`
	Reveal     bool          `help:"The page shows the password; otherwise it hands it over to be pasted."`
	Purpose    string        `help:"What for, for people to read." placeholder:"TEXT"`
	Send       bool          `help:"Mail its address to the recipients."`
}

// Help is shown by 'postern link create --help'.
func (createLink) Help() string {
	return `Whoever opens the link types a code that is mailed to them. The address of the link is shown once.

  postern link create 0198c7e2-… --owner dana@acme.example --for ada@example.com --once --send
  postern link create 0198c7e2-… --owner dana@acme.example --for @partner.example.org --life 24h --purpose "the audit"`
}

// newLink is what is asked for.
type newLink struct {
	Owner         core.ID  `json:"owner"`
	Recipients    []string `json:"recipients,omitempty"`
	Domains       []string `json:"domains,omitempty"`
	Level         string   `json:"level"`
	LifeSeconds   int64    `json:"life_seconds"`
	Once          bool     `json:"once"`
	DeviceLock    bool     `json:"device_lock"`
	LingerSeconds int64    `json:"linger_seconds"`
	Purpose       string   `json:"purpose,omitempty"`
	Send          bool     `json:"send"`
}

// Run asks the gateway.
func (l createLink) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	owner, err := c.user(ctx, l.Owner)
	if err != nil {
		return err
	}
	wanted := newLink{
		Owner: owner.ID, Level: "filled", LifeSeconds: int64(l.Life / time.Second), Once: l.Once, DeviceLock: l.DeviceLock,
		LingerSeconds: int64(l.Linger / time.Second), Purpose: l.Purpose, Send: l.Send,
	}
	if l.Reveal {
		wanted.Level = "revealed"
	}
	for _, one := range l.For {
		if domain, ok := strings.CutPrefix(one, "@"); ok {
			wanted.Domains = append(wanted.Domains, domain)
		} else {
			wanted.Recipients = append(wanted.Recipients, one)
		}
	}
	text, err := l.ask(ctx, http.MethodPost, "/links", wanted)
	if err != nil {
		return err
	}
	return thing(terminal, l.remote, text, func(sheet sheet, made api.NewLink) {
		sheet.link(made.Link)
		sheet.say("Its address, shown this once:")
		sheet.say("  %s", made.URL)
	})
}

func (s sheet) link(one api.Link) {
	s.say("Link to %s for %s", visible(one.AppName+" ("+one.Username+")"), visible(linkTo(one)))
	s.row("id", one.ID.String())
	state := one.State
	if one.Why != "" {
		state += ": " + strings.ReplaceAll(one.Why, "_", " ")
	}
	s.row("state", state)
	s.row("ends (UTC)", utc(&one.Ends))
	s.row("views", strconv.Itoa(one.Views))
	s.row("owner", visible(one.OwnerName))
	if !one.Rotation.IsZero() {
		s.row("rotation", one.Rotation.String())
	}
}

// oneLink is part of every command about one link.
type oneLink struct {
	remote `embed:""`
	Link   string `arg:"" help:"Id of the link ('postern link list' shows it)."`
}

type showLink struct {
	oneLink `embed:""`
	Views   bool `help:"Only who viewed it, latest first."`
}

// Run asks the gateway.
func (l showLink) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/links/", l.Link)
	if err != nil {
		return err
	}
	views := func() error {
		return rows(terminal, l.remote, c.pages(ctx, path+"/views", nil, 0),
			column[api.LinkView]{"RECIPIENT", func(one api.LinkView) string { return one.Recipient }},
			column[api.LinkView]{"SEEN (UTC)", func(one api.LinkView) string { return utc(&one.Seen) }},
			column[api.LinkView]{"FROM", func(one api.LinkView) string { return dash(one.Address) }},
			column[api.LinkView]{"BROWSER", func(one api.LinkView) string { return dash(one.Agent) }})
	}
	if l.Views {
		return views()
	}
	text, err := c.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if err := thing(terminal, l.remote, text, sheet.link); err != nil || l.Output != "table" {
		return err
	}
	return views()
}

type revokeLink struct {
	oneLink `embed:""`
}

// Run asks the gateway.
func (l revokeLink) Run(ctx context.Context, terminal terminal) error {
	return l.remove(ctx, terminal, "/links/", l.Link, "Ended. Nobody can open it any more.")
}
