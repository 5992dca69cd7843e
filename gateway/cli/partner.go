package cli

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/gateway/api"
)

type partnerCommands struct {
	List   listPartners  `cmd:"" help:"List partners, and those that have ended."`
	Add    addPartner    `cmd:"" help:"Make a partner: whoever is invited as a guest at its domains is of it."`
	Change changePartner `cmd:"" help:"Change a partner's name, domains, sponsor or end."`
	End    endPartner    `cmd:"" help:"End a partner, and the access of all its guests."`
}

type listPartners struct {
	remote `embed:""`
	Limit  int `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listPartners) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, "/partners", nil, l.Limit),
		column[api.Partner]{"ID", func(one api.Partner) string { return one.ID.String() }},
		column[api.Partner]{"NAME", func(one api.Partner) string { return one.Name }},
		column[api.Partner]{"DOMAINS", func(one api.Partner) string { return strings.Join(one.Domains, " ") }},
		column[api.Partner]{"SPONSOR", sponsorOf},
		column[api.Partner]{"GUESTS", func(one api.Partner) string { return strconv.Itoa(one.Guests) }},
		column[api.Partner]{"ENDS (UTC)", func(one api.Partner) string { return utc(cmp.Or(one.Ended, one.Ends)) }})
}

// sponsorOf is who answers for a partner, or that nobody does.
func sponsorOf(one api.Partner) string {
	if !one.Sponsored && one.Ended == nil {
		return one.SponsorIs + " (left)"
	}
	return one.SponsorIs
}

func (s sheet) partner(one api.Partner) {
	s.say("%s", visible(one.Name))
	s.row("id", one.ID.String())
	s.row("domains", strings.Join(one.Domains, " "))
	s.row("sponsor", visible(sponsorOf(one)))
	s.row("guests", strconv.Itoa(one.Guests))
	if one.Ends != nil {
		s.row("ends (UTC)", utc(one.Ends))
	}
	if one.Ended != nil {
		s.row("ended (UTC)", utc(one.Ended))
	}
}

type addPartner struct {
	remote  `embed:""`
	Name    string   `arg:"" help:"What it is called."`
	Domain  []string `help:"Of its e-mail addresses; may be repeated." required:"" placeholder:"DOMAIN"`
	Sponsor string   `help:"Who answers for it: userName or id of a user." required:"" placeholder:"NAME"`
	Ends    string   `help:"When it ends by itself, such as 2027-01-31T18:00:00Z." placeholder:"TIME"`
}

// Help is shown by 'postern partner add --help'.
func (addPartner) Help() string {
	return `  postern partner add "Auditors & Co" --domain auditors.example --sponsor dana@acme.example --ends 2027-03-31T00:00:00Z
  postern guest invite ada@auditors.example`
}

// Run asks the gateway.
func (a addPartner) Run(ctx context.Context, terminal terminal) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	wanted := api.PartnerSettings{Name: a.Name, Domains: a.Domain}
	return tellPartner(ctx, terminal, a.remote, c, http.MethodPost, "/partners", wanted, a.Sponsor, a.Ends)
}

// tellPartner sends what is wanted of a partner, with a sponsor and an end if they are given, and shows it.
func tellPartner(ctx context.Context, terminal terminal, from remote, c *apiClient, method, path string, wanted api.PartnerSettings, sponsor, ends string) error {
	if sponsor != "" {
		user, err := c.user(ctx, sponsor)
		if err != nil {
			return err
		}
		wanted.Sponsor = user.ID
	}
	if ends != "" {
		at, err := time.Parse(time.RFC3339, ends)
		if err != nil {
			return core.Invalid("--ends", "a time is written like 2027-01-31T18:00:00Z")
		}
		wanted.Ends = &at
	}
	text, err := c.ask(ctx, method, path, nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, from, text, sheet.partner)
}

// onePartner is part of every command about one partner.
type onePartner struct {
	remote  `embed:""`
	Partner string `arg:"" help:"Id of the partner; 'postern partner list' shows it."`
}

// find gives the gateway, the partner's address and the partner.
func (o onePartner) find(ctx context.Context) (*apiClient, string, api.Partner, error) {
	c, err := o.connect()
	if err != nil {
		return nil, "", api.Partner{}, err
	}
	path, err := pathOf("/partners/", o.Partner)
	if err != nil {
		return nil, "", api.Partner{}, err
	}
	found, err := get[api.Partner](ctx, c, path, nil)
	return c, path, found, err
}

type changePartner struct {
	onePartner `embed:""`
	Name       string   `help:"What it is called." placeholder:"TEXT"`
	Domain     []string `help:"All its domains; may be repeated." placeholder:"DOMAIN"`
	Sponsor    string   `help:"Who answers for it: userName or id of a user." placeholder:"NAME"`
	Ends       string   `help:"When it ends by itself, such as 2027-01-31T18:00:00Z." placeholder:"TIME" xor:"end"`
	Endless    bool     `help:"It has no end until somebody ends it." xor:"end"`
}

// Run asks the gateway.
func (p changePartner) Run(ctx context.Context, terminal terminal) error {
	c, path, before, err := p.find(ctx)
	if err != nil {
		return err
	}
	wanted := api.PartnerSettings{Name: cmp.Or(p.Name, before.Name), Domains: before.Domains, Sponsor: before.Sponsor, Ends: before.Ends}
	if p.Domain != nil {
		wanted.Domains = p.Domain
	}
	if p.Endless {
		wanted.Ends = nil
	}
	return tellPartner(ctx, terminal, p.remote, c, http.MethodPut, path, wanted, p.Sponsor, p.Ends)
}

type endPartner struct {
	onePartner `embed:""`
	Yes        bool `help:"Do it. Without, what would be done is shown."`
}

// Run asks the gateway.
func (e endPartner) Run(ctx context.Context, terminal terminal) error {
	c, path, partner, err := e.find(ctx)
	if err != nil {
		return err
	}
	if e.Yes {
		text, err := c.ask(ctx, http.MethodPost, path+"/end", nil, nil)
		if err != nil {
			return err
		}
		return thing(terminal, e.remote, text, sheet.partner)
	}
	text, err := c.ask(ctx, http.MethodGet, path+"/end-preview", nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, e.remote, text, func(sheet sheet, would api.PartnerEnd) {
		sheet.say("The end of %s would send away %d guests:", visible(partner.Name), len(would.Guests))
		for _, one := range would.Guests {
			sheet.say("  %s  %s <%s>", one.ID, visible(one.Name), visible(one.Email))
		}
		sheet.say("They saw, or could have seen, %d accounts:", len(would.Accounts))
		for _, one := range would.Accounts {
			what := "its password is changed"
			if !one.Rotated {
				what = "its password stays, by policy"
			}
			sheet.say("  %s  %s: %s", one.ID, visible(one.AppName+" ("+one.Username+")"), what)
		}
		sheet.say("\nNothing was done. Say --yes to do it.")
	})
}
