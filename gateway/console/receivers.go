package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/webhooks/delivery"
	"postern/webhooks/transmitter"
)

// receiverPage is one receiver of Shared Signals, its stream and what was sent in it.
type receiverPage struct {
	transmitter.Receiver
	Fields  []field
	Stream  *transmitter.Stream // nil: it has made none yet
	Line    destination         // of the stream
	Events  []string            // that it is told of
	Sent    []sent
	Secrets []access
	Confirm string
	Problem string
}

var noStream = badge{Word: "No stream yet", Tone: "calm", Hint: "The receiver makes its stream itself"}

func (s *Service) receiverLines(ctx context.Context, workspace core.ID) ([]destination, error) {
	found, err := s.Receivers.Receivers(ctx, s.DB, workspace)
	if err != nil {
		return nil, err
	}
	var lines []destination
	for _, one := range found {
		line, _, err := s.streamOf(ctx, one)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func receiverAt(id core.ID) string { return "/destinations/receivers/" + id.String() }

// streamOf tells how a receiver's stream goes, if it has one.
func (s *Service) streamOf(ctx context.Context, one transmitter.Receiver) (destination, *transmitter.Stream, error) {
	stream, err := s.Receivers.StreamOf(ctx, s.DB, one.Workspace, one.ID)
	if core.KindOf(err) == core.KindNotFound {
		return destination{Name: one.Name, Page: receiverAt(one.ID), State: noStream}, nil, nil
	}
	if err != nil {
		return destination{}, nil, err
	}
	line, err := s.destinationOf(ctx, one.Workspace, stream.ID)
	line.Name, line.Page, line.Address = one.Name, receiverAt(one.ID), stream.EndpointURL
	if stream.Delivery == "poll" {
		line.Address = "it polls"
	}
	return line, &stream, err
}

// receiverFields are what a receiver is given, besides its secret.
func (s *Service) receiverFields(one transmitter.Receiver) []field {
	issuer := s.Receivers.Issuer(one.Workspace)
	return []field{
		{"Issuer (transmitter)", issuer, ""},
		{"Well-known URL", s.Receivers.Discovery(one.Workspace), ""},
		{"JWKS URL", s.address("/jwks/" + one.Workspace.String()), ""},
		{"Token endpoint", issuer + "/token", "OAuth 2.0 client credentials"},
		{"Client ID", one.Account.String(), ""},
		{"Scopes", transmitter.ScopeManage + " " + transmitter.ScopeRead, "the second alone, if it may not change its stream"},
		{"Audience", one.Audience, "aud of its tokens"},
	}
}

// createReceiver registers a receiver, and shows its secret this once.
func (s *Service) createReceiver(c *gin.Context) {
	again := func(c *gin.Context, status int, refusal string) { s.askFor(c, status, "receivers", refusal) }
	s.command(c, "", again, func(ctx context.Context, by reader, _ core.ID) (*made, error) {
		name := strings.TrimSpace(c.PostForm("name"))
		if name == "" || len(name) > 100 {
			return nil, core.Invalid("name", "a name has 1 to 100 bytes")
		}
		one, secret, err := s.Receivers.AddReceiver(ctx, s.cause(c), by.workspace(), transmitter.NewReceiver{
			Name: name, SubjectFormat: c.PostForm("subject_format"), Audience: strings.TrimSpace(c.PostForm("audience")),
			Sessions: c.PostForm("sessions") != "", Accounts: c.PostForm("accounts") != "", ReadOnly: c.PostForm("read_only") != "",
		})
		if err != nil {
			return nil, err
		}
		return &made{
			Crumb: "/destinations", Above: "Destinations", Title: one.Name + " may hear Shared Signals", Where: "at the receiver", Label: "Client secret",
			Secret: secret.Reveal(), Note: "The receiver makes its stream itself, by push or by poll.", Fields: s.receiverFields(one), Page: receiverAt(one.ID),
		}, nil
	})
}

func (s *Service) showReceiver(c *gin.Context) { s.receiver(c, http.StatusOK, "") }

func (s *Service) receiver(c *gin.Context, status int, refusal string) {
	s.about(c, status, "receiver", "destinations", func() (string, any, error) {
		page, err := s.loadReceiver(c)
		page.Problem = refusal
		return page.Name, page, err
	})
}

func (s *Service) loadReceiver(c *gin.Context) (receiverPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return receiverPage{}, err
	}
	page := receiverPage{Confirm: confirmed(c, "delete", "disable")}
	if page.Receiver, err = s.Receivers.Receiver(ctx, s.DB, workspace, id); err != nil {
		return receiverPage{}, err
	}
	page.Fields = s.receiverFields(page.Receiver)
	secrets, err := s.Receivers.Secrets(ctx, s.DB, workspace, id)
	if err != nil {
		return receiverPage{}, err
	}
	for _, one := range secrets {
		page.Secrets = append(page.Secrets, s.access(one.ID, one.ID.String(), one.Created, one.LastUsed, one.Expires))
	}
	if page.Line, page.Stream, err = s.streamOf(ctx, page.Receiver); err != nil || page.Stream == nil {
		return page, err
	}
	for _, uri := range page.Stream.Delivered {
		page.Events = append(page.Events, s.sentOf(delivery.Delivery{Type: uri}).What)
	}
	page.Sent, err = s.sentTo(ctx, workspace, page.Stream.ID)
	return page, err
}

// sentTo lists the last messages of a lane.
func (s *Service) sentTo(ctx context.Context, workspace, lane core.ID) ([]sent, error) {
	found, err := s.Deliveries.Last(ctx, s.DB, workspace, lane, "", sentSize)
	var told []sent
	for _, one := range found {
		told = append(told, s.sentOf(one))
	}
	return told, err
}

// aboutReceiver is a command about the receiver in the path.
func (s *Service) aboutReceiver(work func(ctx context.Context, c *gin.Context, workspace, id core.ID) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		s.command(c, "/destinations/receivers/:id", s.receiver, func(ctx context.Context, by reader, id core.ID) (*made, error) {
			return nil, work(ctx, c, by.workspace(), id)
		})
	}
}

func (s *Service) changeReceiver(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	_, err := s.Receivers.ChangeReceiver(ctx, s.cause(c), workspace, id, transmitter.Change{
		SubjectFormat: new(c.PostForm("subject_format")), Audience: new(strings.TrimSpace(c.PostForm("audience"))),
		Sessions: new(c.PostForm("sessions") != ""), Accounts: new(c.PostForm("accounts") != ""),
	})
	return err
}

func (s *Service) setReceiver(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	state, err := stateIn(c)
	if err != nil {
		return err
	}
	status := string(state)
	if state == delivery.Running {
		status = "enabled"
	}
	_, err = s.Receivers.SetStatus(ctx, s.cause(c), workspace, id, status, "")
	return err
}

func (s *Service) retryReceiver(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	letter, err := letterIn(c)
	if err == nil {
		_, err = s.Receivers.Retry(ctx, s.cause(c), workspace, id, letter)
	}
	return err
}

// addReceiverSecret makes one more client secret, and shows it this once.
func (s *Service) addReceiverSecret(c *gin.Context) {
	s.command(c, "", s.receiver, func(ctx context.Context, by reader, id core.ID) (*made, error) {
		one, err := s.Receivers.Receiver(ctx, s.DB, by.workspace(), id)
		if err != nil {
			return nil, err
		}
		_, secret, err := s.Receivers.AddSecret(ctx, s.cause(c), by.workspace(), id, nil)
		if err != nil {
			return nil, err
		}
		return &made{
			Crumb: "/destinations", Above: "Destinations", Title: one.Name + " has one more client secret", Where: "at the receiver", Label: "Client secret",
			Secret: secret.Reveal(), Note: "The other one still works. Revoke it once the receiver uses this one.", Fields: s.receiverFields(one), Page: receiverAt(id),
		}, nil
	})
}

// revokeReceiverSecret ends a client secret and its access tokens.
func (s *Service) revokeReceiverSecret(ctx context.Context, c *gin.Context, workspace, id core.ID) error {
	secret, err := core.ParseID(c.PostForm("secret"))
	if err != nil {
		return core.NotFound("secret")
	}
	return s.Receivers.RevokeSecret(ctx, s.cause(c), workspace, id, secret)
}

// deleteReceiver ends a receiver's stream, its tokens and its secret.
func (s *Service) deleteReceiver(c *gin.Context) {
	s.command(c, "/destinations", s.receiver, func(ctx context.Context, by reader, id core.ID) (*made, error) {
		return nil, s.Receivers.DeleteReceiver(ctx, s.cause(c), by.workspace(), id)
	})
}
