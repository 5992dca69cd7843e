package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/gateway/problem"
)

// sessionSettingsPage is how long sessions last, and how fresh proofs must be.
type sessionSettingsPage struct {
	Idle, Life, RevealAge, AdminAge int // minutes
	RevealACR, AdminACR             string
	Problem                         string
}

func (s *Service) showSessionSettings(c *gin.Context) { s.sessionSettings(c, http.StatusOK, "") }

func (s *Service) sessionSettings(c *gin.Context, status int, refusal string) {
	if !s.administrator(c) {
		return
	}
	settings, err := s.Directory.SessionSettings(c.Request.Context(), s.DB, s.reader(c).workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, "session-settings", "Session settings", "users", sessionSettingsPage{
		minutes(settings.Idle), minutes(settings.Life), minutes(settings.RevealAge), minutes(settings.AdminAge),
		strings.Join(settings.RevealACR, " "), strings.Join(settings.AdminACR, " "), refusal,
	})
}

func minutes(span time.Duration) int { return int(span / time.Minute) }

// changeSessionSettings takes the form. What is not in it stays.
func (s *Service) changeSessionSettings(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	given := map[string]time.Duration{}
	for _, field := range []string{"idle", "life", "reveal_age", "admin_age"} {
		text, there := c.GetPostForm(field)
		if !there {
			continue
		}
		number, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || number < 0 || number > 100_000 {
			s.sessionSettings(c, http.StatusBadRequest, "limits are whole minutes")
			return
		}
		given[field] = time.Duration(number) * time.Minute
	}
	ctx := c.Request.Context()
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		_, err := s.Directory.ChangeSessionSettings(ctx, tx, s.cause(c), s.reader(c).workspace(), func(settings *directory.SessionSettings) {
			for field, into := range map[string]*time.Duration{
				"idle": &settings.Idle, "life": &settings.Life, "reveal_age": &settings.RevealAge, "admin_age": &settings.AdminAge,
			} {
				if span, there := given[field]; there {
					*into = span
				}
			}
			for field, into := range map[string]*[]string{"reveal_acr": &settings.RevealACR, "admin_acr": &settings.AdminACR} {
				if text, there := c.GetPostForm(field); there {
					*into = strings.Fields(text)
				}
			}
		})
		return err
	})
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/settings/sessions")
		return
	}
	if classified := problem.Classify(err); classified.Kind == core.KindInvalid {
		_ = c.Error(err)
		s.sessionSettings(c, http.StatusBadRequest, classified.Message)
		return
	}
	s.refuse(c, err)
}
