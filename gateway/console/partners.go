package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/links"
	"postern/gateway/problem"
)

// partnersPage lists partners.
type partnersPage struct {
	Rows    []links.Partner
	Change  *links.Partner // nil: the form makes one
	Form    partnerForm
	Confirm *links.Partner // ending it was asked for
	Would   links.PartnerEnd
	Next    core.ID
	Problem string
}

// partnerForm is what is typed of a partner.
type partnerForm struct {
	Name    string
	Domains string // with spaces or commas between them
	Sponsor string // their user name
	Last    string // the last day of access, in UTC; "": no end is set
}

func partnerFormOf(c *gin.Context) partnerForm {
	return partnerForm{c.PostForm("name"), c.PostForm("domains"), c.PostForm("sponsor"), c.PostForm("last")}
}

// listPartners shows administrators the partners of the workspace.
func (s *Service) listPartners(c *gin.Context) {
	s.partnerList(c, partnersPage{Form: partnerFormOf(c)}, nil)
}

// partnerList renders the partners, perhaps with why something was refused.
func (s *Service) partnerList(c *gin.Context, page partnersPage, refusal error) {
	status := http.StatusOK
	if refusal != nil {
		_ = c.Error(refusal)
		fault := problem.Classify(refusal)
		if status, page.Problem = problem.Status(fault.Kind), fault.Message; status >= http.StatusInternalServerError {
			s.refuse(c, refusal)
			return
		}
	}
	s.about(c, status, "partners", "links", func() (string, any, error) {
		ctx, workspace := c.Request.Context(), s.reader(c).workspace()
		after, err := queryID(c, "after")
		if err == nil {
			page.Rows, err = s.Links.Partners(ctx, s.DB, workspace, after, pageSize)
		}
		if len(page.Rows) == pageSize {
			page.Next = page.Rows[pageSize-1].ID
		}
		if err == nil {
			page.Change, err = s.partnerAsked(c, "change")
		}
		if err == nil {
			page.Confirm, err = s.partnerAsked(c, "end")
		}
		if page.Confirm != nil {
			page.Would, err = s.Links.PreviewPartnerEnd(ctx, workspace, page.Confirm.ID)
		}
		if err == nil && page.Change != nil && page.Form == (partnerForm{}) {
			page.Form, err = s.partnerSaid(ctx, *page.Change)
		}
		return "Partners", page, err
	})
}

// partnerAsked is the partner that the address asks about; nil: none. A form that was refused is still about its own.
func (s *Service) partnerAsked(c *gin.Context, what string) (*links.Partner, error) {
	id, err := queryID(c, what)
	if what == "change" && c.Param("id") != "" {
		id, err = pathID(c)
	}
	if err != nil || id.IsZero() {
		return nil, err
	}
	found, err := s.Links.Partner(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	return &found, err
}

// partnerSaid is a partner as its form shows it.
func (s *Service) partnerSaid(ctx context.Context, of links.Partner) (partnerForm, error) {
	form := partnerForm{Name: of.Name, Domains: strings.Join(of.Domains, ", ")}
	if of.Ends != nil {
		form.Last = of.Ends.UTC().Add(-time.Nanosecond).Format(time.DateOnly)
	}
	if !of.Sponsored {
		return form, nil // somebody else is to be named
	}
	sponsor, err := s.Directory.User(ctx, s.DB, of.Workspace, of.Sponsor)
	form.Sponsor = sponsor.UserName
	return form, err
}

// wantedPartner is what a form says of a partner.
func (s *Service) wantedPartner(c *gin.Context, form partnerForm) (links.NewPartner, error) {
	wanted := links.NewPartner{Name: form.Name, Domains: strings.FieldsFunc(form.Domains, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' })}
	if form.Last != "" {
		day, err := time.Parse(time.DateOnly, form.Last)
		if err != nil {
			return wanted, core.Invalid("last", "the last day is a date such as 2027-01-31")
		}
		wanted.Ends = new(day.AddDate(0, 0, 1))
	}
	return wanted, s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) error {
		sponsor, err := s.named(c.Request.Context(), tx, s.reader(c).workspace(), strings.TrimSpace(form.Sponsor))
		wanted.Sponsor = sponsor.User // zero, of a team: that is refused
		return err
	})
}

// createPartner makes a partner.
func (s *Service) createPartner(c *gin.Context) {
	s.afterPartner(c, func(wanted links.NewPartner) error {
		_, err := s.Links.CreatePartner(c.Request.Context(), s.cause(c), s.reader(c).workspace(), wanted)
		return err
	})
}

// changePartner changes the partner in the path.
func (s *Service) changePartner(c *gin.Context) {
	s.afterPartner(c, func(wanted links.NewPartner) error {
		id, err := pathID(c)
		if err == nil {
			_, err = s.Links.ChangePartner(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, wanted)
		}
		return err
	})
}

// endPartner ends the partner in the path.
func (s *Service) endPartner(c *gin.Context) {
	id, err := pathID(c)
	if err == nil {
		_, err = s.Links.EndPartner(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	if err != nil {
		s.partnerList(c, partnersPage{}, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/partners")
}

func (s *Service) afterPartner(c *gin.Context, work func(wanted links.NewPartner) error) {
	if !s.readForm(c) {
		return
	}
	form := partnerFormOf(c)
	wanted, err := s.wantedPartner(c, form)
	if err == nil {
		err = work(wanted)
	}
	if err != nil {
		s.partnerList(c, partnersPage{Form: form}, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/partners")
}
