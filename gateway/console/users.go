package console

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
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
	Total  int
	Query  string
	Next   int
	Offset int
}

// listUsers shows administrators who there is.
func (s *Service) listUsers(c *gin.Context) {
	ctx, by := c.Request.Context(), s.reader(c)
	if !by.admin() {
		s.refuse(c, core.Denied("only administrators see everybody"))
		return
	}
	page := usersPage{Query: strings.TrimSpace(c.Query("q"))}
	if text := c.Query("from"); text != "" {
		offset, err := strconv.Atoi(text)
		if err != nil || offset < 0 {
			s.refuse(c, core.Invalid("from", "this is not a place in the list"))
			return
		}
		page.Offset = offset
	}
	query := directory.UserQuery{Offset: page.Offset, Limit: 100}
	if strings.Contains(page.Query, "@") {
		query.Email = page.Query
	} else {
		query.UserName = page.Query
	}
	users, total, err := s.Directory.Users(ctx, s.DB, by.workspace(), query)
	if err == nil && len(users) == 0 && query.Email != "" {
		// Many user names look like e-mail addresses.
		users, total, err = s.Directory.Users(ctx, s.DB, by.workspace(), directory.UserQuery{UserName: page.Query, Limit: 100})
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	connections, err := s.Directory.Connections(ctx, s.DB, by.workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	names := map[core.ID]string{}
	for _, connection := range connections {
		names[connection.ID] = connection.Name
	}
	page.Total = total
	for _, user := range users {
		page.People = append(page.People, person{user, names[user.Connection]})
	}
	if page.Offset+len(users) < total && len(users) > 0 {
		page.Next = page.Offset + len(users)
	}
	s.show(c, http.StatusOK, "users", "Users", "users", page)
}
