package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/webhooks/outlogout"
)

// logoutTargetPage is one app that is told of logouts, and what it was told.
type logoutTargetPage struct {
	outlogout.Target
	Kind    string // as a person says it
	Fields  []field
	Line    destination
	Sent    []sent
	Formats []string
	Confirm string
	Problem string
}

var logoutKinds = map[string]string{outlogout.BackChannel: "Back-channel logout", outlogout.GlobalTokenRevocation: "Global Token Revocation"}

func (s *Service) logoutTargetLines(ctx context.Context, workspace core.ID) ([]destination, error) {
	found, err := s.Logouts.Targets(ctx, s.DB, workspace)
	if err != nil {
		return nil, err
	}
	var lines []destination
	for _, one := range found {
		line, err := s.destinationOf(ctx, workspace, one.ID)
		if err != nil {
			return nil, err
		}
		line.Address, line.Page = one.Address, logoutTargetAt(one.ID)
		lines = append(lines, line)
	}
	return lines, nil
}

func logoutTargetAt(id core.ID) string { return "/destinations/logout-targets/" + id.String() }

// logoutFields are what an app has to trust.
func (s *Service) logoutFields(one outlogout.Target) []field {
	return []field{
		{"Issuer", s.Logouts.Issuer(one.Workspace), "iss of the tokens"},
		{"JWKS URL", s.address("/jwks/" + one.Workspace.String()), "RS256"},
		{"Client ID", one.ClientID, map[string]string{outlogout.BackChannel: "aud of the tokens", outlogout.GlobalTokenRevocation: "sub of the tokens"}[one.Kind]},
	}
}

// createLogoutTarget has an app told of logouts.
func (s *Service) createLogoutTarget(c *gin.Context) {
	again := func(c *gin.Context, status int, refusal string) { s.askFor(c, status, "logout-targets", refusal) }
	s.command(c, "", again, func(ctx context.Context, by reader, _ core.ID) (*made, error) {
		one, err := s.Logouts.Add(ctx, s.cause(c), outlogout.Target{
			Workspace: by.workspace(), Name: strings.TrimSpace(c.PostForm("name")), Kind: c.PostForm("kind"), Address: strings.TrimSpace(c.PostForm("address")),
			ClientID: strings.TrimSpace(c.PostForm("client_id")), SubjectFormat: c.PostForm("subject_format"),
		})
		if err != nil {
			return nil, err
		}
		return &made{
			Crumb: "/destinations", Above: "Destinations", Title: one.Name + " is told of logouts from now on", Where: "at the app",
			Note: "There is no secret: the app checks the tokens with Postern’s public keys.", Fields: s.logoutFields(one), Page: logoutTargetAt(one.ID),
		}, nil
	})
}

func (s *Service) showLogoutTarget(c *gin.Context) { s.logoutTarget(c, http.StatusOK, "") }

func (s *Service) logoutTarget(c *gin.Context, status int, refusal string) {
	s.about(c, status, "logout-target", "destinations", func() (string, any, error) {
		page, err := s.loadLogoutTarget(c)
		page.Problem = refusal
		return page.Name, page, err
	})
}

func (s *Service) loadLogoutTarget(c *gin.Context) (logoutTargetPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return logoutTargetPage{}, err
	}
	page := logoutTargetPage{
		Confirm: confirmed(c, "delete", "disable"),
		Formats: []string{outlogout.ByEmail, outlogout.ByIssSub, outlogout.ByUserID, outlogout.ByExternalID},
	}
	if page.Target, err = s.Logouts.Target(ctx, s.DB, workspace, id); err != nil {
		return logoutTargetPage{}, err
	}
	page.Kind, page.Fields = logoutKinds[page.Target.Kind], s.logoutFields(page.Target)
	if page.Line, err = s.destinationOf(ctx, workspace, id); err != nil {
		return logoutTargetPage{}, err
	}
	page.Sent, err = s.sentTo(ctx, workspace, id)
	return page, err
}

// aboutLogoutTarget is a command about the app in the path.
func (s *Service) aboutLogoutTarget(work func(ctx context.Context, c *gin.Context, workspace, id core.ID) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		s.command(c, "/destinations/logout-targets/:id", s.logoutTarget, func(ctx context.Context, by reader, id core.ID) (*made, error) {
			return nil, work(ctx, c, by.workspace(), id)
		})
	}
}

func (s *Service) changeLogoutTarget(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	_, err := s.Logouts.Change(ctx, s.cause(c), workspace, id, func(one *outlogout.Target) {
		one.Name, one.Address = strings.TrimSpace(c.PostForm("name")), strings.TrimSpace(c.PostForm("address"))
		one.ClientID, one.SubjectFormat = strings.TrimSpace(c.PostForm("client_id")), c.PostForm("subject_format")
	})
	return err
}

func (s *Service) setLogoutTarget(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	state, err := stateIn(c)
	if err != nil {
		return err
	}
	return s.Logouts.SetState(ctx, s.cause(c), workspace, id, state, "")
}

func (s *Service) retryLogoutTarget(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	letter, err := letterIn(c)
	if err == nil {
		_, err = s.Logouts.Retry(ctx, s.cause(c), workspace, id, letter)
	}
	return err
}

// deleteLogoutTarget tells an app of logouts no more.
func (s *Service) deleteLogoutTarget(c *gin.Context) {
	s.command(c, "/destinations", s.logoutTarget, func(ctx context.Context, by reader, id core.ID) (*made, error) {
		return nil, s.Logouts.Delete(ctx, s.cause(c), by.workspace(), id)
	})
}
