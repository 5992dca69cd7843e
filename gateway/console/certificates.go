package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/certificates"
)

var certificateStates = map[certificates.State]badge{
	certificates.Pending:    {Word: "Under way", Tone: "busy", Hint: "Something is open, and there is time left"},
	certificates.Complete:   {Word: "Complete", Tone: "good", Hint: "Every password is dead"},
	certificates.Incomplete: {Word: "Incomplete", Tone: "bad", Hint: "A password may still work"},
}

var fates = map[certificates.Fate]badge{
	certificates.Dead:     {Word: "Dead", Tone: "good", Hint: "The app was seen to refuse it"},
	certificates.Replaced: {Word: "Replaced", Tone: "calm", Hint: "The app has a later one; this one was not tried since"},
	certificates.Open:     {Word: "Open", Tone: "bad", Hint: "It may still work"},
}

// certificatesPage is a part of the workspace's certificates.
type certificatesPage struct {
	Certificates []certificates.Summary
	State        certificates.State
	Older        core.ID
}

const certificatesSize = 100

// listCertificates shows administrators the certificates, latest first.
func (s *Service) listCertificates(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	after, err := queryID(c, "after")
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := certificatesPage{State: certificates.State(c.Query("state"))}
	if _, known := certificateStates[page.State]; page.State != "" && !known {
		s.refuse(c, core.Invalid("state", "there is no such state"))
		return
	}
	page.Certificates, err = s.Certificates.List(c.Request.Context(), s.DB, s.reader(c).workspace(), certificates.Query{State: page.State, After: after, Limit: certificatesSize})
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Certificates) == certificatesSize {
		page.Older = page.Certificates[certificatesSize-1].ID
	}
	s.show(c, http.StatusOK, "certificates", "Revocation certificates", "users", page)
}

// certificatePage is one of them.
type certificatePage struct {
	certificates.View
	Dead, Open int
	Picture    *picture
	Keys       string // where the keys are it is verified with
}

// showCertificate shows administrators what became of what somebody knew.
func (s *Service) showCertificate(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	by := s.reader(c)
	view, err := s.Certificates.View(c.Request.Context(), s.DB, by.workspace(), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := certificatePage{
		View: view, Open: view.Now.Count(certificates.Open), Keys: s.address("/jwks/" + by.workspace().String() + "/all"), Picture: drawn(view.Now, s.now()),
	}
	page.Dead = len(view.Now.Credentials) - page.Open
	s.show(c, http.StatusOK, "certificate", view.Now.Person.Name+": revocation certificate", "users", page)
}

// downloadCertificate hands out what was signed.
func (s *Service) downloadCertificate(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	number := 0
	if text := c.Query("number"); text != "" {
		if number, err = strconv.Atoi(text); err != nil || number < 1 || number > 1<<30 {
			s.refuse(c, core.NotFound("issue of the certificate"))
			return
		}
	}
	issue, err := s.Certificates.Issue(c.Request.Context(), s.DB, s.reader(c).workspace(), id, number)
	if err != nil {
		s.refuse(c, err)
		return
	}
	document, err := issue.Document()
	if err != nil {
		s.refuse(c, err)
		return
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		s.refuse(c, core.Internal(err))
		return
	}
	c.Header("Cache-Control", "no-store")
	c.Header("Content-Disposition", fmt.Sprintf(`attachment; filename="certificate-%s-%d.json"`, id, issue.Number))
	c.Data(http.StatusOK, "application/json", text)
}

// picture is a line for each password, from the departure to its death.
type picture struct {
	Rows           []fateLine
	Height, Bottom int
	Safe           int // where everything is dead; 0: it is not
	More           int // passwords that are not drawn
	Words          string
}

type fateLine struct {
	Name, Title, Tone string
	X, Y, Text        int
	Died              bool
}

const (
	drawnRows = 40
	left      = 200
	right     = 730
)

// drawn is the picture of a certificate, nil when there is nothing to be seen.
func drawn(of certificates.Certificate, now time.Time) *picture {
	if len(of.Credentials) == 0 {
		return nil
	}
	end := now
	if of.Safe != nil {
		end = *of.Safe
	}
	whole := max(end.Sub(of.Departed), time.Millisecond)
	at := func(moment time.Time) int {
		share := float64(moment.Sub(of.Departed)) / float64(whole)
		return left + int(min(max(share, 0), 1)*(right-left))
	}
	made := &picture{Words: fmt.Sprintf("%d passwords, %d of them may still work", len(of.Credentials), of.Count(certificates.Open))}
	for i, one := range of.Credentials {
		if i == drawnRows {
			made.More = len(of.Credentials) - drawnRows
			break
		}
		y := 40 + 24*i
		line := fateLine{Name: shortened(one.App + " " + one.Username), Tone: known(fates, one.Fate).Tone, X: right, Y: y, Text: y + 4, Title: known(fates, one.Fate).Word}
		if one.Died != nil {
			line.Died, line.X = true, at(*one.Died)
			line.Title += " " + one.Died.Format(time.RFC3339)
		}
		made.Rows = append(made.Rows, line)
	}
	made.Bottom = 40 + 24*len(made.Rows)
	made.Height = made.Bottom + 8
	if of.Safe != nil {
		made.Safe = at(*of.Safe)
	}
	return made
}

// shortened fits beside a line.
func shortened(name string) string {
	const most = 26
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return string(runes[:most-1]) + "…"
}

// decideProposal gives somebody who is back anew what they had, or declines to.
func (s *Service) decideProposal(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	grant, err := core.ParseID(c.Param("grant"))
	if err != nil {
		s.refuse(c, core.NotFound("proposal"))
		return
	}
	err = s.DB.Tx(ctx, func(tx pgx.Tx) error {
		switch c.PostForm("do") {
		case "accept":
			_, err := s.Lifecycle.AcceptProposal(ctx, tx, s.cause(c), workspace, grant)
			return err
		case "decline":
			return s.Accounts.DeclineProposal(ctx, tx, s.cause(c), workspace, grant)
		}
		return core.Invalid("do", "accept or decline")
	})
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.wake()
	c.Redirect(http.StatusSeeOther, "/users/"+id.String())
}
