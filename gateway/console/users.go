package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core/directory"
)

// person is one user of the list.
type person struct {
	directory.User
	Through string // the connection's name
}

// usersPage is a part of the workspace's users.
type usersPage struct {
	People []person
	Query  string
	Next   string
}

// listUsers shows administrators who there is, in the order of their user names or, when it is those that begin as
// was asked for, of their e-mail addresses.
func (s *Service) listUsers(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, by := c.Request.Context(), s.reader(c)
	after, err := queryID(c, "after")
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := usersPage{Query: strings.TrimSpace(c.Query("q"))}
	query, addressed := directory.NamedQuery{Search: page.Query, After: after, Limit: pageSize}, c.Query("by") == "email"
	var users []directory.User
	if !addressed {
		users, err = s.Directory.NamedUsers(ctx, s.DB, by.workspace(), query)
	}
	if err == nil && len(users) == 0 && page.Query != "" && (addressed || after.IsZero()) {
		addressed = true
		users, err = s.Directory.AddressedUsers(ctx, s.DB, by.workspace(), query)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	names, err := s.connectionNames(ctx, by.workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, user := range users {
		page.People = append(page.People, person{user, names[user.Connection]})
	}
	if len(users) == pageSize {
		next := url.Values{"after": {users[pageSize-1].ID.String()}}
		if page.Query != "" {
			next.Set("q", page.Query)
		}
		if addressed {
			next.Set("by", "email")
		}
		page.Next = "/users?" + next.Encode()
	}
	s.show(c, http.StatusOK, "users", "Users", "users", page)
}
