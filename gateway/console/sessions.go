package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// shownSession is a session in a list.
type shownSession struct {
	ID            core.ID    `json:"id"`
	This          bool       `json:"this"` // the one that asks
	Address       string     `json:"address,omitempty"`
	Agent         string     `json:"agent,omitempty"`
	Where         string     `json:"-"` // the browser, as a person calls it
	Through       string     `json:"connection"`
	Created       time.Time  `json:"created"`
	LastSeen      time.Time  `json:"last_seen"`
	Authenticated time.Time  `json:"authenticated"`
	SteppedUp     *time.Time `json:"stepped_up,omitempty"`
	Expires       time.Time  `json:"expires"`
	ACR           string     `json:"acr,omitempty"`
	AMR           []string   `json:"amr"`
}

// sessionsPage is where a person is signed in.
type sessionsPage struct {
	Sessions []shownSession
	Others   bool // there is more than this one
}

// sessionsOf lists a user's live sessions, the latest first.
func (s *Service) sessionsOf(ctx context.Context, by reader, user core.ID) ([]shownSession, error) {
	found, err := s.Directory.Sessions(ctx, s.DB, by.workspace(), user)
	if err != nil {
		return nil, err
	}
	connections, err := s.Directory.Connections(ctx, s.DB, by.workspace())
	if err != nil {
		return nil, err
	}
	names := map[core.ID]string{}
	for _, connection := range connections {
		names[connection.ID] = connection.Name
	}
	shown := make([]shownSession, 0, len(found))
	for i := len(found) - 1; i >= 0; i-- {
		one := found[i]
		shown = append(shown, shownSession{
			ID: one.ID, This: one.ID == by.session.ID, Address: one.Address, Agent: one.Agent, Where: browserOf(one.Agent),
			Through: names[one.Connection], Created: one.Created, LastSeen: one.LastSeen, Authenticated: one.Authenticated,
			SteppedUp: one.SteppedUp, Expires: one.Expires, ACR: one.ACR, AMR: one.AMR,
		})
	}
	return shown, nil
}

// browserOf is what a person would call what a user agent names. It is a courtesy, not a finding.
func browserOf(agent string) string {
	var browser, system string
	for _, one := range []struct{ mark, name string }{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"curl/", "curl"},
	} {
		if browser == "" && strings.Contains(agent, one.mark) {
			browser = one.name
		}
	}
	for _, one := range []struct{ mark, name string }{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	} {
		if system == "" && strings.Contains(agent, one.mark) {
			system = one.name
		}
	}
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	case agent != "":
		return "Another program"
	}
	return "Unknown"
}

// listSessions shows a person where they are signed in; to a program it answers in JSON.
func (s *Service) listSessions(c *gin.Context) {
	by := s.reader(c)
	shown, err := s.sessionsOf(c.Request.Context(), by, by.user.ID)
	if err != nil {
		s.refuse(c, err)
		return
	}
	if strings.HasPrefix(c.GetHeader("Accept"), "application/json") {
		c.JSON(http.StatusOK, gin.H{"items": shown})
		return
	}
	s.show(c, http.StatusOK, "sessions", "Your sessions", "sessions", sessionsPage{shown, len(shown) > 1})
}

// endOwn ends one of the reader's sessions. Ending this one is signing out of it here alone.
func (s *Service) endOwn(c *gin.Context) {
	s.endOne(c, "id", s.reader(c).user.ID, "ended by the person themselves", "/sessions")
}

// endOthers ends all of the reader's sessions but this one.
func (s *Service) endOthers(c *gin.Context) {
	by := s.reader(c)
	s.ended(c, "/sessions", func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.Directory.EndOtherSessions(ctx, tx, s.cause(c), by.workspace(), by.user.ID, by.session.ID, "ended by the person themselves")
		return err
	})
}

// endUsers ends one session of somebody else.
func (s *Service) endUsers(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	user, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.endOne(c, "session", user, "ended by an administrator", "/users/"+user.String())
}

// endAllOf ends every session of somebody, and every sign-in under way.
func (s *Service) endAllOf(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	user, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.ended(c, "/users/"+user.String(), func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.Directory.EndSessions(ctx, tx, s.cause(c), s.reader(c).workspace(), user, "ended by an administrator")
		return err
	})
}

// endOne ends the session that the path names, if it is this user's.
func (s *Service) endOne(c *gin.Context, parameter string, user core.ID, reason, back string) {
	id, err := core.ParseID(c.Param(parameter))
	if err != nil {
		s.refuse(c, core.NotFound("session"))
		return
	}
	workspace := s.reader(c).workspace()
	s.ended(c, back, func(ctx context.Context, tx pgx.Tx) error {
		holder, err := s.Directory.SessionHolder(ctx, tx, workspace, id)
		if err != nil {
			return err
		}
		if holder != user {
			return core.NotFound("session")
		}
		return s.Directory.EndSession(ctx, tx, s.cause(c), workspace, id, reason)
	})
}

// ended runs a command that ends sessions and leads back.
func (s *Service) ended(c *gin.Context, back string, command func(ctx context.Context, tx pgx.Tx) error) {
	ctx := c.Request.Context()
	if err := s.DB.Tx(ctx, func(tx pgx.Tx) error { return command(ctx, tx) }); err != nil {
		s.refuse(c, err)
		return
	}
	s.wake()
	if strings.HasPrefix(c.GetHeader("Accept"), "application/json") {
		c.Status(http.StatusNoContent)
		return
	}
	c.Redirect(http.StatusSeeOther, back)
}

// to gives the address a person comes back to with the id of the path in it.
func to(pattern string) func(c *gin.Context) string {
	return func(c *gin.Context) string { return strings.Replace(pattern, ":id", c.Param("id"), 1) }
}

// toReveal is what being given a password needs.
func (s *Service) toReveal(back string) gin.HandlerFunc {
	return s.OIDC.Recent(directory.ToReveal, to(back))
}
