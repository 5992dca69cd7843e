package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/reviews"
)

const reviewPage = 50

// myReviewsPage is what waits for somebody.
type myReviewsPage struct {
	Waiting []reviews.Waiting
	Admin   bool
}

func (s *Service) myReviews(c *gin.Context) {
	by := s.reader(c)
	waiting, err := s.Reviews.Waiting(c.Request.Context(), s.DB, by.workspace(), by.user.ID, by.admin())
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "reviews", "My reviews", "reviews", myReviewsPage{waiting, by.admin()})
}

// myItemsPage is a part of what somebody has to decide in a review, and what came of what they said last.
type myItemsPage struct {
	reviews.Review
	List     []reviews.Item
	Left     int
	Next     core.ID
	Today    string
	Taken    int
	Refused  []refusedItem
	Problem  string
	Deciding bool
}

// refusedItem is a decision that was not taken.
type refusedItem struct {
	Item core.ID
	Why  string
}

// myItems shows a reviewer what waits for them.
func (s *Service) myItems(c *gin.Context) { s.itemsOf(c, http.StatusOK, myItemsPage{}) }

// own finds a review in which somebody is asked something. To everybody else it is not there.
func (s *Service) own(c *gin.Context) (reviews.Review, reviews.Waiting, bool) {
	by := s.reader(c)
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return reviews.Review{}, reviews.Waiting{}, false
	}
	review, err := s.Reviews.Review(c.Request.Context(), s.DB, by.workspace(), id)
	if err == nil {
		var all []reviews.Waiting
		if all, err = s.Reviews.Waiting(c.Request.Context(), s.DB, by.workspace(), by.user.ID, by.admin()); err == nil {
			for _, one := range all {
				if one.Review == id {
					return review, one, true
				}
			}
			if by.admin() {
				return review, reviews.Waiting{}, true
			}
			var mine []reviews.Item
			if mine, err = s.Reviews.Items(c.Request.Context(), s.DB, by.workspace(), reviews.ItemQuery{Review: id, Reviewer: by.user.ID, Limit: 1}); err == nil && len(mine) > 0 {
				return review, reviews.Waiting{}, true
			}
			if err == nil {
				err = core.NotFound("review that asks you")
			}
		}
	}
	s.refuse(c, err)
	return reviews.Review{}, reviews.Waiting{}, false
}

func (s *Service) itemsOf(c *gin.Context, status int, page myItemsPage) {
	review, waiting, ok := s.own(c)
	if !ok {
		return
	}
	after, err := queryID(c, "after")
	if err == nil {
		page.List, err = s.Reviews.Items(c.Request.Context(), s.DB, review.Workspace, reviews.ItemQuery{
			Review: review.ID, Reviewer: s.reader(c).user.ID, Unasked: s.reader(c).admin(), Undecided: true, After: after, Limit: reviewPage,
		})
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	page.Review, page.Left, page.Today = review, waiting.Items, s.now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	page.Deciding = review.State == reviews.Open && s.now().Before(review.Due)
	if len(page.List) == reviewPage {
		page.Next = page.List[reviewPage-1].ID
	}
	s.show(c, status, "review-mine", review.Name, "reviews", page)
}

// taking is a decision that takes something, to be confirmed.
type taking struct {
	reviews.Item
	reviews.Decision
}

// confirmPage is what decisions will do.
type confirmPage struct {
	reviews.Review
	Taking []taking
	Kept   []reviews.Decision
}

// decideItems takes the decisions of a page: those that take access are shown once more before.
func (s *Service) decideItems(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	said, err := readDecisions(c)
	if err != nil {
		s.itemsOf(c, http.StatusBadRequest, myItemsPage{Problem: core.AsError(err).Message})
		return
	}
	if c.PostForm("confirmed") == "" {
		if page, takes := s.takings(c, id, said); takes {
			if page.Review.ID.IsZero() {
				return
			}
			s.show(c, http.StatusOK, "review-confirm", "Take this access?", "reviews", page)
			return
		}
	}
	results, err := s.Reviews.Decide(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id, said)
	if err != nil {
		switch refused := core.AsError(err); refused.Kind {
		case core.KindInvalid, core.KindConflict:
			_ = c.Error(err)
			s.itemsOf(c, http.StatusBadRequest, myItemsPage{Problem: refused.Message})
		default:
			s.refuse(c, err)
		}
		return
	}
	page := myItemsPage{}
	for _, one := range results {
		if one.Refused != nil {
			page.Refused = append(page.Refused, refusedItem{one.Item, one.Refused.Message})
			continue
		}
		page.Taken++
	}
	if len(page.Refused) == 0 {
		c.Redirect(http.StatusSeeOther, "/reviews/"+id.String()+"/mine")
		return
	}
	s.itemsOf(c, http.StatusConflict, page)
}

// takings finds what decisions would take. A zero review says that the answer is given.
func (s *Service) takings(c *gin.Context, id core.ID, said []reviews.Decision) (page confirmPage, takes bool) {
	wanted := map[core.ID]reviews.Decision{}
	for _, one := range said {
		if one.Verdict == reviews.Keep {
			page.Kept = append(page.Kept, one)
			continue
		}
		wanted[one.Item] = one
	}
	if len(wanted) == 0 {
		return page, false
	}
	review, _, ok := s.own(c)
	if !ok {
		return confirmPage{}, true
	}
	for _, one := range said {
		if one.Verdict == reviews.Keep {
			continue
		}
		item, err := s.Reviews.Item(c.Request.Context(), s.DB, review.Workspace, id, one.Item)
		if err != nil {
			s.refuse(c, err)
			return confirmPage{}, true
		}
		if !s.reader(c).admin() && item.Reviewer != s.reader(c).user.ID {
			s.refuse(c, core.Denied("you are not the reviewer of this item"))
			return confirmPage{}, true
		}
		page.Taking = append(page.Taking, taking{item, one})
	}
	page.Review = review
	return page, true
}

// readDecisions reads what a form says about its items; what it says nothing about is left open.
func readDecisions(c *gin.Context) ([]reviews.Decision, error) {
	var said []reviews.Decision
	for _, text := range c.PostFormArray("item") {
		id, err := core.ParseID(text)
		if err != nil {
			return nil, core.Invalid("item", "this is no item")
		}
		verdict := c.PostForm("decision-" + text)
		if verdict == "" {
			continue
		}
		one := reviews.Decision{Item: id, Verdict: reviews.Verdict(verdict), Reason: strings.TrimSpace(c.PostForm("reason-" + text))}
		if one.Reason == "" {
			one.Reason = strings.TrimSpace(c.PostForm("reason"))
		}
		if one.Reason == "" {
			return nil, core.Invalid("reason", "say why: in the row, or once for all of them")
		}
		if one.Verdict == reviews.Change {
			one.Role = accounts.Role(c.PostForm("role-" + text))
			if until := c.PostForm("until-" + text); until != "" {
				at, err := time.Parse(time.DateOnly, until)
				if err != nil {
					return nil, core.Invalid("until", "a day is written as 2027-01-31")
				}
				one.Expires = &at
			}
		}
		said = append(said, one)
	}
	if len(said) == 0 {
		return nil, core.Invalid("item", "decide about at least one access")
	}
	return said, nil
}

// handOn has somebody else decide about what is checked, or about everything that waits for whoever asks.
func (s *Service) handOn(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	ctx, by := c.Request.Context(), s.reader(c)
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	wanted := reviews.Reassignment{}
	if from := c.PostForm("from"); from != "" {
		wanted.From, err = core.ParseID(from)
	}
	if err == nil {
		wanted.To, err = s.userNamed(ctx, by.workspace(), strings.TrimSpace(c.PostForm("to")))
	}
	if err == nil {
		_, err = s.Reviews.Reassign(ctx, s.cause(c), by.workspace(), id, wanted)
	}
	back := "/reviews/" + id.String() + "/mine"
	if by.admin() && c.PostForm("from") != "" {
		back = "/reviews/" + id.String()
	}
	if err == nil {
		c.Redirect(http.StatusSeeOther, back)
		return
	}
	switch refused := core.AsError(err); refused.Kind {
	case core.KindInvalid, core.KindConflict:
		_ = c.Error(err)
		if back == "/reviews/"+id.String() {
			s.reviewPage(c, http.StatusBadRequest, refused.Message)
			return
		}
		s.itemsOf(c, http.StatusBadRequest, myItemsPage{Problem: refused.Message})
	default:
		s.refuse(c, err)
	}
}
