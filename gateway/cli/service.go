package cli

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

type serviceCommands struct {
	List   listServices  `cmd:"" help:"List service accounts, with their blast radius."`
	Show   showService   `cmd:"" help:"Show a service account: owners, credentials, what it gets at."`
	Create createService `cmd:"" help:"Add a service account with its owners."`
	Change changeService `cmd:"" help:"Change what is given, and leave the rest."`
	Remove removeService `cmd:"" help:"Remove a service account, its tokens and its credentials."`
	Owner  ownerCommands `cmd:"" help:"Say who answers for a service account."`
	Reach  setReaches    `cmd:"" help:"Replace what a service account gets at besides Postern."`
	Group  groupServices `cmd:"" help:"Sort service accounts by risk, sensitivity or unit."`
	Advise adviseOnSplit `cmd:"" help:"Propose how to divide service accounts that exceed a blast radius."`

	Credential serviceCredentialCommands `cmd:"" help:"Keep what a service account gets in with."`
	Rotate     rotateCredential          `cmd:"" help:"Make the new value of a credential; the old one stays good."`
	Rotation   showCredentialRotation    `cmd:"" help:"Show the rotation of a credential with its steps."`
	Distribute distributeValue           `cmd:"" help:"Say that the new value is where it is used."`
	Verify     verifyValue               `cmd:"" help:"Say that the new value is in use."`
	Revoke     revokeValue               `cmd:"" help:"Revoke the old value of a rotation that is verified."`
	RollBack   rollBackValue             `cmd:"" help:"Revoke the new value, and keep the old one."`
	Finding    serviceFindingCommands    `cmd:"" help:"See what is odd about service accounts, and decide on it."`
}

// service finds a service account by id or name.
func (c *apiClient) service(ctx context.Context, given string) (api.ServiceAccount, error) {
	if id, err := core.ParseID(given); err == nil {
		return get[api.ServiceAccount](ctx, c, "/service-accounts/"+id.String(), nil)
	}
	all, err := found[api.ServiceAccount](c.pages(ctx, "/service-accounts", url.Values{"search": {given}}, 0))
	if err != nil {
		return api.ServiceAccount{}, err
	}
	var names []string
	for _, one := range all {
		if one.Name == given {
			return one, nil
		}
		names = append(names, one.Name)
	}
	return api.ServiceAccount{}, missing("service account", given, names, "postern service create")
}

func serviceAt(one api.ServiceAccount) string { return "/service-accounts/" + one.ID.String() }

type listServices struct {
	remote  `embed:""`
	Search  string `help:"How the name begins." placeholder:"TEXT"`
	Unit    string `help:"Of one unit of the organisation." placeholder:"NAME"`
	Risk    int    `help:"Of one risk, 1 to 5." placeholder:"N"`
	Unowned bool   `help:"Only those that lack owners."`
	Limit   int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Run asks the gateway.
func (l listServices) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{"search": {l.Search}, "unit": {l.Unit}, "risk": {strconv.Itoa(l.Risk)}, "unowned": {strconv.FormatBool(l.Unowned)}}
	return rows(terminal, l.remote, c.pages(ctx, "/service-accounts", query, l.Limit),
		column[api.ServiceAccount]{"ID", func(one api.ServiceAccount) string { return one.ID.String() }},
		column[api.ServiceAccount]{"NAME", func(one api.ServiceAccount) string { return one.Name }},
		column[api.ServiceAccount]{"UNIT", func(one api.ServiceAccount) string { return dash(one.Unit) }},
		column[api.ServiceAccount]{"OWNED", func(one api.ServiceAccount) string { return strconv.FormatBool(one.Owned) }},
		column[api.ServiceAccount]{"BLAST", func(one api.ServiceAccount) string { return strconv.Itoa(one.Blast) }},
		column[api.ServiceAccount]{"FINDINGS", func(one api.ServiceAccount) string { return strconv.Itoa(one.Findings) }},
		column[api.ServiceAccount]{"LAST USED (UTC)", func(one api.ServiceAccount) string { return utc(one.LastUsed) }})
}

// oneService is part of every command about one service account.
type oneService struct {
	remote  `embed:""`
	Service string `arg:"" help:"Name or id of the service account."`
}

// find gives the gateway and the service account.
func (o oneService) find(ctx context.Context) (*apiClient, api.ServiceAccount, error) {
	c, err := o.connect()
	if err != nil {
		return nil, api.ServiceAccount{}, err
	}
	one, err := c.service(ctx, o.Service)
	return c, one, err
}

// shownService is a service account with all there is of it.
type shownService struct {
	api.ServiceAccount
	Owners      []api.ServiceOwner      `json:"owners"`
	Credentials []api.ServiceCredential `json:"credentials"`
	Radius      api.BlastRadius         `json:"explained"`
}

type showService struct {
	oneService `embed:""`
	Budget     int `help:"What its blast radius should not exceed." default:"50" placeholder:"N"`
}

// Run asks the gateway.
func (s showService) Run(ctx context.Context, terminal terminal) error {
	c, one, err := s.find(ctx)
	if err != nil {
		return err
	}
	shown := shownService{ServiceAccount: one}
	if shown.Owners, err = found[api.ServiceOwner](c.pages(ctx, serviceAt(one)+"/owners", nil, 0)); err != nil {
		return err
	}
	if shown.Credentials, err = found[api.ServiceCredential](c.pages(ctx, serviceAt(one)+"/credentials", nil, 0)); err != nil {
		return err
	}
	if shown.Radius, err = get[api.BlastRadius](ctx, c, serviceAt(one)+"/blast-radius", url.Values{"budget": {strconv.Itoa(s.Budget)}}); err != nil {
		return err
	}
	return thing(terminal, s.remote, encoded(shown), sheet.service)
}

func (s sheet) service(one shownService) {
	s.say("%s", visible(one.Name))
	if one.Purpose != "" {
		s.say("  %s", visible(one.Purpose))
	}
	s.row("id", one.ID.String())
	s.row("unit", dash(visible(one.Unit)))
	s.row("risk, sensitivity", strconv.Itoa(one.Risk)+", "+strconv.Itoa(one.Sensitivity))
	s.row("scopes", dash(strings.Join(one.Scopes, " ")))
	s.row("last used (UTC)", utc(one.LastUsed))
	s.say("\nOwners")
	for _, owner := range one.Owners {
		kind, gone := "user", ""
		if !owner.Team.IsZero() {
			kind = "team"
		}
		if !owner.Active {
			gone = "  (no longer active)"
		}
		s.say("  %s  %s %s%s", owner.ID, kind, visible(owner.Name), gone)
	}
	s.say("\nCredentials")
	for _, credential := range one.Credentials {
		s.say("  %s  %s  (%s, held by %s)", credential.ID, visible(credential.Name), credential.Kind, credential.Held)
		for _, version := range credential.Versions {
			if version.Revoked == nil {
				s.say("    slot %d: version %d, last used %s, expires %s", version.Slot, version.Version, utc(version.LastUsed), utc(version.Expires))
			}
		}
	}
	s.say("\nBlast radius %d of %d", one.Radius.Blast, one.Radius.Budget)
	for _, term := range one.Radius.Terms {
		s.say("  %3d  %s  (risk %d × sensitivity %d)", term.Product, visible(term.Name), term.Risk, term.Sensitivity)
	}
	s.parts(one.Radius.Parts)
}

func (s sheet) parts(parts []api.ServicePart) {
	for _, part := range parts {
		var names []string
		for _, term := range part.Terms {
			names = append(names, visible(term.Name))
		}
		s.say("  %s, %d: %s (%s)", part.Name, part.Blast, strings.Join(names, ", "), visible(part.Why))
	}
}

// serviceFlags are what is said of a service account.
type serviceFlags struct {
	Purpose     *string  `help:"What it is for." placeholder:"TEXT"`
	Unit        *string  `help:"Unit of the organisation." placeholder:"NAME"`
	Risk        *int     `help:"1 to 5: how bad it were in wrong hands." placeholder:"N"`
	Sensitivity *int     `help:"1 to 5: of the data it works with." placeholder:"N"`
	Scope       []string `help:"What it may do in Postern, such as accounts:read, or grants/ID:write for the account ID alone; may be repeated." placeholder:"SCOPE"`
	Network     []string `help:"Where it is expected to be, as 192.0.2.0/24; may be repeated." placeholder:"CIDR"`
}

func (f serviceFlags) apply(to *api.ServiceAccountSettings) {
	to.Purpose, to.Unit = said(f.Purpose, to.Purpose), said(f.Unit, to.Unit)
	to.Risk, to.Sensitivity = said(f.Risk, to.Risk), said(f.Sensitivity, to.Sensitivity)
	if f.Scope != nil {
		to.Scopes = f.Scope
	}
	if f.Network != nil {
		to.Networks = f.Network
	}
}

// said is what a flag says, if it was given.
func said[Value any](flag *Value, otherwise Value) Value {
	if flag == nil {
		return otherwise
	}
	return *flag
}

// serviceOwner is an owner that is asked for.
type serviceOwner struct {
	User core.ID `json:"user,omitzero"`
	Team core.ID `json:"team,omitzero"`
}

// newService is what is asked for.
type newService struct {
	api.ServiceAccountSettings
	Owners []serviceOwner `json:"owners"`
}

type createService struct {
	remote       `embed:""`
	serviceFlags `embed:""`
	Name         string   `arg:"" help:"What the audit log calls it."`
	Owner        []string `help:"userName or id of somebody who answers for it; may be repeated." placeholder:"NAME"`
	Team         []string `help:"Name or id of a team that does." placeholder:"NAME"`
}

// Help is shown by 'postern service create --help'.
func (createService) Help() string {
	return `Two active people answer for a service account at least, or a team with active members.

  postern service create ci --owner dana@acme.example --owner ana@acme.example --scope apps:read --risk 4
  postern service credential add ci API --kind token --days 90`
}

// Run asks the gateway.
func (s createService) Run(ctx context.Context, terminal terminal) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	wanted := newService{ServiceAccountSettings: api.ServiceAccountSettings{Name: s.Name, Risk: 3, Sensitivity: 3}, Owners: []serviceOwner{}}
	s.apply(&wanted.ServiceAccountSettings)
	for _, name := range s.Owner {
		user, err := c.user(ctx, name)
		if err != nil {
			return err
		}
		wanted.Owners = append(wanted.Owners, serviceOwner{User: user.ID})
	}
	for _, name := range s.Team {
		team, err := c.team(ctx, name)
		if err != nil {
			return err
		}
		wanted.Owners = append(wanted.Owners, serviceOwner{Team: team})
	}
	made, err := c.ask(ctx, http.MethodPost, "/service-accounts", nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, made, func(sheet sheet, one api.ServiceAccount) {
		sheet.say("%s is there.", visible(one.Name))
		sheet.row("id", one.ID.String())
		sheet.say("\nIt gets in once it has a credential: postern service credential add %s NAME --kind token", one.ID)
	})
}

type changeService struct {
	oneService   `embed:""`
	serviceFlags `embed:""`
	Name         string `help:"Another name." placeholder:"NAME"`
}

// Run asks the gateway.
func (s changeService) Run(ctx context.Context, terminal terminal) error {
	c, one, err := s.find(ctx)
	if err != nil {
		return err
	}
	_, tag, err := c.exchange(ctx, http.MethodGet, serviceAt(one), nil, nil)
	if err != nil {
		return err
	}
	wanted := api.ServiceAccountSettings{
		Name: one.Name, Purpose: one.Purpose, Unit: one.Unit, Risk: one.Risk, Sensitivity: one.Sensitivity, Scopes: one.Scopes, Networks: one.Networks,
	}
	s.apply(&wanted)
	if s.Name != "" {
		wanted.Name = s.Name
	}
	changed, err := c.ask(ctx, http.MethodPut, serviceAt(one), nil, wanted, "If-Match", tag)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, changed, func(sheet sheet, one api.ServiceAccount) {
		sheet.say("%s is changed: %s.", visible(one.Name), dash(strings.Join(one.Scopes, " ")))
	})
}

type removeService struct {
	oneService `embed:""`
}

// Run asks the gateway.
func (s removeService) Run(ctx context.Context, terminal terminal) error {
	_, one, err := s.find(ctx)
	if err != nil {
		return err
	}
	return s.remove(ctx, terminal, "/service-accounts/", one.ID.String(), visible(one.Name)+" is removed; what it opened elsewhere is for you to end there.")
}

type ownerCommands struct {
	Add    addServiceOwner    `cmd:"" help:"Have one more person or team answer for it."`
	Remove removeServiceOwner `cmd:"" help:"Take an owner away. Two active people, or a team, stay."`
}

type addServiceOwner struct {
	oneService `embed:""`
	User       string `help:"userName or id." placeholder:"NAME" xor:"owner" required:""`
	Team       string `help:"Name or id of a team." placeholder:"NAME" xor:"owner" required:""`
}

// Run asks the gateway.
func (a addServiceOwner) Run(ctx context.Context, terminal terminal) error {
	c, one, err := a.find(ctx)
	if err != nil {
		return err
	}
	var wanted serviceOwner
	if a.Team != "" {
		wanted.Team, err = c.team(ctx, a.Team)
	} else {
		var user api.User
		user, err = c.user(ctx, a.User)
		wanted.User = user.ID
	}
	if err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, serviceAt(one)+"/owners", nil, wanted)
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, made, func(sheet sheet, _ struct{}) {
		sheet.say("%s%s answers for %s now.", a.User, a.Team, visible(one.Name))
	})
}

type removeServiceOwner struct {
	remote `embed:""`
	Owner  string `arg:"" help:"Id of the owner ('postern service show' tells it)."`
}

// Run asks the gateway.
func (r removeServiceOwner) Run(ctx context.Context, terminal terminal) error {
	return r.remove(ctx, terminal, "/service-owners/", r.Owner, "Taken away.")
}

type setReaches struct {
	oneService `embed:""`
	To         []string `help:"Its name, risk 1 to 5, sensitivity 1 to 5 and unit, as 'Billing|5|4|finance'; may be repeated. None takes all away." placeholder:"REACH" sep:"none"`
}

// Run asks the gateway.
func (r setReaches) Run(ctx context.Context, terminal terminal) error {
	reaches := []api.ServiceReach{}
	for _, text := range r.To {
		fields := strings.Split(text, "|")
		if len(fields) < 3 || len(fields) > 4 {
			return core.Invalid("--to", "write its name|risk|sensitivity|unit, as 'Billing|5|4|finance'")
		}
		risk, wrong := strconv.Atoi(fields[1])
		sensitivity, wrongToo := strconv.Atoi(fields[2])
		if wrong != nil || wrongToo != nil {
			return core.Invalid("--to", "risk and sensitivity are 1 to 5")
		}
		reach := api.ServiceReach{Name: fields[0], Risk: risk, Sensitivity: sensitivity}
		if len(fields) == 4 {
			reach.Unit = fields[3]
		}
		reaches = append(reaches, reach)
	}
	c, one, err := r.find(ctx)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodPut, serviceAt(one)+"/reaches", nil, map[string]any{"reaches": reaches})
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, func(sheet sheet, radius api.BlastRadius) {
		sheet.say("The blast radius of %s is %d.", visible(one.Name), radius.Blast)
		sheet.parts(radius.Parts)
	})
}

type groupServices struct {
	remote `embed:""`
	By     string `help:"unit, risk or sensitivity." enum:"unit,risk,sensitivity" default:"unit"`
}

// Run asks the gateway.
func (g groupServices) Run(ctx context.Context, terminal terminal) error {
	c, err := g.connect()
	if err != nil {
		return err
	}
	return rows(terminal, g.remote, c.pages(ctx, "/service-groups", url.Values{"by": {g.By}}, 0),
		column[api.ServiceGroup]{strings.ToUpper(g.By), func(one api.ServiceGroup) string { return dash(one.Key) }},
		column[api.ServiceGroup]{"SERVICE ACCOUNTS", func(one api.ServiceGroup) string { return strconv.Itoa(one.Accounts) }},
		column[api.ServiceGroup]{"BLAST", func(one api.ServiceGroup) string { return strconv.Itoa(one.Blast) }},
		column[api.ServiceGroup]{"MOST", func(one api.ServiceGroup) string { return strconv.Itoa(one.Most) }},
		column[api.ServiceGroup]{"UNOWNED", func(one api.ServiceGroup) string { return strconv.Itoa(one.Unowned) }})
}

type adviseOnSplit struct {
	remote `embed:""`
	Budget int `help:"What no service account should exceed; 25 at least." default:"50" placeholder:"N"`
}

// Run asks the gateway.
func (a adviseOnSplit) Run(ctx context.Context, terminal terminal) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	list := c.pages(ctx, "/service-advice", url.Values{"budget": {strconv.Itoa(a.Budget)}}, 0)
	if a.Output != "table" {
		return rows[api.ServiceAdvice](terminal, a.remote, list)
	}
	all, err := found[api.ServiceAdvice](list)
	if err != nil {
		return err
	}
	sheet := sheet{terminal.out}
	if len(all) == 0 {
		sheet.say("No service account exceeds %d.", a.Budget)
	}
	for _, one := range all {
		sheet.say("%s, %d: into %d", visible(one.Name), one.Blast, len(one.Parts))
		sheet.parts(one.Parts)
	}
	return nil
}
