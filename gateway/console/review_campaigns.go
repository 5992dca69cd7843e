package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/reviews"
)

// userNamed finds who is called so: by user name or e-mail address.
func (s *Service) userNamed(ctx context.Context, workspace core.ID, name string) (core.ID, error) {
	if name == "" {
		return core.ID{}, core.Invalid("to", "name a user, by user name or e-mail address")
	}
	for _, query := range []directory.UserQuery{{UserName: name, Limit: 2}, {Email: name, Limit: 2}} {
		found, _, err := s.Directory.Users(ctx, s.DB, workspace, query)
		switch {
		case err != nil:
			return core.ID{}, err
		case len(found) == 1:
			return found[0].ID, nil
		case len(found) > 1:
			return core.ID{}, core.Invalid("to", "several users are called so; name this one by something only they have")
		}
	}
	return core.ID{}, core.Invalid("to", "nobody is called so")
}

func (s *Service) listCampaigns(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	found, err := s.Reviews.Campaigns(c.Request.Context(), s.DB, s.reader(c).workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "review-campaigns", "Campaigns", "reviews", found)
}

// campaignPage is a campaign to be read, changed or made, and what it would ask.
type campaignPage struct {
	reviews.Campaign
	New     bool
	Shown   bool
	Total   int
	Preview []reviews.Preview
	Next    core.ID // behind which the preview goes on
	Apps    []accounts.App
	Tags    []string // there are
	Kinds   []reviews.Kind
	Start   bool // beginning it now was asked for
	Remove  bool // removing it was asked for
	Begun   []reviews.Review
	Problem string
}

// Has reports whether the scope names an app.
func (p campaignPage) Has(app core.ID) bool { return slices.Contains(p.Scope.Apps, app) }

// Of reports whether the scope names a kind.
func (p campaignPage) Of(kind reviews.Kind) bool { return slices.Contains(p.Scope.Kinds, kind) }

// Lines are ids for a field of the form.
func (campaignPage) Lines(ids []core.ID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return strings.Join(texts, "\n")
}

// Days are numbers for a field of the form.
func (p campaignPage) Reminding() string {
	texts := make([]string, len(p.Reminders))
	for i, one := range p.Reminders {
		texts[i] = strconv.Itoa(one)
	}
	return strings.Join(texts, " ")
}

func (s *Service) newCampaign(c *gin.Context) {
	if s.administrator(c) {
		s.campaign(c, http.StatusOK, reviews.Campaign{Days: 14, Fallback: reviews.Revoke, Reminders: reviews.DefaultReminders, Months: 3}, false, nil)
	}
}

func (s *Service) showCampaign(c *gin.Context) {
	if campaign, ok := s.campaignOf(c); ok {
		s.campaign(c, http.StatusOK, campaign, true, nil)
	}
}

// campaignOf finds the one in the path.
func (s *Service) campaignOf(c *gin.Context) (reviews.Campaign, bool) {
	if !s.administrator(c) {
		return reviews.Campaign{}, false
	}
	id, err := pathID(c)
	var found reviews.Campaign
	if err == nil {
		found, err = s.Reviews.Campaign(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
	}
	return found, err == nil
}

// campaign renders the form of a campaign, perhaps with what it would ask, or with why a change was refused.
func (s *Service) campaign(c *gin.Context, status int, campaign reviews.Campaign, preview bool, refusal error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page := campaignPage{
		Campaign: campaign, New: campaign.ID.IsZero(), Kinds: reviews.Kinds,
		Start: c.Query("start") != "", Remove: c.Query("remove") != "",
	}
	after, err := queryID(c, "after")
	if err == nil {
		page.Apps, err = s.Accounts.Apps(ctx, s.DB, workspace)
	}
	if err == nil {
		page.Tags, err = s.Accounts.Tags(ctx, s.DB, workspace)
	}
	if err == nil && !page.New {
		page.Begun, err = s.Reviews.List(ctx, s.DB, workspace, reviews.Query{Campaign: campaign.ID, Limit: 20})
	}
	if err == nil && preview {
		page.Total, page.Preview, refusal = s.Reviews.Preview(ctx, s.DB, workspace, campaign.Scope, after, reviewPage)
		page.Shown = refusal == nil
	}
	if len(page.Preview) == reviewPage {
		page.Next = page.Preview[reviewPage-1].ID
	}
	if err == nil && refusal != nil {
		switch refused := core.AsError(refusal); refused.Kind {
		case core.KindInvalid, core.KindConflict, core.KindStale:
			_ = c.Error(refusal)
			page.Problem, status = refused.Message, http.StatusBadRequest
		default:
			err = refusal
		}
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	title := campaign.Name
	if page.New {
		title = "New campaign"
	}
	s.show(c, status, "review-campaign", title, "reviews", page)
}

// createCampaign takes the form of a new campaign: to keep it, or to show what it would ask.
func (s *Service) createCampaign(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	wanted := reviews.Campaign{}
	refusal := readCampaign(c, &wanted)
	if refusal == nil && c.PostForm("preview") == "" {
		var made reviews.Campaign
		if made, refusal = s.Reviews.Create(c.Request.Context(), s.cause(c), s.reader(c).workspace(), wanted); refusal == nil {
			c.Redirect(http.StatusSeeOther, "/reviews/campaigns/"+made.ID.String())
			return
		}
	}
	s.campaign(c, http.StatusOK, wanted, refusal == nil, refusal)
}

// changeCampaign takes the form of a campaign: to keep what was changed, or to show what it would ask.
func (s *Service) changeCampaign(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	campaign, ok := s.campaignOf(c)
	if !ok {
		return
	}
	wanted := campaign
	refusal := readCampaign(c, &wanted)
	if refusal == nil && c.PostForm("preview") == "" {
		version, _ := strconv.Atoi(c.PostForm("version"))
		_, refusal = s.Reviews.Change(c.Request.Context(), s.cause(c), s.reader(c).workspace(), campaign.ID, version, func(one *reviews.Campaign) { *one = wanted })
		if refusal == nil {
			c.Redirect(http.StatusSeeOther, "/reviews/campaigns/"+campaign.ID.String())
			return
		}
	}
	s.campaign(c, http.StatusOK, wanted, refusal == nil, refusal)
}

// startCampaign begins a review now.
func (s *Service) startCampaign(c *gin.Context) {
	campaign, ok := s.campaignOf(c)
	if !ok {
		return
	}
	begun, err := s.Reviews.Start(c.Request.Context(), s.cause(c), s.reader(c).workspace(), campaign.ID)
	if err != nil {
		s.campaign(c, http.StatusOK, campaign, false, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/reviews/"+begun.ID.String())
}

// removeCampaign takes a campaign away.
func (s *Service) removeCampaign(c *gin.Context) {
	campaign, ok := s.campaignOf(c)
	if !ok {
		return
	}
	if err := s.Reviews.Remove(c.Request.Context(), s.cause(c), s.reader(c).workspace(), campaign.ID); err != nil && core.KindOf(err) != core.KindNotFound {
		s.refuse(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/reviews/campaigns")
}

// readCampaign fills a campaign with what the form says.
func readCampaign(c *gin.Context, campaign *reviews.Campaign) error {
	campaign.Name, campaign.Fallback = c.PostForm("name"), reviews.Verdict(c.PostForm("fallback"))
	for field, into := range map[string]*int{
		"days": &campaign.Days, "months": &campaign.Months, "older": &campaign.Scope.OlderDays, "unused": &campaign.Scope.UnusedDays,
	} {
		*into = 0
		if text := strings.TrimSpace(c.PostForm(field)); text != "" {
			number, err := strconv.Atoi(text)
			if err != nil {
				return core.Invalid(field, "%q is no whole number", core.Cut(text, 40))
			}
			*into = number
		}
	}
	campaign.Reminders = []int{}
	for _, text := range strings.Fields(strings.ReplaceAll(c.PostForm("reminders"), ",", " ")) {
		number, err := strconv.Atoi(text)
		if err != nil {
			return core.Invalid("reminders", "reminders are numbers of days, such as 7 3 0")
		}
		campaign.Reminders = append(campaign.Reminders, number)
	}
	campaign.Anchor = nil
	if text := c.PostForm("begins"); text != "" && campaign.Months > 0 {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return core.Invalid("begins", "a day is written as 2027-01-31")
		}
		campaign.Anchor = &at
	}
	campaign.Scope.Role = accounts.Role(c.PostForm("role"))
	campaign.Scope.Tags = strings.Fields(strings.ReplaceAll(c.PostForm("tags"), ",", " "))
	campaign.Scope.Kinds = nil
	for _, kind := range c.PostFormArray("kind") {
		campaign.Scope.Kinds = append(campaign.Scope.Kinds, reviews.Kind(kind))
	}
	var err error
	for field, into := range map[string]*[]core.ID{"app": &campaign.Scope.Apps, "accounts": &campaign.Scope.Accounts, "excluded": &campaign.Scope.Excluded} {
		if *into, err = lines(strings.Join(c.PostFormArray(field), " ")); err != nil {
			return err
		}
	}
	return nil
}

// reviewSettingsPage is which small reviews begin by themselves.
type reviewSettingsPage struct {
	Settings []reviews.Setting
	Problem  string
}

func (s *Service) showReviewSettings(c *gin.Context) { s.reviewSettings(c, http.StatusOK, "") }

func (s *Service) reviewSettings(c *gin.Context, status int, refusal string) {
	if !s.administrator(c) {
		return
	}
	found, err := s.Reviews.Settings(c.Request.Context(), s.DB, s.reader(c).workspace())
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, "review-settings", "Small reviews", "reviews", reviewSettingsPage{found, refusal})
}

// changeReviewSettings takes the form.
func (s *Service) changeReviewSettings(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	var wanted []reviews.Setting
	for _, trigger := range []reviews.Trigger{reviews.TriggerOwnerChange, reviews.TriggerScopeGrowth, reviews.TriggerUnused} {
		name := string(trigger)
		days, _ := strconv.Atoi(c.PostForm(name + "-days")) // 0 is refused
		wanted = append(wanted, reviews.Setting{
			Trigger: trigger, Enabled: c.PostForm(name) != "", Days: days, Fallback: reviews.Verdict(c.PostForm(name + "-fallback")),
		})
	}
	err := s.Reviews.Set(c.Request.Context(), s.cause(c), s.reader(c).workspace(), wanted...)
	if err == nil {
		c.Redirect(http.StatusSeeOther, "/settings/reviews")
		return
	}
	if refused := core.AsError(err); refused.Kind == core.KindInvalid {
		_ = c.Error(err)
		s.reviewSettings(c, http.StatusBadRequest, refused.Message)
		return
	}
	s.refuse(c, err)
}
