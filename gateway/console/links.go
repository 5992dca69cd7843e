package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/links"
	"postern/gateway/problem"
)

var linkStates = map[links.State]badge{
	links.Active: {Word: "Active", Tone: "good", Hint: "Its recipients can open it"},
	links.Viewed: {Word: "Viewed", Tone: "busy", Hint: "Its one view was had; the password is changed soon"},
	links.Ended:  {Word: "Ended", Tone: "calm", Hint: "It gives nothing any more"},
}

// linkEnds say why a link ended.
var linkEnds = map[string]string{
	links.WhyExpired: "it expired", links.WhyViewed: "its one view was had", links.WhyRevoked: "somebody ended it", links.WhyOwnerGone: "whoever made it left, or owns the account no more",
}

// linkRow is a link in a list.
type linkRow struct {
	links.Link
	Now links.State
	End string // why, once it has ended
}

func (s *Service) linkRow(one links.Link) linkRow {
	row := linkRow{Link: one, Now: one.State(s.now())}
	if row.Now == links.Ended {
		row.End = linkEnds[one.Why]
	}
	return row
}

// To is who can open the link.
func (r linkRow) To() string {
	everybody := slices.Clone(r.Recipients)
	for _, domain := range r.Domains {
		everybody = append(everybody, "everybody at "+domain)
	}
	return strings.Join(everybody, ", ")
}

// linksPage lists links.
type linksPage struct {
	Rows    []linkRow
	Account *accounts.Account // of one account alone
	Invites bool              // the reader may invite guests
	Next    core.ID
}

// listLinks shows administrators all links, and others those they made; of one account, everybody who owns it.
func (s *Service) listLinks(c *gin.Context) {
	ctx, by := c.Request.Context(), s.reader(c)
	query := links.Query{Limit: pageSize}
	var page linksPage
	account, err := queryID(c, "account")
	if err == nil {
		query.Before, err = queryID(c, "before")
	}
	if err == nil && !account.IsZero() {
		query.Account, page.Account, err = account, &accounts.Account{}, s.manages(c, account)
		if err == nil {
			*page.Account, err = s.Accounts.Account(ctx, s.DB, by.workspace(), account)
		}
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if !by.admin() && account.IsZero() {
		query.Owner = by.user.ID
	}
	found, err := s.Links.List(ctx, s.DB, by.workspace(), query)
	if err == nil {
		page.Invites, err = s.Links.MayInvite(ctx, s.DB, by.user)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, one := range found {
		page.Rows = append(page.Rows, s.linkRow(one))
	}
	if len(found) == pageSize {
		page.Next = found[pageSize-1].ID
	}
	s.show(c, http.StatusOK, "links", "Links", "links", page)
}

// manages refuses who neither owns an account nor administers the workspace.
func (s *Service) manages(c *gin.Context, account core.ID) error {
	by := s.reader(c)
	role, err := s.may(c.Request.Context(), by, account)
	if err == nil && !by.admin() && role != accounts.Owner {
		return core.Denied("only an owner of the account or an administrator may do this").WithCode("not_owner")
	}
	return err
}

// linkPage is one link with its receipts.
type linkPage struct {
	linkRow
	Receipts []links.View
	Next     core.ID
	Confirm  bool // ending it was asked for
}

// readableLink finds the link in the path, if the reader may see it.
func (s *Service) readableLink(c *gin.Context) (links.Link, error) {
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err != nil {
		return links.Link{}, err
	}
	found, err := s.Links.Link(ctx, s.DB, by.workspace(), id)
	if err == nil {
		err = s.Links.MayRead(ctx, s.DB, by.workspace(), by.user.ID, found)
	}
	return found, err
}

// showLink shows a link and who viewed it.
func (s *Service) showLink(c *gin.Context) {
	found, err := s.readableLink(c)
	var before core.ID
	if err == nil {
		before, err = queryID(c, "before")
	}
	page := linkPage{linkRow: s.linkRow(found), Confirm: c.Query("end") != ""}
	if err == nil {
		page.Receipts, err = s.Links.Views(c.Request.Context(), s.DB, found.Workspace, found.ID, before, pageSize)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Receipts) == pageSize {
		page.Next = page.Receipts[pageSize-1].ID
	}
	s.show(c, http.StatusOK, "link", "Link to "+found.AppName, "links", page)
}

// endLink ends a link.
func (s *Service) endLink(c *gin.Context) {
	id, err := pathID(c)
	if err == nil {
		_, err = s.Links.Revoke(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/links/"+id.String())
}

// newLinkPage is the form of a link.
type newLinkPage struct {
	Account accounts.Account
	Wanted  links.NewLink
	To      string // recipients as they were typed
	Hours   int
	Lingers int // minutes
	Problem string
}

// newLink shows the form of a link to an account.
func (s *Service) newLink(c *gin.Context) {
	s.linkForm(c, newLinkPage{Wanted: links.NewLink{Level: links.Filled, Once: true, DeviceLock: true, Send: true}, Hours: 24, Lingers: 60}, nil)
}

func (s *Service) linkForm(c *gin.Context, page newLinkPage, refusal error) {
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err == nil {
		_, err = s.may(ctx, by, id)
	}
	if err == nil {
		page.Account, err = s.Accounts.Account(ctx, s.DB, by.workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	status := http.StatusOK
	if refusal != nil {
		_ = c.Error(refusal)
		fault := problem.Classify(refusal)
		status, page.Problem = problem.Status(fault.Kind), fault.Message
		if status >= http.StatusInternalServerError {
			s.refuse(c, refusal)
			return
		}
	}
	s.show(c, status, "link-new", "New link", "links", page)
}

// createLink makes a link in the reader's name, and shows its address.
func (s *Service) createLink(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	by := s.reader(c)
	if _, err := s.may(c.Request.Context(), by, id); err != nil {
		s.refuse(c, err)
		return
	}
	hours, _ := strconv.Atoi(c.PostForm("hours"))
	minutes, _ := strconv.Atoi(c.PostForm("linger"))
	page := newLinkPage{To: c.PostForm("to"), Hours: hours, Lingers: minutes, Wanted: links.NewLink{
		Account: id, Owner: by.user.ID, Level: links.Level(c.PostForm("level")), Life: time.Duration(hours) * time.Hour,
		Once: c.PostForm("once") != "", DeviceLock: c.PostForm("device") != "", Purpose: c.PostForm("purpose"), Send: c.PostForm("send") != "",
	}}
	page.Wanted.Linger = new(time.Duration(minutes) * time.Minute)
	for word := range strings.FieldsFuncSeq(page.To, func(r rune) bool { return r == ',' || r == ';' || r <= ' ' }) {
		if domain, ok := strings.CutPrefix(word, "@"); ok {
			page.Wanted.Domains = append(page.Wanted.Domains, domain)
		} else {
			page.Wanted.Recipients = append(page.Wanted.Recipients, word)
		}
	}
	link, address, err := s.Links.Create(c.Request.Context(), s.cause(c), by.workspace(), page.Wanted)
	if err != nil {
		s.linkForm(c, page, err)
		return
	}
	shown := s.linkRow(link)
	note := "It opens for " + shown.To() + ", with a code that is mailed to them."
	if page.Wanted.Send {
		note += " They are mailed its address too."
	}
	s.show(c, http.StatusOK, "made", "Link made", "links", made{
		Crumb: "/accounts/" + id.String(), Above: link.AppName, Title: "Link to " + link.AppName, Label: "Its address", Secret: address.Reveal(), Note: note,
		Page: "/links/" + link.ID.String(),
	})
}
