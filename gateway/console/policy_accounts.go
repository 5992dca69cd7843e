package console

import (
	"maps"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core/accounts"
)

// picked is an account in the form, and what the policy says of it.
type picked struct {
	accounts.Account
	Covered, Never bool
}

// Pick says what the policy does with an account by name.
func (p editPage) Pick(one accounts.Account) picked {
	return picked{one, slices.Contains(p.Scope.Accounts, one.ID), slices.Contains(p.Scope.Excluded, one.ID)}
}

// foundSize is how many accounts a search in the form finds.
const foundSize = 20

// nameAccounts names the accounts a policy lists, and finds those that were looked for.
func (s *Service) nameAccounts(c *gin.Context, page *editPage) error {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	listed := slices.Concat(page.Scope.Accounts, page.Scope.Excluded)
	known, err := s.Accounts.Some(ctx, s.DB, workspace, listed)
	if err != nil {
		return err
	}
	page.Named = slices.SortedFunc(maps.Values(known), func(a, b accounts.Account) int { return strings.Compare(a.Name(), b.Name()) })
	if page.Find = strings.TrimSpace(c.PostForm("find")); page.Find == "" || c.PostForm("look") == "" {
		return nil
	}
	found, err := s.Accounts.Named(ctx, s.DB, workspace, accounts.NamedQuery{Search: page.Find, Limit: foundSize})
	page.Found = slices.DeleteFunc(found.Accounts, func(one accounts.Account) bool { return slices.Contains(listed, one.ID) })
	return err
}
