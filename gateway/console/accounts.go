package console

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/rotation"
)

const pageSize = 200

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
	Rows    []row
	Mine    bool // only what the reader may use
	Choice  bool // whether the reader may choose
	InSync  int
	Wrong   int // states that need a person
	Busy    int
	Orphans int
	Next    string
}

// listAccounts shows what the reader may use; administrators see every account of the workspace.
func (s *Service) listAccounts(c *gin.Context) {
	ctx, by := c.Request.Context(), s.reader(c)
	after, err := queryID(c, "after")
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := accountsPage{Mine: !by.admin() || c.Query("show") == "mine", Choice: by.admin()}
	// Both lists are in the order of accounts: what the reader may use of a page is not behind its end.
	usable, err := s.Accounts.Usable(ctx, s.DB, by.workspace(), by.user.ID, accounts.UsableQuery{Limit: pageSize, After: after})
	if err != nil {
		s.refuse(c, err)
		return
	}
	var found []accounts.Account
	roles := map[core.ID]accounts.Role{}
	for _, one := range usable {
		found = append(found, one.Account)
		roles[one.ID] = one.Role
	}
	if !page.Mine {
		if found, err = s.Accounts.List(ctx, s.DB, by.workspace(), accounts.ListQuery{Limit: pageSize, After: after}); err != nil {
			s.refuse(c, err)
			return
		}
	}
	if len(found) == pageSize {
		page.Next = found[len(found)-1].ID.String()
	}
	latest, err := s.latest(ctx, by.workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, account := range found {
		account.Role = roles[account.ID]
		one := row{Account: account, Rotation: latest[account.ID]}
		page.Rows = append(page.Rows, one)
		switch tone := known(accountStates, account.State).Tone; {
		case account.State == accounts.Validated:
			page.InSync++
		case tone == "warn" || tone == "bad":
			page.Wrong++
		}
		if one.Busy() {
			page.Busy++
		}
		if account.Orphaned {
			page.Orphans++
		}
	}
	slices.SortStableFunc(page.Rows, func(a, b row) int {
		return strings.Compare(strings.ToLower(a.AppName+"\x00"+a.Username), strings.ToLower(b.AppName+"\x00"+b.Username))
	})
	s.show(c, http.StatusOK, "accounts", "Accounts", "accounts", page)
}

// latest gives the newest rotation of each account that had one lately.
func (s *Service) latest(ctx context.Context, workspace core.ID) (map[core.ID]*rotation.Rotation, error) {
	found, err := s.Rotations.List(ctx, s.DB, workspace, core.ID{}, 500)
	if err != nil {
		return nil, err
	}
	newest := map[core.ID]*rotation.Rotation{}
	for i := range found {
		if _, ok := newest[found[i].Account]; !ok {
			newest[found[i].Account] = &found[i]
		}
	}
	return newest, nil
}

// accountPage is one account.
type accountPage struct {
	Account    accounts.Account
	App        accounts.App
	Role       accounts.Role // of the reader; empty: an administrator without a grant
	Manages    bool          // owner or administrator
	Grants     []accounts.Grant
	People     []accounts.Access // a page of everybody who may use it
	Further    bool              // not the first page
	MorePeople string
	Exposures  []accounts.Exposure
	Versions   []accounts.Version
	Rotations  []rotation.Rotation
	Chosen     *rotation.Rotation
	Steps      []stepLine
	Subjects   []subject // who it could be shared with
	Problem    string    // of the action that was refused
	Again      string    // reveal or fill: asked for before the reader proved themselves, and offered again
}

// Busy reports whether a rotation is under way: the page then updates by itself.
func (p accountPage) Busy() bool {
	return slices.ContainsFunc(p.Rotations, func(r rotation.Rotation) bool { return r.Finished == nil })
}

// stepLine is one step of a rotation, with the time since it was asked for.
type stepLine struct {
	rotation.Step
	After    time.Duration
	Evidence string
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
	if again := c.Query("again"); again == "reveal" || again == "fill" {
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
	var page accountPage
	if page.Role, err = s.may(ctx, by, id); err != nil {
		return accountPage{}, err
	}
	page.Manages = by.admin() || page.Role == accounts.Owner
	if page.Account, err = s.Accounts.Account(ctx, s.DB, by.workspace(), id); err != nil {
		return accountPage{}, err
	}
	if page.App, err = s.Accounts.App(ctx, s.DB, by.workspace(), page.Account.App); err != nil {
		return accountPage{}, err
	}
	if page.Grants, err = s.Accounts.Grants(ctx, s.DB, by.workspace(), id); err != nil {
		return accountPage{}, err
	}
	if page.Rotations, err = s.Rotations.List(ctx, s.DB, by.workspace(), id, 20); err != nil {
		return accountPage{}, err
	}
	if page.Manages {
		if err := s.loadPeople(c, &page); err != nil {
			return accountPage{}, err
		}
		if page.Exposures, err = s.Accounts.Exposures(ctx, s.DB, by.workspace(), id, 20); err != nil {
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
		page.Steps = append(page.Steps, stepLine{Step: step, After: step.At.Sub(page.Chosen.Cause.Received), Evidence: pretty(step.Evidence)})
	}
	return page, nil
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
