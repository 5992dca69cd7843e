package transmitter

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/signals"
)

// mostRemoved bounds whom a receiver may not want to hear of.
const mostRemoved = 100_000

// subject reads whom a request is about. Whether there is such a person is nobody's to learn.
func (s *Service) subject(c *gin.Context, by caller) (Stream, string, error) {
	var said struct {
		ID      string          `json:"stream_id"`
		Subject json.RawMessage `json:"subject"`
	}
	if err := body(c, &said); err != nil {
		return Stream{}, "", err
	}
	stream, err := s.own(c, by, said.ID)
	if err != nil {
		return Stream{}, "", err
	}
	if len(said.Subject) == 0 {
		return stream, "", core.Invalid("subject", "subject is missing")
	}
	parsed, err := signals.ParseSubject(said.Subject)
	if err != nil {
		return stream, "", err
	}
	if user, named := parsed.Said(signals.MemberUser); named {
		parsed = user
	}
	return stream, spelled(parsed), nil
}

func (s *Service) addSubject(c *gin.Context, by caller) error {
	stream, subject, err := s.subject(c, by)
	if err != nil {
		return err
	}
	if _, err := s.DB.Exec(c.Request.Context(), deleteRemoved, pgx.StrictNamedArgs{"workspace": stream.Workspace, "stream": stream.ID, "subject": subject}); err != nil {
		return core.AsError(err)
	}
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	return nil
}

func (s *Service) removeSubject(c *gin.Context, by caller) error {
	stream, subject, err := s.subject(c, by)
	if err != nil {
		return err
	}
	ctx, args := c.Request.Context(), pgx.StrictNamedArgs{"workspace": stream.Workspace, "stream": stream.ID}
	var there int
	if err := s.DB.QueryRow(ctx, countRemoved, args).Scan(&there); err != nil {
		return core.AsError(err)
	}
	if there >= mostRemoved {
		return &core.Error{Kind: core.KindRateLimited, Message: "too many subjects are removed"}
	}
	args["subject"], args["now"] = subject, s.now()
	if _, err := s.DB.Exec(ctx, insertRemoved, args); err != nil {
		return core.AsError(err)
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}
