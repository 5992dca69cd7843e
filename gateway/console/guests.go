package console

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/links"
	"postern/gateway/problem"
)

var guestStates = map[links.GuestState]badge{
	links.Invited: {Word: "Invited", Tone: "busy", Hint: "Has not signed in yet"},
	links.Present: {Word: "Guest", Tone: "good", Hint: "Signs in with mailed codes"},
	links.Expired: {Word: "Expired", Tone: "calm", Hint: "Never accepted the invitation"},
	links.Removed: {Word: "Removed", Tone: "calm", Hint: "Has nothing any more"},
}

// guestRow is a guest in the list.
type guestRow struct {
	links.Guest
	Now links.GuestState
}

// guestsPage lists guests.
type guestsPage struct {
	Rows    []guestRow
	Own     bool // only those the reader invited
	Said    links.Settings
	Confirm *guestRow // removing them was asked for
	Email   string    // as it was typed
	Name    string
	Next    core.ID
	Problem string
}

// listGuests shows administrators all guests, and others whom they invited.
func (s *Service) listGuests(c *gin.Context) {
	s.guestList(c, guestsPage{Email: c.PostForm("email"), Name: c.PostForm("name")}, nil)
}

// guestList renders the guests, perhaps with why something was refused.
func (s *Service) guestList(c *gin.Context, page guestsPage, refusal error) {
	ctx, by := c.Request.Context(), s.reader(c)
	may, err := s.Links.MayInvite(ctx, s.DB, by.user)
	if err == nil && !may && !by.admin() {
		err = core.Denied("this workspace has its guests invited by others; ask an administrator").WithCode("guests_restricted")
	}
	var after, remove, inviter core.ID
	if err == nil {
		after, err = queryID(c, "after")
	}
	if err == nil {
		remove, err = queryID(c, "remove")
	}
	if page.Own = !by.admin(); page.Own {
		inviter = by.user.ID
	}
	var found []links.Guest
	if err == nil {
		found, err = s.Links.Guests(ctx, s.DB, by.workspace(), after, inviter, core.ID{}, pageSize)
	}
	if err == nil {
		page.Said, err = s.Links.Settings(ctx, s.DB, by.workspace())
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	for _, one := range found {
		row := guestRow{one, one.State(s.now())}
		if page.Rows = append(page.Rows, row); one.User == remove {
			page.Confirm = &row
		}
	}
	if len(found) == pageSize {
		page.Next = found[pageSize-1].User
	}
	status := http.StatusOK
	if refusal != nil {
		_ = c.Error(refusal)
		fault := problem.Classify(refusal)
		if status, page.Problem = problem.Status(fault.Kind), fault.Message; status >= http.StatusInternalServerError {
			s.refuse(c, refusal)
			return
		}
	}
	s.show(c, status, "guests", "Guests", "links", page)
}

// inviteGuest invites somebody.
func (s *Service) inviteGuest(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	page := guestsPage{Email: c.PostForm("email"), Name: c.PostForm("name")}
	days, _ := strconv.Atoi(c.PostForm("days"))
	_, err := s.Links.Invite(c.Request.Context(), s.cause(c), s.reader(c).workspace(), links.Invitation{
		Email: page.Email, Name: page.Name, Life: time.Duration(days) * 24 * time.Hour,
	})
	s.afterGuest(c, page, err)
}

// setInviters says who may invite guests, and whom.
func (s *Service) setInviters(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	wanted := links.Settings{Inviters: links.Inviters(c.PostForm("inviters")), PartnersOnly: c.PostForm("partners") == "only"}
	s.afterGuest(c, guestsPage{}, s.Links.ChangeSettings(c.Request.Context(), s.cause(c), s.reader(c).workspace(), wanted))
}

// resendInvitation mails an invitation again.
func (s *Service) resendInvitation(c *gin.Context) {
	id, err := pathID(c)
	if err == nil {
		_, err = s.Links.Resend(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	s.afterGuest(c, guestsPage{}, err)
}

// endGuest takes an invitation back, or sends a guest away.
func (s *Service) endGuest(c *gin.Context) {
	id, err := pathID(c)
	if err == nil {
		err = s.Links.Remove(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	s.afterGuest(c, guestsPage{}, err)
}

func (s *Service) afterGuest(c *gin.Context, page guestsPage, err error) {
	if err != nil {
		s.guestList(c, page, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/guests")
}
