package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/reviews"
)

func (s *Service) mountReviews(inside gin.IRouter) {
	inside.GET("/reviews", s.myReviews)
	inside.GET("/reviews/:id/mine", s.myItems)
	inside.POST("/reviews/:id/decide", s.decideItems)
	inside.POST("/reviews/:id/hand-on", s.handOn)
	inside.GET("/reviews/all", s.listReviews)
	inside.GET("/reviews/:id", s.showReview)
	inside.GET("/reviews/:id/evidence", s.showEvidence)
	inside.GET("/reviews/:id/download", s.downloadEvidence)
	inside.POST("/reviews/:id/cancel", s.forAdministrators("/reviews/:id?cancel=1"), s.cancelReview)
	inside.GET("/reviews/campaigns", s.listCampaigns)
	inside.GET("/reviews/campaigns/new", s.newCampaign)
	inside.POST("/reviews/campaigns", s.forAdministrators("/reviews/campaigns/new"), s.createCampaign)
	inside.GET("/reviews/campaigns/:id", s.showCampaign)
	inside.POST("/reviews/campaigns/:id", s.forAdministrators("/reviews/campaigns/:id"), s.changeCampaign)
	inside.POST("/reviews/campaigns/:id/start", s.forAdministrators("/reviews/campaigns/:id?start=1"), s.startCampaign)
	inside.POST("/reviews/campaigns/:id/remove", s.forAdministrators("/reviews/campaigns/:id?remove=1"), s.removeCampaign)
	inside.GET("/settings/reviews", s.showReviewSettings)
	inside.POST("/settings/reviews", s.forAdministrators("/settings/reviews"), s.changeReviewSettings)
}

var reviewStates = map[reviews.State]badge{
	reviews.Open:    {Word: "Open", Tone: "busy", Hint: "Reviewers decide"},
	reviews.Closing: {Word: "Closing", Tone: "busy", Hint: "The last day is over: the default is being carried out"},
	reviews.Closed:  {Word: "Closed", Tone: "good", Hint: "Everything is decided"},
}

var verdicts = map[reviews.Verdict]badge{
	"":             {Word: "Waits", Tone: "calm", Hint: "Nobody has decided yet"},
	reviews.Keep:   {Word: "Kept", Tone: "good"},
	reviews.Revoke: {Word: "Revoked", Tone: "warn"},
	reviews.Change: {Word: "Narrowed", Tone: "warn", Hint: "A weaker role, or an earlier end"},
	reviews.Ended:  {Word: "Had ended", Tone: "calm", Hint: "The access was gone before anybody decided"},
}

// reviewsPage is a part of the workspace's reviews.
type reviewsPage struct {
	Reviews []reviews.Review
	State   reviews.State
	Older   core.ID
}

const reviewsSize = 50

// listReviews shows administrators all reviews, latest first.
func (s *Service) listReviews(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	after, err := queryID(c, "after")
	page := reviewsPage{State: reviews.State(c.Query("state"))}
	if _, known := reviewStates[page.State]; err == nil && page.State != "" && !known {
		err = core.Invalid("state", "there is no such state")
	}
	if err == nil {
		page.Reviews, err = s.Reviews.List(c.Request.Context(), s.DB, s.reader(c).workspace(), reviews.Query{State: page.State, After: after, Limit: reviewsSize})
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Reviews) == reviewsSize {
		page.Older = page.Reviews[reviewsSize-1].ID
	}
	s.show(c, http.StatusOK, "reviews-all", "Access reviews", "reviews", page)
}

// adminPage is one review with how far it is.
type adminPage struct {
	reviews.Review
	Asked   []reviews.Asked
	List    []reviews.Item
	Filter  string
	Next    core.ID
	Issues  []reviews.Issue
	Keys    string
	Cancel  bool // it was asked for
	Problem string
}

// Percent is how much is decided.
func (p adminPage) Percent() int {
	if p.Items == 0 {
		return 100
	}
	return 100 * p.Decided() / p.Items
}

// showReview shows administrators a review.
func (s *Service) showReview(c *gin.Context) { s.reviewPage(c, http.StatusOK, "") }

func (s *Service) reviewPage(c *gin.Context, status int, refusal string) {
	review, ok := s.review(c)
	if !ok {
		return
	}
	ctx := c.Request.Context()
	page := adminPage{Review: review, Filter: c.Query("show"), Cancel: c.Query("cancel") != "", Problem: refusal, Keys: s.address("/jwks/" + review.Workspace.String() + "/all")}
	query := reviews.ItemQuery{Review: review.ID, Limit: reviewPage}
	switch page.Filter {
	case "":
	case "open":
		query.Undecided = true
	default:
		query.Decision = reviews.Verdict(page.Filter)
	}
	var err error
	if query.After, err = queryID(c, "after"); err == nil {
		page.List, err = s.Reviews.Items(ctx, s.DB, review.Workspace, query)
	}
	if err == nil {
		page.Asked, err = s.Reviews.Reviewers(ctx, s.DB, review.Workspace, review.ID)
	}
	if err == nil {
		page.Issues, err = s.Reviews.Issues(ctx, s.DB, review.Workspace, review.ID)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.List) == reviewPage {
		page.Next = page.List[reviewPage-1].ID
	}
	s.show(c, status, "review", review.Name, "reviews", page)
}

// review finds the one in the path, for administrators.
func (s *Service) review(c *gin.Context) (reviews.Review, bool) {
	if !s.administrator(c) {
		return reviews.Review{}, false
	}
	id, err := pathID(c)
	var found reviews.Review
	if err == nil {
		found, err = s.Reviews.Review(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
	}
	return found, err == nil
}

// evidencePage is what a review proves, to be printed.
type evidencePage struct {
	reviews.Evidence
	More int // items that are only in the file
}

// printed is how many items a page to be printed lists.
const printed = 2000

// showEvidence shows administrators all of a review on one page.
func (s *Service) showEvidence(c *gin.Context) {
	review, ok := s.review(c)
	if !ok {
		return
	}
	evidence, err := s.Reviews.Evidence(c.Request.Context(), s.DB, review.Workspace, review.ID)
	if err != nil {
		s.refuse(c, err)
		return
	}
	evidence.Number = review.Issued
	page := evidencePage{Evidence: evidence}
	if len(page.Items) > printed {
		page.More, page.Items = len(page.Items)-printed, page.Items[:printed]
	}
	s.show(c, http.StatusOK, "review-evidence", review.Name+": evidence", "reviews", page)
}

// downloadEvidence hands out what was signed.
func (s *Service) downloadEvidence(c *gin.Context) {
	review, ok := s.review(c)
	if !ok {
		return
	}
	number := 0
	if text := c.Query("number"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 1 || number > 1<<30 {
			s.refuse(c, core.NotFound("signed evidence of the review"))
			return
		}
	}
	issue, err := s.Reviews.Issue(c.Request.Context(), s.DB, review.Workspace, review.ID, number)
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
	c.Header("Content-Disposition", fmt.Sprintf(`attachment; filename="review-%s-%d.json"`, review.ID, issue.Number))
	c.Data(http.StatusOK, "application/json", text)
}

// cancelReview ends a review before its time.
func (s *Service) cancelReview(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	review, ok := s.review(c)
	if !ok {
		return
	}
	err := s.Reviews.Cancel(c.Request.Context(), s.cause(c), review.Workspace, review.ID, c.PostForm("reason"))
	if err == nil {
		c.Redirect(http.StatusSeeOther, "/reviews/"+review.ID.String())
		return
	}
	if refused := core.AsError(err); refused.Kind == core.KindInvalid || refused.Kind == core.KindConflict {
		_ = c.Error(err)
		s.reviewPage(c, http.StatusBadRequest, refused.Message)
		return
	}
	s.refuse(c, err)
}
