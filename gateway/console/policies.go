package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/policies"
	"postern/gateway/problem"
)

// previewSize is how many accounts a preview lists.
const previewSize = 100

// policiesPage is what starts rotations.
type policiesPage struct {
	Rows []policies.Described
}

// editPage is a policy to be read, changed or made, and what it would do.
type editPage struct {
	policies.Described
	New      bool
	Shown    bool // Preview says what it would do
	Preview  []policies.Preview
	Next     core.ID // behind which the preview goes on
	Apps     []accounts.App
	Tags     []string // there are
	Triggers []policies.Trigger
	Weekdays []policies.Weekday
	Named    []accounts.Account // that the policy covers or leaves out by name
	Find     string             // how accounts begin that were looked for
	Found    []accounts.Account // besides those
	Confirm  bool               // removing it was asked for
	Problem  string
}

// Has reports whether the policy covers an app.
func (p editPage) Has(app core.ID) bool { return slices.Contains(p.Scope.Apps, app) }

// On reports whether the schedule is on a day of the week.
func (p editPage) On(day policies.Weekday) bool {
	return p.Schedule != nil && slices.Contains(p.Schedule.Weekdays, day)
}

// Hours is a length of time for a field of the form.
func (editPage) Hours(span time.Duration) string {
	return strconv.FormatFloat(span.Hours(), 'f', -1, 64)
}

// Days are those of the month for a field of the form.
func (p editPage) Days() string {
	if p.Schedule == nil {
		return ""
	}
	texts := make([]string, len(p.Schedule.MonthDays))
	for i, day := range p.Schedule.MonthDays {
		texts[i] = strconv.Itoa(day)
	}
	return strings.Join(texts, " ")
}

// listPolicies shows administrators what starts rotations.
func (s *Service) listPolicies(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	found, err := s.Policies.List(ctx, s.DB, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	var page policiesPage
	for _, policy := range found {
		described, err := s.Policies.Describe(ctx, s.DB, workspace, policy)
		if err != nil {
			s.refuse(c, err)
			return
		}
		page.Rows = append(page.Rows, described)
	}
	s.show(c, http.StatusOK, "policies", "Policies", "policies", page)
}

// newPolicy shows an empty form.
func (s *Service) newPolicy(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	trigger := policies.Trigger(c.Query("trigger"))
	if !slices.Contains(policies.Triggers, trigger) {
		trigger = policies.TriggerSchedule
	}
	blank := policies.DefaultOf(trigger)
	blank.Name, blank.Enabled = "", true
	if trigger == policies.TriggerSchedule {
		blank.Schedule = &policies.Schedule{Days: 90, Zone: "UTC", From: 2 * 60, To: 4 * 60}
	}
	if resumed(c) {
		blank.Trigger = policies.Trigger(c.PostForm("trigger"))
		s.editPolicy(c, http.StatusOK, blank, false, read(c, &blank))
		return
	}
	s.editPolicy(c, http.StatusOK, blank, false, nil)
}

// showPolicy shows a policy and what it would do.
func (s *Service) showPolicy(c *gin.Context) {
	if policy, ok := s.policy(c); ok {
		s.editPolicy(c, http.StatusOK, policy, true, nil)
	}
}

// policy finds the one in the path.
func (s *Service) policy(c *gin.Context) (policies.Policy, bool) {
	if !s.administrator(c) {
		return policies.Policy{}, false
	}
	id, err := pathID(c)
	var found policies.Policy
	if err == nil {
		found, err = s.Policies.Policy(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	}
	if err != nil {
		s.refuse(c, err)
	}
	return found, err == nil
}

// policyFields are what the form of a policy says.
var policyFields = []string{
	"name", "trigger", "enabled", "covers", "app", "tags", "accounts", "excluded", "spacing", "delay", "every", "days", "start", "weekday", "month_days", "from", "to", "zone",
}

// editPolicy renders the form of a policy, perhaps with what it would do, or with why a change was refused.
func (s *Service) editPolicy(c *gin.Context, status int, policy policies.Policy, preview bool, refusal error) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page := editPage{
		New: policy.ID.IsZero(), Triggers: policies.Triggers, Confirm: c.Query("remove") != "",
		Weekdays: []policies.Weekday{1, 2, 3, 4, 5, 6, 0}, Described: policies.Described{Policy: policy},
	}
	after, err := queryID(c, "after")
	if err == nil {
		page.Apps, err = s.Accounts.Apps(ctx, s.DB, workspace)
	}
	if err == nil {
		page.Tags, err = s.Accounts.Tags(ctx, s.DB, workspace)
	}
	if err == nil {
		err = s.nameAccounts(c, &page)
	}
	if err == nil && preview {
		// A draft is told as it would be kept, and one that cannot be is told to be wrong.
		if page.Preview, refusal = s.Policies.Preview(ctx, s.DB, workspace, policy, after, previewSize); refusal == nil {
			page.Described, refusal = s.Policies.Describe(ctx, s.DB, workspace, policy)
		}
		page.Shown = refusal == nil
	}
	if len(page.Preview) == previewSize {
		page.Next = page.Preview[previewSize-1].Account
	}
	if err == nil && refusal != nil {
		classified := problem.Classify(refusal)
		switch classified.Kind {
		case core.KindInvalid, core.KindConflict, core.KindStale:
			_ = c.Error(refusal)
			page.Problem, status = classified.Message, http.StatusBadRequest
		default:
			err = refusal
		}
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	title := policy.Name
	if page.New {
		title = "New policy"
	}
	s.show(c, status, "policy", title, "policies", page)
}

// createPolicy takes the form of a new policy: to keep it, or to show what it would do.
func (s *Service) createPolicy(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	wanted := policies.Policy{Trigger: policies.Trigger(c.PostForm("trigger"))}
	refusal := read(c, &wanted)
	if refusal == nil && c.PostForm("preview") == "" && c.PostForm("look") == "" {
		var made policies.Policy
		if made, refusal = s.Policies.Create(c.Request.Context(), s.cause(c), s.reader(c).workspace(), wanted); refusal == nil {
			c.Redirect(http.StatusSeeOther, "/policies/"+made.ID.String())
			return
		}
	}
	s.editPolicy(c, http.StatusOK, wanted, refusal == nil && c.PostForm("preview") != "", refusal)
}

// changePolicy takes the form of a policy: to keep what was changed, or to show what it would do.
func (s *Service) changePolicy(c *gin.Context) {
	policy, ok := s.policy(c)
	if !ok || !s.readForm(c) {
		return
	}
	wanted := policy
	refusal := read(c, &wanted)
	if refusal == nil && c.PostForm("preview") != "" {
		draft := wanted
		draft.ID = core.ID{}
		s.previewChange(c, policy, draft)
		return
	}
	if refusal == nil && c.PostForm("look") != "" {
		s.editPolicy(c, http.StatusOK, wanted, false, nil)
		return
	}
	if refusal == nil {
		version, _ := strconv.Atoi(c.PostForm("version"))
		_, refusal = s.Policies.Change(c.Request.Context(), s.cause(c), s.reader(c).workspace(), policy.ID, version, func(one *policies.Policy) { *one = wanted })
	}
	if refusal == nil {
		c.Redirect(http.StatusSeeOther, "/policies/"+policy.ID.String())
		return
	}
	s.editPolicy(c, http.StatusOK, wanted, false, refusal)
}

// previewChange shows what a policy would do after a change that is not kept yet.
func (s *Service) previewChange(c *gin.Context, policy, draft policies.Policy) {
	checked, refusal := s.Policies.Describe(c.Request.Context(), s.DB, s.reader(c).workspace(), draft)
	if refusal == nil {
		draft = checked.Policy
	}
	draft.ID, draft.Round = policy.ID, policies.Round{}
	s.editPolicy(c, http.StatusOK, draft, refusal == nil, refusal)
}

// removePolicy takes a policy away.
func (s *Service) removePolicy(c *gin.Context) {
	policy, ok := s.policy(c)
	if !ok {
		return
	}
	err := s.Policies.Remove(c.Request.Context(), s.cause(c), s.reader(c).workspace(), policy.ID)
	if err != nil && problem.Classify(err).Kind != core.KindNotFound {
		s.refuse(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/policies")
}

// setTags takes the form of an account's tags.
func (s *Service) setTags(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		tags := strings.FieldsFunc(c.PostForm("tags"), func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
		_, err := s.Accounts.SetTags(ctx, tx, s.cause(c), by.workspace(), account, tags)
		return err
	})
}

// setRisk takes the form of how bad an account were in wrong hands.
func (s *Service) setRisk(c *gin.Context) {
	if !s.readForm(c) {
		return
	}
	s.act(c, func(ctx context.Context, tx pgx.Tx, by reader, account core.ID) error {
		risk, err := strconv.Atoi(c.PostForm("risk"))
		if err != nil {
			return core.Invalid("risk", "1 (least) to 5 (most)")
		}
		_, err = s.Rotations.SetRisk(ctx, tx, s.cause(c), by.workspace(), account, risk)
		return err
	})
}

// read fills a policy with what the form says.
func read(c *gin.Context, policy *policies.Policy) error {
	policy.Name, policy.Enabled = c.PostForm("name"), c.PostForm("enabled") != ""
	var err error
	if policy.Spacing, err = hours(c, "spacing", policy.Trigger.Spacing()); err != nil {
		return err
	}
	policy.Scope = policies.Scope{Covers: policies.Covers(c.PostForm("covers"))}
	if policy.Scope.Excluded, err = lines(strings.Join(c.PostFormArray("excluded"), " ")); err != nil {
		return err
	}
	switch policy.Scope.Covers {
	case policies.Apps:
		policy.Scope.Apps, err = lines(strings.Join(c.PostFormArray("app"), " "))
	case policies.Tags:
		policy.Scope.Tags = strings.Fields(strings.ReplaceAll(c.PostForm("tags"), ",", " "))
	case policies.Accounts:
		policy.Scope.Accounts, err = lines(strings.Join(c.PostFormArray("accounts"), " "))
	case policies.All:
	}
	if err != nil {
		return err
	}
	switch policy.Trigger {
	case policies.TriggerSignIn:
		policy.Delay, err = hours(c, "delay", 0)
	case policies.TriggerSchedule:
		policy.Schedule, err = schedule(c)
	case policies.TriggerDeprovision, policies.TriggerLogout, policies.TriggerRevocation, policies.TriggerOwnerChange, policies.TriggerAdminChange, policies.TriggerLinkEnd:
	}
	return err
}

// schedule reads when: of the three ways to say the days, the one that is chosen.
func schedule(c *gin.Context) (*policies.Schedule, error) {
	days, weekdays, monthDays, start := 0, []string(nil), []int(nil), ""
	switch c.PostForm("every") {
	case "weekdays":
		weekdays = c.PostFormArray("weekday")
	case "month_days":
		for _, text := range strings.Fields(strings.ReplaceAll(c.PostForm("month_days"), ",", " ")) {
			day, err := strconv.Atoi(text)
			if err != nil {
				return nil, core.Invalid("month_days", "a day of the month is 1 to 31")
			}
			monthDays = append(monthDays, day)
		}
	default:
		var err error
		if days, err = strconv.Atoi(c.PostForm("days")); err != nil {
			return nil, core.Invalid("days", "every 1 to 366 days")
		}
		start = c.PostForm("start")
	}
	return policies.ParseSchedule(days, start, weekdays, monthDays, strings.TrimSpace(c.PostForm("zone")), c.PostForm("from"), c.PostForm("to"))
}

func hours(c *gin.Context, field string, otherwise time.Duration) (time.Duration, error) {
	text := strings.TrimSpace(c.PostForm(field))
	if text == "" {
		return otherwise, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number >= 0 && number <= 10_000) {
		return 0, core.Invalid(field, "say how many hours")
	}
	return time.Duration(number * float64(time.Hour)).Round(time.Second), nil
}

func lines(text string) ([]core.ID, error) {
	var ids []core.ID
	for _, word := range strings.Fields(strings.ReplaceAll(text, ",", " ")) {
		id, err := core.ParseID(word)
		if err != nil {
			return nil, core.Invalid("accounts", "this is no account's id")
		}
		ids = append(ids, id)
	}
	return ids, nil
}
