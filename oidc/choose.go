package oidc

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/directory"
)

const (
	// connectionCookie remembers how this browser signed in last. It says nothing about who.
	connectionCookie = "__Host-postern-connection"
	connectionLife   = 365 * 24 * 60 * 60
	// soleLife is how long the answer to "is there only one workspace" is believed.
	soleLife = time.Minute
)

// choose finds the connection to sign in through: the one used last in this browser, the only one
// there is, or the one a person picks after naming their workspace.
func (s *Service) choose(c *gin.Context) {
	ctx, returnTo := c.Request.Context(), ReturnTo(c.Query("return_to"))
	ask := c.Query("choose") != ""
	if last, err := c.Request.Cookie(connectionCookie); err == nil && !ask && c.Query("workspace") == "" {
		id, err := core.ParseID(last.Value)
		if err == nil && !id.IsZero() {
			connection, err := s.Directory.ConnectionByID(ctx, s.DB, id)
			if err == nil && connection.Issuer != "" {
				c.Redirect(http.StatusSeeOther, startPath(id, returnTo))
				return
			}
		}
	}
	workspace, err := s.workspace(ctx, c.Query("workspace"))
	if core.KindOf(err) == core.KindNotFound {
		problem := ""
		if c.Query("workspace") != "" {
			problem = "There is no workspace of that name."
		}
		s.show(c, http.StatusOK, page{
			Title: "Sign in", Text: "Which workspace do you belong to?", Problem: problem, AskWorkspace: true, ReturnTo: returnTo,
		})
		return
	}
	if err != nil {
		s.refuse(c, directory.Connection{}, returnTo, err)
		return
	}
	connections, err := s.Directory.Connections(ctx, s.DB, workspace.ID)
	if err != nil {
		s.refuse(c, directory.Connection{}, returnTo, err)
		return
	}
	var links []link
	for _, connection := range connections {
		if connection.Issuer != "" && connection.ClientID != "" {
			links = append(links, link{"Continue with " + connection.Name, startPath(connection.ID, returnTo)})
		}
	}
	switch {
	case len(links) == 0:
		s.show(c, http.StatusOK, page{Title: "Sign in", Text: "Nobody can sign in to " + workspace.Name + " yet: it has no connection to an identity provider."})
	case len(links) == 1 && !ask:
		c.Redirect(http.StatusSeeOther, links[0].Address)
	default:
		s.show(c, http.StatusOK, page{Title: "Sign in to " + workspace.Name, Links: links})
	}
}

func startPath(connection core.ID, returnTo string) string {
	path := "/sso/" + connection.String() + "/start"
	if returnTo != "/" {
		path += "?return_to=" + url.QueryEscape(returnTo)
	}
	return path
}

// workspace is the one a slug names, or the only one there is. NotFound means that a person has to say.
func (s *Service) workspace(ctx context.Context, slug string) (directory.Workspace, error) {
	if slug != "" {
		return s.Directory.WorkspaceBySlug(ctx, s.DB, slug)
	}
	s.sole.lock.Lock()
	defer s.sole.lock.Unlock()
	if s.sole.read.IsZero() || s.now().Sub(s.sole.read) > soleLife {
		all, err := s.Directory.Workspaces(ctx, s.DB)
		if err != nil {
			return directory.Workspace{}, err
		}
		s.sole.only, s.sole.read = directory.Workspace{}, s.now()
		if len(all) == 1 {
			s.sole.only = all[0]
		}
	}
	if s.sole.only.ID.IsZero() {
		return directory.Workspace{}, core.NotFound("workspace")
	}
	return s.sole.only, nil
}

// soleWorkspace remembers whether there is only one workspace: reading them all is not for every
// passer-by to make happen.
type soleWorkspace struct {
	lock sync.Mutex
	only directory.Workspace
	read time.Time
}
