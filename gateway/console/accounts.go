package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/connectors/recipe"
	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/health"
	"postern/core/rotation"
)

// pageSize is how many rows a page of a list has.
const pageSize = 100

// row is one account of the list.
type row struct {
	accounts.Account
	Rotation *rotation.Rotation // the latest
}

// Busy reports whether a rotation is under way.
func (r row) Busy() bool { return r.Rotation != nil && r.Rotation.Finished == nil }

// Uses reports whether the reader may use the account.
func (r row) Uses() bool { return r.Role != "" }

// accountsPage is the list of accounts.
type accountsPage struct {
	Rows   []row
	Mine   bool // only what the reader may use
	Choice bool // whether the reader may choose
	Query  string
	State  accounts.State   // only those in this state, or health.Orphaned
	States []accounts.State // there are
	Whole  bool             // every account there is, so that they can be counted
	Next   string
	InSync int
	Wrong  int // states that need a person
	Busy   int
	// Orphans have no owner.
	Orphans int
}

// listAccounts shows what the reader may use; administrators see every account of the workspace.
func (s *Service) listAccounts(c *gin.Context) {
	by := s.reader(c)
	page := accountsPage{Mine: !by.admin() || c.Query("show") == "mine", Choice: by.admin(), Query: strings.TrimSpace(c.Query("q")), States: append(accounts.States(), health.Orphaned)}
	if page.State = accounts.State(c.Query("state")); page.State != "" && (page.Mine || !slices.Contains(page.States, page.State)) {
		s.refuse(c, core.Invalid("state", "there is no such state"))
		return
	}
	found, err := s.findAccounts(c, by, &page)
	if err != nil {
		s.refuse(c, err)
		return
	}
	latest, err := s.Rotations.Latest(c.Request.Context(), s.DB, by.workspace(), idsOf(found))
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, account := range found {
		one := row{Account: account}
		if rotation, ok := latest[account.ID]; ok {
			one.Rotation = &rotation
		}
		page.add(one)
	}
	s.show(c, http.StatusOK, "accounts", "Accounts", "accounts", page)
}

// findAccounts reads a page of the list, with the reader's roles, and says what comes next.
func (s *Service) findAccounts(c *gin.Context, by reader, page *accountsPage) ([]accounts.Account, error) {
	ctx := c.Request.Context()
	after, err := queryID(c, "after")
	if err != nil {
		return nil, err
	}
	next := url.Values{}
	if page.Query != "" {
		next.Set("q", page.Query)
	}
	var found []accounts.Account
	if page.Mine {
		usable, err := s.Accounts.Usable(ctx, s.DB, by.workspace(), by.user.ID, accounts.UsableQuery{Search: page.Query, Limit: pageSize, After: after})
		if err != nil {
			return nil, err
		}
		for _, one := range usable {
			one.Account.Role = one.Role
			found = append(found, one.Account)
		}
		if len(found) == pageSize {
			next.Set("after", found[pageSize-1].ID.String())
		}
		if page.Choice {
			next.Set("show", "mine")
		}
	} else if page.State != "" {
		if found, err = s.Accounts.List(ctx, s.DB, by.workspace(), narrowed(page.State, after)); err != nil {
			return nil, err
		}
		roles, err := s.Accounts.RolesOn(ctx, s.DB, by.workspace(), by.user.ID, idsOf(found))
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].Role = roles[found[i].ID]
		}
		if len(found) == pageSize {
			next.Set("after", found[pageSize-1].ID.String())
		}
		next.Set("state", string(page.State))
	} else {
		named, err := s.Accounts.Named(ctx, s.DB, by.workspace(), accounts.NamedQuery{Search: page.Query, After: after, ByUsername: c.Query("by") == "username", Limit: pageSize})
		if err != nil {
			return nil, err
		}
		roles, err := s.Accounts.RolesOn(ctx, s.DB, by.workspace(), by.user.ID, idsOf(named.Accounts))
		if err != nil {
			return nil, err
		}
		found = named.Accounts
		for i := range found {
			found[i].Role = roles[found[i].ID]
		}
		if !named.Next.IsZero() {
			next.Set("after", named.Next.String())
		}
		if named.ByUsername {
			next.Set("by", "username")
		}
	}
	if next.Has("after") {
		page.Next = "/?" + next.Encode()
	}
	page.Whole = page.Next == "" && after.IsZero() && page.Query == "" && page.State == ""
	return found, nil
}

// narrowed is a page of the accounts in a state.
func narrowed(state accounts.State, after core.ID) accounts.ListQuery {
	if state == health.Orphaned {
		return accounts.ListQuery{Limit: pageSize, After: after, Orphaned: true}
	}
	return accounts.ListQuery{Limit: pageSize, After: after, State: state}
}

func idsOf(all []accounts.Account) []core.ID {
	ids := make([]core.ID, 0, len(all))
	for _, one := range all {
		ids = append(ids, one.ID)
	}
	return ids
}

// add puts an account on the page and counts it.
func (p *accountsPage) add(one row) {
	p.Rows = append(p.Rows, one)
	switch tone := known(accountStates, one.State).Tone; {
	case one.State == accounts.Validated:
		p.InSync++
	case tone == "warn" || tone == "bad":
		p.Wrong++
	}
	if one.Busy() {
		p.Busy++
	}
	if one.Orphaned {
		p.Orphans++
	}
}

// accountPage is one account.
type accountPage struct {
	Account    accounts.Account
	App        accounts.App
	Role       accounts.Role // of the reader; empty: an administrator without a grant
	Manages    bool          // owner or administrator
	Enrols     bool          // the app's second factor can be turned on by Postern
	Insider    bool          // may know who else uses it: no guest
	Grants     []accounts.Grant
	MoreGrants string
	Unshare    *accounts.Grant   // is to be confirmed
	People     []accounts.Access // a page of everybody who may use it
	Further    bool              // not the first page
	MorePeople string
	Exposures  []accounts.Exposure
	Health     health.View
	Checks     []health.Check
	Versions   []accounts.Version
	Rotations  []rotation.Rotation
	Chosen     *rotation.Rotation
	Steps      []stepLine
	Subjects   []subject // who it could be shared with
	Problem    string    // of the action that was refused
	Seen       int64     // what the page shows is of then, in microseconds
	Again      string    // reveal, fill, code or backup-code: asked for before the reader proved themselves, and offered again
	TOTP       *accounts.TOTP
	Backup     *accounts.BackupCodes
	BackupCode string         // that the reader was given just now
	Given      *accounts.Code // of TOTP, on a page that was asked for without scripts
	Code       string
	Disable    bool // disabling it in the app is to be confirmed
	Forget     bool // removing the TOTP secret is to be confirmed
	Reconcile  reconcile
}

// Busy reports whether a rotation or a check is under way: the page then updates by itself.
func (p accountPage) Busy() bool {
	return p.Health.Open != nil || slices.ContainsFunc(p.Rotations, func(r rotation.Rotation) bool { return r.Finished == nil })
}

// Recipe reports whether the app is signed in to as somebody recorded it.
func (p accountPage) Recipe() bool {
	var settings struct {
		Recipe json.RawMessage `json:"recipe"`
	}
	return json.Unmarshal(p.App.Settings, &settings) == nil && settings.Recipe != nil
}

// stepLine is one step of a rotation, with the time since it was asked for.
type stepLine struct {
	rotation.Step
	After      time.Duration
	Evidence   string
	Difference recipe.Difference // what had become of the app's pages
}

// subject is a user or team that an account can be shared with, by its name.
type subject struct {
	Name string
	Hint string
}

// showAccount shows one account to those who may use it, and to administrators.
func (s *Service) showAccount(c *gin.Context) { s.account(c, http.StatusOK, "") }

// account renders the page of the account in the path, perhaps with why an action was refused.
func (s *Service) account(c *gin.Context, status int, refusal string) {
	page, err := s.loadAccount(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page.Problem = refusal
	if again := c.Query("again"); slices.Contains([]string{"reveal", "fill", "code", "backup-code"}, again) {
		page.Again = again
	}
	s.show(c, status, "account", page.Account.AppName+" · "+page.Account.Username, "accounts", page)
}

func (s *Service) loadAccount(c *gin.Context) (accountPage, error) {
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err != nil {
		return accountPage{}, err
	}
	chosen, err := queryID(c, "rotation")
	if err != nil {
		return accountPage{}, err
	}
	page := accountPage{Seen: s.now().UnixMicro()}
	if page.Role, err = s.may(ctx, by, id); err != nil {
		return accountPage{}, err
	}
	page.Manages = by.admin() || page.Role == accounts.Owner
	if page.Health, err = s.Health.View(ctx, s.DB, by.workspace(), id); err != nil {
		return accountPage{}, err
	}
	page.Account = page.Health.Account
	switch backup, err := s.Accounts.BackupCodes(ctx, s.DB, by.workspace(), id); {
	case err == nil:
		page.Backup = &backup
	case core.KindOf(err) != core.KindNotFound:
		return page, err
	}
	switch totp, err := s.Accounts.TOTP(ctx, s.DB, by.workspace(), id); {
	case err == nil:
		page.TOTP, page.Forget = &totp, page.Manages && c.Query("totp") == "remove"
	case core.KindOf(err) != core.KindNotFound:
		return accountPage{}, err
	}
	if page.App, err = s.Accounts.App(ctx, s.DB, by.workspace(), page.Account.App); err != nil {
		return accountPage{}, err
	}
	page.Enrols = slices.Contains(rotation.Capabilities(s.Rotations.Connectors[page.App.Connector], page.App.Settings), rotation.CanEnrol)
	if page.Manages {
		page.Disable = c.Query("switch") == "disable"
		if err := s.loadReconcile(ctx, by, &page); err != nil {
			return accountPage{}, err
		}
	}
	if page.Insider = by.user.Role != directory.RoleGuest; page.Insider {
		if page.Grants, page.MoreGrants, err = s.grants(c, by.workspace(), id); err != nil {
			return accountPage{}, err
		}
	}
	if page.Rotations, err = s.Rotations.List(ctx, s.DB, by.workspace(), id, 20); err != nil {
		return accountPage{}, err
	}
	if page.Manages {
		page.Unshare = unsharing(c, page.Grants)
		if err := s.loadPeople(c, &page); err != nil {
			return accountPage{}, err
		}
		if page.Exposures, err = s.Accounts.Exposures(ctx, s.DB, by.workspace(), id, 20); err != nil {
			return accountPage{}, err
		}
		if page.Checks, err = s.Health.Checks(ctx, s.DB, by.workspace(), id, core.ID{}, 10); err != nil {
			return accountPage{}, err
		}
		if page.Versions, err = s.Accounts.Versions(ctx, s.DB, by.workspace(), id); err != nil {
			return accountPage{}, err
		}
		if page.Subjects, err = s.subjects(ctx, by.workspace()); err != nil {
			return accountPage{}, err
		}
	}
	for i := range page.Rotations {
		if page.Rotations[i].ID == chosen || chosen.IsZero() && page.Chosen == nil {
			page.Chosen = &page.Rotations[i]
		}
	}
	if page.Chosen == nil {
		return page, nil
	}
	steps, err := s.Rotations.Steps(ctx, s.DB, by.workspace(), page.Chosen.ID)
	if err != nil {
		return accountPage{}, err
	}
	for _, step := range steps {
		var seen struct {
			Model json.RawMessage `json:"model"`
		}
		_ = json.Unmarshal(step.Evidence, &seen) // a step that saw no page has no difference
		page.Steps = append(page.Steps, stepLine{
			Step: step, After: step.At.Sub(page.Chosen.Cause.Received), Evidence: pretty(step.Evidence), Difference: recipe.Told(seen.Model),
		})
	}
	return page, nil
}

// unsharing is the grant that is to be taken back, once that is confirmed.
func unsharing(c *gin.Context, grants []accounts.Grant) *accounts.Grant {
	at := slices.IndexFunc(grants, func(one accounts.Grant) bool { return one.ID.String() == c.Query("unshare") })
	if at < 0 {
		return nil
	}
	return &grants[at]
}

// grants reads a page of an account's grants, and where the next begins.
func (s *Service) grants(c *gin.Context, workspace, account core.ID) ([]accounts.Grant, string, error) {
	after, err := queryID(c, "grants")
	if err != nil {
		return nil, "", err
	}
	found, err := s.Accounts.GrantsBehind(c.Request.Context(), s.DB, workspace, account, after, pageSize)
	users, last := 0, core.ID{}
	for _, one := range found {
		if one.User.IsZero() {
			continue
		}
		users++
		if bytes.Compare(one.User[:], last[:]) > 0 {
			last = one.User
		}
	}
	if users < pageSize {
		return found, "", err
	}
	return found, last.String(), err
}

// loadPeople adds who may use the account, and through what.
func (s *Service) loadPeople(c *gin.Context, page *accountPage) error {
	after, err := queryID(c, "people")
	if err != nil {
		return err
	}
	page.Further = !after.IsZero()
	page.People, err = s.Accounts.Access(c.Request.Context(), s.DB, page.Account.Workspace, page.Account.ID, accounts.AccessQuery{Limit: pageSize, After: after})
	if len(page.People) == pageSize {
		page.MorePeople = page.People[pageSize-1].User.String()
	}
	return err
}

// may gives the reader's role on an account. An administrator without one passes; anybody else is
// told that there is no such account.
func (s *Service) may(ctx context.Context, by reader, account core.ID) (accounts.Role, error) {
	role, err := s.Accounts.MayUse(ctx, s.DB, by.workspace(), by.user.ID, account)
	if core.KindOf(err) == core.KindDenied {
		if by.admin() {
			return "", nil
		}
		return "", core.NotFound("account, or it is not shared with you").Because(err)
	}
	return role, err
}

// subjects lists the first users and teams an account could be shared with; others are found by
// their full name.
func (s *Service) subjects(ctx context.Context, workspace core.ID) ([]subject, error) {
	active := true
	users, _, err := s.Directory.Users(ctx, s.DB, workspace, directory.UserQuery{Active: &active, Limit: 100})
	if err != nil {
		return nil, err
	}
	teams, _, err := s.Directory.Teams(ctx, s.DB, workspace, directory.TeamQuery{Limit: 100})
	if err != nil {
		return nil, err
	}
	var all []subject
	for _, team := range teams {
		all = append(all, subject{team.DisplayName, "team"})
	}
	for _, user := range users {
		all = append(all, subject{user.UserName, user.Name()})
	}
	return all, nil
}

// pretty is a step's evidence as a person can read it; empty when there is none.
func pretty(evidence json.RawMessage) string {
	var members map[string]any
	if json.Unmarshal(evidence, &members) != nil || len(members) == 0 {
		return ""
	}
	text, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}
