package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
	"postern/core/services"
)

// changed carries out a change of the service account in the path and shows it again, with the reason if it was refused.
func (s *Service) changed(c *gin.Context, change func(id, part core.ID) error) {
	id, ok := s.ownService(c)
	if !ok || !s.readForm(c) {
		return
	}
	var part core.ID
	if text := c.Param("part"); text != "" {
		var err error
		if part, err = core.ParseID(text); err != nil {
			s.refuse(c, core.NotFound("page"))
			return
		}
	}
	err := change(id, part)
	if err == nil {
		if !c.Writer.Written() {
			c.Redirect(http.StatusSeeOther, "/services/"+id.String())
		}
		return
	}
	if text, told := s.explain(c, err); told {
		s.service(c, http.StatusBadRequest, id, text)
	}
}

func (s *Service) changeService(c *gin.Context) {
	s.changed(c, func(id, _ core.ID) error {
		wanted, err := readService(c)
		if err != nil {
			return err
		}
		version, _ := strconv.Atoi(c.PostForm("version"))
		_, err = s.Services.Change(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, version, func(settings *services.Settings) { *settings = wanted })
		return err
	})
}

func (s *Service) removeService(c *gin.Context) {
	s.changed(c, func(id, _ core.ID) error {
		err := s.Services.Remove(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
		if err == nil {
			c.Redirect(http.StatusSeeOther, "/services")
			c.Writer.WriteHeaderNow()
		}
		return err
	})
}

func (s *Service) addServiceOwner(c *gin.Context) {
	s.changed(c, func(id, _ core.ID) error {
		var owner accounts.Subject
		err := s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) (err error) {
			owner, err = s.named(c.Request.Context(), tx, s.reader(c).workspace(), strings.TrimSpace(c.PostForm("owner")))
			return err
		})
		if err == nil {
			_, err = s.Services.AddOwner(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, owner)
		}
		return err
	})
}

func (s *Service) removeServiceOwner(c *gin.Context) {
	s.changed(c, func(_, owner core.ID) error {
		return s.Services.RemoveOwner(c.Request.Context(), s.cause(c), s.reader(c).workspace(), owner)
	})
}

// setServiceReaches reads one reach on each line: name | risk | sensitivity | unit.
func (s *Service) setServiceReaches(c *gin.Context) {
	s.changed(c, func(id, _ core.ID) error {
		before, err := s.Services.Reaches(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
		if err != nil {
			return err
		}
		var reaches []services.Reach
		for line := range strings.Lines(c.PostForm("reaches")) {
			if strings.TrimSpace(line) == "" {
				continue
			}
			fields := strings.Split(line, "|")
			if len(fields) < 3 || len(fields) > 4 {
				return core.Invalid("reaches", "write one on each line: its name | risk 1 to 5 | sensitivity 1 to 5 | unit")
			}
			risk, _ := strconv.Atoi(strings.TrimSpace(fields[1]))
			sensitivity, _ := strconv.Atoi(strings.TrimSpace(fields[2]))
			reach := services.Reach{Name: strings.TrimSpace(fields[0]), Risk: risk, Sensitivity: sensitivity}
			if len(fields) == 4 {
				reach.Unit = strings.TrimSpace(fields[3])
			}
			for _, one := range before { // it keeps its app
				if one.Name == reach.Name {
					reach.App = one.App
				}
			}
			reaches = append(reaches, reach)
		}
		return s.Services.SetReaches(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, reaches)
	})
}

// made shows a secret once.
func (s *Service) serviceSecret(c *gin.Context, id core.ID, title, note string, secret seal.Secret) {
	if secret.IsZero() {
		return
	}
	s.wake()
	at := "/services/" + id.String()
	s.show(c, http.StatusOK, "made", title, "services", made{Crumb: at, Above: "Service account", Title: title, Label: "The new value", Secret: secret.Reveal(), Note: note, Page: at})
}

func (s *Service) addServiceCredential(c *gin.Context) {
	s.changed(c, func(id, _ core.ID) error {
		expires, err := s.lifetimeOf(c)
		if err != nil {
			return err
		}
		wanted := services.NewCredential{
			Name: strings.TrimSpace(c.PostForm("name")), Expires: expires, Consumers: lineTexts(c.PostForm("consumers")),
		}
		kind, held, _ := strings.Cut(c.PostForm("kind"), " ")
		wanted.Kind, wanted.Held = services.Kind(kind), services.Held(held)
		if wanted.Held == services.ByAccount || wanted.Held == services.InApp {
			wanted.Expires = nil // it is for the app to say
			if wanted.Login, err = core.ParseID(strings.TrimSpace(c.PostForm("account"))); err != nil {
				return core.Invalid("account", "the account is named by its id: the last part of its page's address")
			}
		}
		if value := c.PostForm("value"); value != "" {
			wanted.Value = seal.NewSecret(value)
		}
		if text := strings.TrimSpace(c.PostForm("every")); text != "" {
			if wanted.Every, err = strconv.Atoi(text); err != nil {
				return core.Invalid("every", "every so many days")
			}
		}
		if wanted.Overlap, err = hours(c, "overlap", 24*time.Hour); err != nil {
			return err
		}
		made, secret, err := s.Services.AddCredential(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, wanted)
		if err == nil {
			s.serviceSecret(c, id, made.Name, "Take it to where it is used.", secret)
		}
		return err
	})
}

// lineTexts are the lines of a field that say something.
func lineTexts(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func (s *Service) rotateServiceCredential(c *gin.Context) {
	s.changed(c, func(id, credential core.ID) error {
		expires, err := s.lifetimeOf(c)
		if err != nil {
			return err
		}
		wish := services.Wish{Expires: expires}
		if value := c.PostForm("value"); value != "" {
			wish.Value = seal.NewSecret(value)
		}
		_, secret, err := s.Services.Rotate(c.Request.Context(), s.cause(c), s.reader(c).workspace(), credential, wish)
		if err == nil {
			s.serviceSecret(c, id, "Rotation begun", "The old value stays as good as it was. Take the new one to where it is used, say so on the service account's page, and the old one is revoked once the new one was seen in use.", secret)
		}
		return err
	})
}

func (s *Service) removeServiceCredential(c *gin.Context) {
	s.changed(c, func(_, credential core.ID) error {
		return s.Services.RemoveCredential(c.Request.Context(), s.cause(c), s.reader(c).workspace(), credential, c.PostForm("abandon") != "")
	})
}

func (s *Service) advanceServiceRotation(c *gin.Context) {
	s.changed(c, func(_, rotation core.ID) error {
		_, err := s.Services.Advance(c.Request.Context(), s.cause(c), s.reader(c).workspace(), rotation, services.State(c.PostForm("to")), strings.TrimSpace(c.PostForm("reason")))
		return err
	})
}

func (s *Service) decideServiceFinding(c *gin.Context) {
	s.changed(c, func(_, finding core.ID) error {
		_, err := s.Services.Decide(c.Request.Context(), s.cause(c), s.reader(c).workspace(), finding, services.FindingState(c.PostForm("state")), strings.TrimSpace(c.PostForm("note")))
		return err
	})
}
