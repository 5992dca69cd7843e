package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/outgoing"
)

// webhookPage is one endpoint and what was sent to it.
type webhookPage struct {
	outgoing.Webhook
	Line     destination
	Sent     []sent
	Only     string // the state of the messages that are shown
	Message  core.ID
	Attempts []outgoing.Attempt // at Message
	Confirm  string
	Overlap  bool // both secrets sign
	Problem  string
}

func (s *Service) webhookLines(ctx context.Context, workspace core.ID) ([]destination, error) {
	found, err := s.Webhooks.Webhooks(ctx, s.DB, workspace)
	if err != nil {
		return nil, err
	}
	var lines []destination
	for _, one := range found {
		line, err := s.destinationOf(ctx, workspace, one.ID)
		if err != nil {
			return nil, err
		}
		line.Address, line.Page = one.Address, webhookAt(one.ID)
		lines = append(lines, line)
	}
	return lines, nil
}

func webhookAt(id core.ID) string { return "/destinations/webhooks/" + id.String() }

// createWebhook makes an endpoint, and shows its secret this once.
func (s *Service) createWebhook(c *gin.Context) {
	again := func(c *gin.Context, status int, refusal string) { s.askFor(c, status, "webhooks", refusal) }
	s.command(c, "", again, func(ctx context.Context, by reader, _ core.ID) (*made, error) {
		one, err := s.Webhooks.Create(ctx, s.cause(c), outgoing.Webhook{
			Workspace: by.workspace(), Name: strings.TrimSpace(c.PostForm("name")), Address: strings.TrimSpace(c.PostForm("url")),
			Types: strings.Fields(c.PostForm("types")), Scheme: c.PostForm("scheme"),
		})
		if err != nil {
			return nil, err
		}
		return webhookMade(one, "is told of events from now on"), nil
	})
}

// webhookMade shows what the endpoint verifies messages by.
func webhookMade(one outgoing.Made, what string) *made {
	told := &made{
		Crumb: "/destinations", Above: "Destinations", Title: one.Name + " " + what, Where: "at the endpoint", Label: "Signing secret", Secret: one.Secret.Reveal(),
		Note: "Any Standard Webhooks library verifies messages with it.", Page: webhookAt(one.ID),
	}
	if one.Scheme == outgoing.Asymmetric {
		told.Label, told.Note = "Public key", "Any Standard Webhooks library verifies messages with it. It is no secret: messages are signed with a key that never leaves Postern."
	}
	if one.PreviousEnds != nil {
		told.Note += " Messages are signed with the one before too, until " + one.PreviousEnds.UTC().Format("2006-01-02 15:04 UTC") + "."
	}
	return told
}

func (s *Service) showWebhook(c *gin.Context) { s.webhook(c, http.StatusOK, "") }

func (s *Service) webhook(c *gin.Context, status int, refusal string) {
	s.about(c, status, "webhook", "destinations", func() (string, any, error) {
		page, err := s.loadWebhook(c)
		page.Problem = refusal
		return page.Name, page, err
	})
}

func (s *Service) loadWebhook(c *gin.Context) (webhookPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return webhookPage{}, err
	}
	page := webhookPage{Confirm: confirmed(c, "delete", "disable", "secret")}
	if page.Webhook, err = s.Webhooks.Webhook(ctx, s.DB, workspace, id); err != nil {
		return webhookPage{}, err
	}
	if page.Line, err = s.destinationOf(ctx, workspace, id); err != nil {
		return webhookPage{}, err
	}
	page.Overlap = page.PreviousEnds != nil && page.PreviousEnds.After(s.now())
	if only := c.Query("state"); slices.Contains([]string{"waiting", "delivered", "dead"}, only) {
		page.Only = only
	}
	found, err := s.Deliveries.Last(ctx, s.DB, workspace, id, page.Only, sentSize)
	if err != nil {
		return webhookPage{}, err
	}
	for _, one := range found {
		told := s.sentOf(one)
		told.ID, told.Again = one.Event, one.State != "waiting"
		page.Sent = append(page.Sent, told)
	}
	if page.Message, err = queryID(c, "message"); err == nil && !page.Message.IsZero() {
		page.Attempts, err = s.Webhooks.Attempts(ctx, s.DB, workspace, id, page.Message)
	}
	return page, err
}

// aboutWebhook is a command about the endpoint in the path.
func (s *Service) aboutWebhook(work func(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		s.command(c, "/destinations/webhooks/:id", s.webhook, func(ctx context.Context, by reader, id core.ID) (*made, error) {
			return work(ctx, c, by.workspace(), id)
		})
	}
}

func (s *Service) changeWebhook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	_, err := s.Webhooks.Change(ctx, s.cause(c), workspace, id, func(one *outgoing.Webhook) {
		one.Name, one.Address, one.Types = strings.TrimSpace(c.PostForm("name")), strings.TrimSpace(c.PostForm("url")), strings.Fields(c.PostForm("types"))
	})
	return nil, err
}

func (s *Service) setWebhook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	state, err := stateIn(c)
	if err == nil {
		_, err = s.Webhooks.SetState(ctx, s.cause(c), workspace, id, state, "")
	}
	return nil, err
}

// stateIn is the state that a form asks for.
func stateIn(c *gin.Context) (delivery.State, error) {
	state := delivery.State(c.PostForm("state"))
	if !slices.Contains(delivery.States, state) {
		return "", core.Invalid("state", "a destination runs, is paused or is disabled")
	}
	return state, nil
}

func (s *Service) rotateWebhook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	overlap, err := overlapOf(c)
	if err != nil {
		return nil, err
	}
	one, err := s.Webhooks.Rotate(ctx, s.cause(c), workspace, id, overlap)
	if err != nil {
		return nil, err
	}
	return webhookMade(one, "has a new secret"), nil
}

func (s *Service) testWebhook(ctx context.Context, _ *gin.Context, workspace, id core.ID) (*made, error) {
	_, err := s.Webhooks.Test(ctx, workspace, id)
	return nil, err
}

// resendWebhook sends one message again, or all that were given up.
func (s *Service) resendWebhook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	message, err := letterIn(c)
	if err == nil {
		err = s.Webhooks.Resend(ctx, s.cause(c), workspace, id, message)
	}
	return nil, err
}

// letterIn is the message that a form names; zero: all.
func letterIn(c *gin.Context) (core.ID, error) {
	if c.PostForm("message") == "all" {
		return core.ID{}, nil
	}
	id, err := core.ParseID(c.PostForm("message"))
	if err == nil && id.IsZero() {
		err = core.Invalid("message", "name a message")
	}
	return id, err
}

// replaySpans are how far back a replay goes.
var replaySpans = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "168h": 7 * 24 * time.Hour}

func (s *Service) replayWebhook(ctx context.Context, c *gin.Context, workspace, id core.ID) (*made, error) {
	span, known := replaySpans[c.PostForm("since")]
	if !known {
		return nil, core.Invalid("since", "everything of the last hour, day or week can be sent again")
	}
	_, err := s.Webhooks.Replay(ctx, s.cause(c), workspace, id, s.now().Add(-span))
	return nil, err
}

// deleteWebhook tells an endpoint no more.
func (s *Service) deleteWebhook(c *gin.Context) {
	s.command(c, "/destinations", s.webhook, func(ctx context.Context, by reader, id core.ID) (*made, error) {
		return nil, s.Webhooks.Delete(ctx, s.cause(c), by.workspace(), id)
	})
}
