package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/lifecycle"
	"postern/gateway/problem"
)

// heldSize bounds the people a page lists.
const heldSize = 1000

// holdPage is departures that wait for an administrator, or waited.
type holdPage struct {
	Hold    lifecycle.Hold
	People  []lifecycle.HeldUser
	Allowed string
	Confirm string // approve or reject: asked for, and to be confirmed
	Problem string // of the decision that was refused
}

// Live reports whether the page changes by itself.
func (p holdPage) Live() bool { return p.Hold.Decided == nil || p.Hold.Waiting > 0 }

var heldStates = map[lifecycle.State]badge{
	lifecycle.Held:      {Word: "Waits", Tone: "warn", Hint: "Shut out; nothing was taken"},
	lifecycle.Done:      {Word: "Taken", Tone: "calm", Hint: "All access is gone, and what they saw is rotated"},
	lifecycle.Withdrawn: {Word: "Back", Tone: "good", Hint: "The identity provider made them active again before anything was taken"},
	lifecycle.Kept:      {Word: "Kept", Tone: "good", Hint: "Nothing was taken; inactive until the identity provider says otherwise"},
	lifecycle.Restored:  {Word: "Restored", Tone: "good", Hint: "Had been deleted and is there again, inactive until the identity provider says otherwise"},
	lifecycle.NameTaken: {Word: "Not restored", Tone: "bad", Hint: "Somebody else has the user name by now"},
}

// allowance is what a guard lets through.
func allowance(share, floor int) string {
	return fmt.Sprintf("%d %% and %s", share, core.Count(floor, "person", "people"))
}

// whereabouts is what became of everybody who left.
func whereabouts(hold lifecycle.Hold) string {
	parts := []string{core.Count(hold.LetGo, "was let go", "were let go")}
	if back := hold.People - hold.Waiting; back > 0 && hold.Decided == nil {
		parts = append(parts, core.Count(back, "waits no more", "wait no more"))
	}
	switch {
	case hold.Waiting > 0:
		parts = append(parts, core.Count(hold.Waiting, "waits", "wait"))
	case hold.Decided == nil:
		parts = append(parts, "nobody waits")
	}
	return strings.Join(parts, ", ")
}

// openHolds are for the banner. A page without it is better than none.
func (s *Service) openHolds(c *gin.Context, workspace core.ID) []lifecycle.Hold {
	open, err := s.Lifecycle.Holds(c.Request.Context(), s.DB, workspace, true)
	if err != nil {
		_ = c.Error(err)
	}
	return open
}

// showHold shows administrators whose departures wait.
func (s *Service) showHold(c *gin.Context) { s.hold(c, http.StatusOK, "") }

func (s *Service) hold(c *gin.Context, status int, refusal string) {
	s.about(c, status, "hold", "connections", func() (string, any, error) {
		page, err := s.loadHold(c)
		page.Problem = refusal
		return "Departures of " + page.Hold.ConnectionName, page, err
	})
}

func (s *Service) loadHold(c *gin.Context) (holdPage, error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	if err != nil {
		return holdPage{}, err
	}
	all, err := s.Lifecycle.Holds(ctx, s.DB, workspace, false)
	if err != nil {
		return holdPage{}, err
	}
	for _, hold := range all {
		if hold.ID != id {
			continue
		}
		page := holdPage{Hold: hold, Allowed: allowance(hold.Share, hold.Floor)}
		if decide := c.Query("decide"); hold.Decided == nil && (decide == "approve" || decide == "reject") {
			page.Confirm = decide
		}
		if page.People, err = s.Lifecycle.HeldUsers(ctx, s.DB, workspace, id, heldSize); err != nil {
			return holdPage{}, err
		}
		return page, nil
	}
	return holdPage{}, core.NotFound("hold")
}

// approve lets the departures go on.
func (s *Service) approve(c *gin.Context) { s.decide(c, s.Lifecycle.ApproveHold) }

// reject calls the departures a mistake.
func (s *Service) reject(c *gin.Context) { s.decide(c, s.Lifecycle.RejectHold) }

func (s *Service) decide(c *gin.Context, how func(ctx context.Context, cause core.Cause, workspace, hold core.ID) error) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	err = how(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/holds/"+id.String())
		return
	}
	if classified := problem.Classify(err); classified.Kind == core.KindConflict || classified.Kind == core.KindDenied {
		_ = c.Error(err)
		s.hold(c, problem.Status(classified.Kind), classified.Message)
		return
	}
	s.refuse(c, err)
}
