package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/posture"
	"postern/gateway/problem"
)

// ExportFindingsRoute is the route of the findings as a file, as gin knows it: it must not be given a timeout.
const ExportFindingsRoute = "/security/findings/export"

const (
	findingsSize = 100
	exportWrite  = 30 * time.Second // how long a browser may take nothing of a file
)

// gradings say how much a finding matters.
var gradings = map[posture.Severity]badge{
	posture.Critical: {Word: "Critical", Tone: "bad"}, posture.High: {Word: "High", Tone: "bad"}, posture.Medium: {Word: "Medium", Tone: "warn"}, posture.Low: {Word: "Low", Tone: "calm"},
}

var outcomes = map[posture.Outcome]badge{
	posture.Waiting: {Word: "Waiting", Tone: "busy"}, posture.Done: {Word: "Given", Tone: "good"}, posture.Unchanged: {Word: "Owned already", Tone: "calm"}, posture.Failed: {Word: "Refused", Tone: "bad"},
}

func (s *Service) mountSecurity(inside gin.IRouter) {
	inside.GET("/security", s.showSecurity)
	inside.GET("/security/findings", s.listFindings)
	inside.GET(ExportFindingsRoute, s.exportFindings)
	inside.GET("/security/accounts", s.listStandings)
	inside.GET("/security/reassign", s.showReassign)
	inside.POST("/security/reassign", s.forAdministrators("/security/reassign"), s.reassign)
	inside.GET("/security/reassignments/:id", s.showReassignment)
}

// securityPage is how well the workspace keeps its accounts.
type securityPage struct {
	posture.Overview
	Chart  *chart
	Grades []grade
	Latest []posture.Progress
}

// grade is how many findings there are of a severity, and of which kinds.
type grade struct {
	posture.Severity
	Count int
	Kinds []posture.Counted
}

// Raise is what would raise the score most.
func (p securityPage) Raise() []posture.Part {
	lost := 0
	for lost < len(p.Parts) && lost < 3 && p.Parts[lost].Lost > 0 {
		lost++
	}
	return p.Parts[:lost]
}

// Orphans is how many accounts nobody owns.
func (p securityPage) Orphans() int {
	for _, one := range p.Findings {
		if one.Kind == posture.Orphaned {
			return one.Count
		}
	}
	return 0
}

// showSecurity shows administrators the whole.
func (s *Service) showSecurity(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	found, err := s.Posture.Overview(ctx, s.DB, workspace)
	var days []posture.Day
	if err == nil {
		days, err = s.Posture.History(ctx, s.DB, workspace, chartDays)
	}
	page := securityPage{Overview: found}
	if err == nil {
		page.Latest, err = s.Posture.Reassignments(ctx, s.DB, workspace, core.ID{}, 3)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	page.Chart = charted(days, found)
	for _, severity := range posture.Severities {
		one := grade{Severity: severity, Count: found.Severity(severity)}
		for _, kind := range found.Findings {
			if kind.Severity == severity && kind.Count > 0 {
				one.Kinds = append(one.Kinds, kind)
			}
		}
		page.Grades = append(page.Grades, one)
	}
	s.show(c, http.StatusOK, "security", "Security", "security", page)
}

// findingsPage is a page of what is found, and the filters it was asked with.
type findingsPage struct {
	posture.Filter
	Rows       []posture.Finding
	Kinds      []posture.Description
	Severities []posture.Severity
	Apps       []accounts.App
	Tags       []string
	OwnerName  string
	Next       string
	Asked      string // the filter as a query
	Problem    string
}

// asked reads the filter of a page. An owner is named as people name them.
func (s *Service) asked(c *gin.Context) (posture.Filter, error) {
	filter := posture.Filter{
		Kind: posture.Kind(c.Query("kind")), Severity: posture.Severity(c.Query("severity")), State: c.Query("state"), Tag: strings.TrimSpace(c.Query("tag")),
	}
	var err error
	if filter.App, err = queryID(c, "app"); err != nil {
		return filter, err
	}
	if filter.Account, err = queryID(c, "account"); err != nil {
		return filter, err
	}
	if name := strings.TrimSpace(c.Query("owner")); name != "" {
		err = s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) error {
			subject, err := s.named(c.Request.Context(), tx, s.reader(c).workspace(), name)
			filter.Owner = subject.User
			if subject.User.IsZero() {
				filter.Owner = subject.Team
			}
			return err
		})
	}
	if err == nil {
		err = filter.Check()
	}
	return filter, err
}

// carriedOn is the page's own query without where it went on.
func carriedOn(c *gin.Context) string {
	query := url.Values{}
	for _, name := range []string{"kind", "severity", "state", "app", "tag", "owner", "account", "missing"} {
		if value := c.Query(name); value != "" {
			query.Set(name, value)
		}
	}
	return query.Encode()
}

// listFindings shows administrators what is wrong or is about to be.
func (s *Service) listFindings(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	filter, err := s.asked(c)
	page := findingsPage{Filter: filter, Kinds: posture.Kinds(), Severities: posture.Severities, OwnerName: c.Query("owner"), Asked: carriedOn(c)}
	status := http.StatusOK
	if err == nil {
		page.Rows, page.Next, err = s.Posture.Findings(ctx, s.DB, workspace, posture.Query{Filter: filter, Limit: findingsSize, After: c.Query("after")})
	}
	if core.KindOf(err) == core.KindInvalid {
		_ = c.Error(err)
		page.Problem, status, err = core.AsError(err).Message, http.StatusBadRequest, nil
	}
	if err == nil {
		page.Apps, err = s.Accounts.Apps(ctx, s.DB, workspace)
	}
	if err == nil {
		page.Tags, err = s.Accounts.Tags(ctx, s.DB, workspace)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, "findings", "Findings", "security", page)
}

// exportFindings hands out all of them as a file.
func (s *Service) exportFindings(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	filter, err := s.asked(c)
	var format posture.Format
	if err == nil {
		format, err = posture.ParseFormat(c.Query("format"))
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	out := problem.NewDownload(c, "findings."+string(format), format.ContentType(), exportWrite)
	out.End(s.Posture.Export(c.Request.Context(), s.DB, s.reader(c).workspace(), filter, format, out))
}

// standingsPage is a page of accounts with their milestones.
type standingsPage struct {
	Missing    posture.Milestone
	Rows       []posture.Standing
	Milestones []posture.Goal
	Next       core.ID
	Asked      string
}

// listStandings shows administrators how each account stands.
func (s *Service) listStandings(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	filter, err := s.asked(c)
	page := standingsPage{Missing: posture.Milestone(c.Query("missing")), Milestones: s.Posture.Goals(), Asked: carriedOn(c)}
	var after core.ID
	if err == nil {
		after, err = queryID(c, "after")
	}
	if err == nil {
		page.Rows, err = s.Posture.Standings(c.Request.Context(), s.DB, s.reader(c).workspace(), posture.StandingQuery{
			Filter: filter, Missing: page.Missing, Limit: findingsSize, After: after,
		})
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Rows) == findingsSize {
		page.Next = page.Rows[findingsSize-1].ID
	}
	s.show(c, http.StatusOK, "standings", "Milestones", "security", page)
}

// reassignPage is the form of new owners, and what it would do.
type reassignPage struct {
	posture.Plan
	App      core.ID
	Tag      string
	Apps     []accounts.App
	Tags     []string
	Subjects []subject
	Names    string           // of the new owners, as they were typed
	All      bool             // every account the filter leaves, not only those ticked
	Ticked   map[core.ID]bool // accounts
	Orphans  int
	Rows     []posture.Standing
	Confirm  bool // what it would do is shown, and waits for a yes
	Problem  string
}

// Chosen reports whether an account is ticked.
func (p reassignPage) Chosen(account core.ID) bool { return p.Ticked[account] }

// showReassign shows the accounts without an owner, and asks who is to own them.
func (s *Service) showReassign(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	app, err := queryID(c, "app")
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.reassigning(c, http.StatusOK, reassignPage{App: app, Tag: strings.TrimSpace(c.Query("tag")), All: true})
}

// reassigning renders the form.
func (s *Service) reassigning(c *gin.Context, status int, page reassignPage) {
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	filter := posture.Filter{Kind: posture.Orphaned, App: page.App, Tag: page.Tag}
	counted, err := s.Posture.Count(ctx, s.DB, workspace, filter)
	if err == nil {
		page.Orphans = counted[0].Count
		page.Rows, err = s.Posture.Orphans(ctx, s.DB, workspace, filter)
	}
	if err == nil {
		page.Apps, err = s.Accounts.Apps(ctx, s.DB, workspace)
	}
	if err == nil {
		page.Tags, err = s.Accounts.Tags(ctx, s.DB, workspace)
	}
	if err == nil {
		page.Subjects, err = s.subjects(ctx, workspace)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, "reassign", "New owners", "security", page)
}

// reassign takes the form: to show what it would do, and then to do it.
func (s *Service) reassign(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page := reassignPage{Names: strings.TrimSpace(c.PostForm("owners")), Tag: strings.TrimSpace(c.PostForm("tag")), All: c.PostForm("which") != "ticked", Ticked: map[core.ID]bool{}}
	wanted, err := s.wanted(c, &page)
	if err == nil && c.PostForm("expected") != "" {
		expected, wrong := strconv.Atoi(c.PostForm("expected"))
		if wrong != nil {
			expected = -1
		}
		wanted.Expected = &expected
		var made posture.Progress
		if made, err = s.Posture.Reassign(ctx, s.cause(c), workspace, wanted); err == nil {
			c.Redirect(http.StatusSeeOther, "/security/reassignments/"+made.ID.String())
			return
		}
	}
	status := http.StatusOK
	if err == nil {
		page.Plan, err = s.Posture.Preview(ctx, s.DB, workspace, wanted)
		page.Confirm = err == nil
	}
	switch classified := problem.Classify(err); {
	case err == nil:
	case classified.Kind == core.KindInvalid, classified.Kind == core.KindStale, classified.Kind == core.KindConflict:
		_ = c.Error(err)
		page.Problem, status = classified.Message, http.StatusBadRequest
	default:
		s.refuse(c, err)
		return
	}
	s.reassigning(c, status, page)
}

// wanted reads the form into what is asked for.
func (s *Service) wanted(c *gin.Context, page *reassignPage) (posture.Reassignment, error) {
	var wanted posture.Reassignment
	ticked, err := lines(strings.Join(c.PostFormArray("account"), " "))
	if err != nil {
		return wanted, err
	}
	for _, account := range ticked {
		page.Ticked[account] = true
	}
	if text := c.PostForm("app"); text != "" {
		if page.App, err = core.ParseID(text); err != nil {
			return wanted, core.Invalid("app", "this is not an id")
		}
	}
	if page.All {
		wanted.Orphaned = &posture.Filter{App: page.App, Tag: page.Tag}
	} else if wanted.Accounts = ticked; len(ticked) == 0 {
		return wanted, core.Invalid("account", "tick the accounts that are meant")
	}
	names := strings.FieldsFunc(page.Names, func(r rune) bool { return r == ',' || r == ';' || r == '\n' || r == '\r' })
	err = s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) error {
		wanted.Owners = nil
		for _, name := range names {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			owner, err := s.named(c.Request.Context(), tx, s.reader(c).workspace(), name)
			if err != nil {
				return err
			}
			if !slices.Contains(wanted.Owners, owner) {
				wanted.Owners = append(wanted.Owners, owner)
			}
		}
		return nil
	})
	return wanted, err
}

// reassignmentPage is the report of new owners.
type reassignmentPage struct {
	posture.Progress
	Outcome posture.Outcome
	Rows    []posture.Row
	Next    core.ID
}

// showReassignment shows administrators what became of each account.
func (s *Service) showReassignment(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	id, err := pathID(c)
	page := reassignmentPage{Outcome: posture.Outcome(c.Query("outcome"))}
	var after core.ID
	if err == nil {
		after, err = queryID(c, "after")
	}
	if err == nil {
		page.Progress, err = s.Posture.Progress(ctx, s.DB, workspace, id)
	}
	if err == nil {
		page.Rows, err = s.Posture.Rows(ctx, s.DB, workspace, id, page.Outcome, after, findingsSize)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	if len(page.Rows) == findingsSize {
		page.Next = page.Rows[findingsSize-1].Account
	}
	s.show(c, http.StatusOK, "reassignment", "New owners", "security", page)
}
