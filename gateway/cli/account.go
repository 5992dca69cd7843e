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

type accountCommands struct {
	List   listAccounts  `cmd:"" help:"List the accounts."`
	Show   showAccount   `cmd:"" help:"Show an account."`
	Add    addAccount    `cmd:"" help:"Add an account with the password it has now; a sign-in proves it."`
	Tag    tagAccount    `cmd:"" help:"Replace the tags of an account, for policies to cover it by."`
	Risk   riskOfAccount `cmd:"" help:"Say how bad an account were in wrong hands: of those that wait alike, the riskier are rotated first."`
	Verify verifyAccount `cmd:"" help:"Sign in to prove the stored password. Nothing is changed in the app."`

	Health      showHealth         `cmd:"" help:"Say how an account is, why, and what to do next."`
	Check       checkAccount       `cmd:"" help:"Try the stored password by one sign-in, or find out which stored one the app has."`
	Checks      listChecks         `cmd:"" help:"List an account's sign-in checks, latest first."`
	Password    storePassword      `cmd:"" help:"Store the password the app has now; a sign-in proves it before it counts."`
	Manage      manageAccount      `cmd:"" help:"Take an account under management again."`
	Unmanage    unmanageAccount    `cmd:"" help:"Take an account out of management: nobody is given its password any more."`
	Code        codeOfAccount      `cmd:"" help:"Get the one-time code of this moment, for somebody the account is shared with."`
	Reset       resetAccount       `cmd:"" help:"Have the app's administrator set a new password."`
	Disable     disableAccount     `cmd:"" help:"Have the app let an account in no more."`
	Enable      enableAccount      `cmd:"" help:"Have the app let an account in again; its password is then rotated."`
	Switches    listSwitches       `cmd:"" help:"List when an account was to be disabled or enabled, latest first."`
	BackupCodes backupCodeCommands `cmd:"" help:"The codes for when a second factor is lost."`
	Totp        totpCommands       `cmd:"" name:"totp" help:"The secret one-time codes are made from."`
	Mailbox     mailboxCommands    `cmd:"" help:"Where apps send messages to an account."`
	Inbox       inboxCommands      `cmd:"" help:"What an account was sent."`
	Report      reportFill         `cmd:"" help:"Say that the password did not work for somebody."`
	Settings    healthSettings     `cmd:"" help:"Show or change how often passwords are checked."`
}

func accountColumns() []column[api.Account] {
	return []column[api.Account]{
		{"ID", func(one api.Account) string { return one.ID.String() }},
		{"APP", func(one api.Account) string { return one.AppName }},
		{"USERNAME", func(one api.Account) string { return one.Username }},
		{"STATE", func(one api.Account) string { return one.State }},
		{"ROTATED (UTC)", func(one api.Account) string { return utc(one.Rotated) }},
		{"TAGS", func(one api.Account) string { return dash(strings.Join(one.Tags, " ")) }},
	}
}

type listAccounts struct {
	remote   `embed:""`
	State    string `help:"Only those in this state." enum:",unvalidated,validated,desync_suspected,desynced,unmanaged,app_disabled,at_risk" default:"" placeholder:"STATE"`
	Orphaned bool   `help:"Only those nobody active owns."`
	App      string `help:"Only those of this app: its name or id." default:"" placeholder:"NAME"`
	Tag      string `help:"Only those with this tag." default:"" placeholder:"TAG"`
	Search   string `help:"Only those whose username begins like this, whatever the case." default:"" placeholder:"TEXT"`
	Limit    int    `help:"At most so many rows; 0 is all." default:"0" placeholder:"N"`
}

// Help is shown by 'postern account list --help'.
func (listAccounts) Help() string {
	return `  postern account list
  postern account list --state desynced
  postern account list --app Wiki --tag production
  postern account list --search team@
  postern account list --orphaned -o jsonl | jq -r .id`
}

// Run asks the gateway.
func (l listAccounts) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	query := url.Values{}
	if l.State != "" {
		query.Set("state", l.State)
	}
	if l.Orphaned {
		query.Set("orphaned", "true")
	}
	if l.App != "" {
		app, err := c.app(ctx, l.App)
		if err != nil {
			return err
		}
		query.Set("app", app.String())
	}
	if l.Tag != "" {
		query.Set("tag", l.Tag)
	}
	if l.Search != "" {
		query.Set("search", l.Search)
	}
	return rows(terminal, l.remote, c.pages(ctx, "/accounts", query, l.Limit), accountColumns()...)
}

// oneAccount is part of every command about one account.
type oneAccount struct {
	remote  `embed:""`
	Account string `arg:"" help:"Id of the account ('postern account list' shows it)."`
}

// ask asks the gateway about the account.
func (o oneAccount) ask(ctx context.Context, method, part string, body any) (text []byte, err error) {
	c, err := o.connect()
	if err != nil {
		return nil, err
	}
	path, err := pathOf("/accounts/", o.Account)
	if err != nil {
		return nil, err
	}
	return c.ask(ctx, method, path+part, nil, body)
}

type showAccount struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (s showAccount) Run(ctx context.Context, terminal terminal) error {
	text, err := s.ask(ctx, http.MethodGet, "", nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.account)
}

func (s sheet) account(one api.Account) {
	s.say("%s", visible(nameOf(one)))
	s.row("id", one.ID.String())
	s.row("app", one.App.String())
	state := one.State
	if one.StateReason != "" {
		state += ": " + visible(one.StateReason)
	}
	s.row("state", state)
	if one.Orphaned {
		s.row("owner", "nobody active")
	}
	s.row("tags", dash(strings.Join(one.Tags, " ")))
	s.row("risk", riskOf(one.Risk))
	s.row("proved (UTC)", utc(one.Validated))
	s.row("rotated (UTC)", utc(one.Rotated))
	s.row("created (UTC)", utc(&one.Created))
}

func riskOf(level int) string {
	if level == 0 {
		return "as its app"
	}
	return strconv.Itoa(level)
}

// addAccount adds one account; 'postern import' adds many.
type addAccount struct {
	remote       `embed:""`
	App          string `help:"Name or id of the app." required:"" placeholder:"NAME"`
	Username     string `help:"What one signs in with." required:"" placeholder:"NAME"`
	Owner        string `help:"userName or id of the user who owns it." required:"" placeholder:"NAME"`
	PasswordFile string `help:"File that holds the password, in one line; - is standard input." required:"" placeholder:"PATH"`
}

// Help is shown by 'postern account add --help'.
func (addAccount) Help() string {
	return `  postern account add --app Wiki --username team@acme.example --owner dana@acme.example --password-file -

The password is never an argument: others could see it. For many accounts at once see 'postern import'.`
}

// Run asks the gateway.
func (a addAccount) Run(ctx context.Context, terminal terminal) error {
	password, err := readLine("--password-file", a.PasswordFile)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	app, err := c.app(ctx, a.App)
	if err != nil {
		return err
	}
	owner, err := c.user(ctx, a.Owner)
	if err != nil {
		return err
	}
	made, err := c.ask(ctx, http.MethodPost, "/accounts", nil, struct {
		App      core.ID `json:"app"`
		Username string  `json:"username"`
		Password string  `json:"password"`
		Owner    core.ID `json:"owner"`
	}{app, a.Username, password.Reveal(), owner.ID})
	if err != nil {
		return err
	}
	return thing(terminal, a.remote, made, sheet.account)
}

// tagAccount replaces the tags.
type tagAccount struct {
	oneAccount `embed:""`
	Tags       []string `arg:"" optional:"" help:"Its tags from now on; none when left out."`
}

// Run asks the gateway.
func (t tagAccount) Run(ctx context.Context, terminal terminal) error {
	text, err := t.ask(ctx, http.MethodPut, "/tags", map[string]any{"tags": append([]string{}, t.Tags...)})
	if err != nil {
		return err
	}
	return thing(terminal, t.remote, text, func(sheet sheet, one api.Account) {
		sheet.say("%s is tagged: %s", visible(nameOf(one)), dash(strings.Join(one.Tags, ", ")))
	})
}

// riskOfAccount sets the risk.
type riskOfAccount struct {
	oneAccount `embed:""`
	Risk       int `arg:"" help:"From 1 (least) to 5 (most); 0: as its app."`
}

// Run asks the gateway.
func (r riskOfAccount) Run(ctx context.Context, terminal terminal) error {
	text, err := r.ask(ctx, http.MethodPut, "/risk", map[string]any{"risk": r.Risk})
	if err != nil {
		return err
	}
	return thing(terminal, r.remote, text, sheet.account)
}

type verifyAccount struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (v verifyAccount) Run(ctx context.Context, terminal terminal) error {
	text, err := v.ask(ctx, http.MethodPost, "/verification", nil)
	if err != nil {
		return err
	}
	return thing(terminal, v.remote, text, sheet.begun)
}
