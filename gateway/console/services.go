package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/services"
	"postern/gateway/api"
	"postern/gateway/problem"
)

// mountServices adds the pages of service accounts.
func (s *Service) mountServices(inside gin.IRouter) {
	at := "/services/:id"
	inside.GET("/services", s.listServices)
	inside.GET("/services/new", s.newService)
	inside.POST("/services", s.forAdministrators("/services/new"), s.createService)
	inside.GET(at, s.showService)
	inside.POST(at, s.forAdministrators(at), s.changeService)
	inside.POST(at+"/remove", s.forAdministrators(at+"?confirm=remove"), s.removeService)
	inside.POST(at+"/owners", s.forAdministrators(at), s.addServiceOwner)
	inside.POST(at+"/owners/:part/remove", s.forAdministrators(at), s.removeServiceOwner)
	inside.POST(at+"/reaches", s.forAdministrators(at), s.setServiceReaches)
	inside.POST(at+"/credentials", s.forAdministrators(at), s.addServiceCredential)
	inside.POST(at+"/credentials/:part/rotate", s.forAdministrators(at), s.rotateServiceCredential)
	inside.POST(at+"/credentials/:part/remove", s.forAdministrators(at), s.removeServiceCredential)
	inside.POST(at+"/rotations/:part", s.forAdministrators(at), s.advanceServiceRotation)
	inside.POST(at+"/findings/:part", s.forAdministrators(at), s.decideServiceFinding)
}

// The words of service accounts' states.
var (
	serviceStates = map[services.State]badge{
		services.Planned:     {Word: "Planned", Tone: "busy", Hint: "There is no new value yet"},
		services.Created:     {Word: "Created", Tone: "busy", Hint: "The new value is there, and not given out"},
		services.Distributed: {Word: "Distributed", Tone: "busy", Hint: "Whoever asks is given the new value"},
		services.Verified:    {Word: "Verified", Tone: "good", Hint: "The new value is in use"},
		services.Done:        {Word: "Done", Tone: "good", Hint: "The old value is revoked"},
		services.RolledBack:  {Word: "Rolled back", Tone: "warn", Hint: "The new value is revoked, the old one stays"},
	}
	findingStates = map[services.FindingState]badge{
		services.Open:         {Word: "Open", Tone: "bad"},
		services.Acknowledged: {Word: "Acknowledged", Tone: "warn", Hint: "Somebody looks after it"},
		services.Resolved:     {Word: "Resolved", Tone: "good"},
	}
	findingWords = map[services.FindingKind]string{
		services.Ownerless: "Without an owner", services.OneOwner: "One owner alone", services.UsedAfterIdle: "Used after long", services.NewNetwork: "Another network",
		services.InteractiveUse: "Used by a person", services.UsedAfterOwnerLeft: "Used after an owner left", services.ExpiresSoon: "Expires soon",
		services.KnownByLeaver: "Known by somebody who left",
	}
)

// servicesPage is the service accounts, sorted and grouped.
type servicesPage struct {
	Rows     []serviceRow
	Groups   []services.Group
	By       string
	Budget   int
	Advice   []services.Advice
	Findings []services.Finding
	Query    services.Query
	Next     core.ID

	Administers bool
}

// serviceRow is a service account in the list, and how long its bar is.
type serviceRow struct {
	services.Account
	Bar  int // of barWidth
	Over bool
}

// barWidth is how long the bar of the greatest blast radius is.
const barWidth = 160

// listServices shows service accounts: all to administrators, their own to others.
func (s *Service) listServices(c *gin.Context) {
	ctx, by := c.Request.Context(), s.reader(c)
	after, err := queryID(c, "after")
	page := servicesPage{Administers: by.admin(), By: c.DefaultQuery("by", "unit"), Budget: services.DefaultBudget, Query: services.Query{
		Search: c.Query("search"), Unit: c.Query("unit"), Unowned: c.Query("unowned") != "", After: after, Limit: 100,
	}}
	page.Query.Risk, page.Query.Sensitivity = level(c, "risk"), level(c, "sensitivity")
	if budget, err := strconv.Atoi(c.Query("budget")); err == nil && budget >= services.LeastBudget && budget <= 100_000 {
		page.Budget = budget
	}
	if !by.admin() {
		page.Query.Owner = by.user.ID
	}
	var found []services.Account
	if err == nil {
		found, err = s.Services.List(ctx, s.DB, by.workspace(), page.Query)
	}
	if err == nil && by.admin() {
		if page.Groups, err = s.Services.Groups(ctx, s.DB, by.workspace(), page.By); err == nil {
			page.Advice, err = s.Services.Advise(ctx, s.DB, by.workspace(), page.Budget)
		}
		if err == nil {
			page.Findings, err = s.Services.Findings(ctx, s.DB, by.workspace(), services.FindingQuery{State: services.Open, Limit: 20})
		}
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	most := page.Budget
	for _, one := range found {
		most = max(most, one.Blast())
	}
	for _, one := range found {
		page.Rows = append(page.Rows, serviceRow{one, one.Blast() * barWidth / most, one.Blast() > page.Budget})
	}
	if len(found) == page.Query.Limit {
		page.Next = found[len(found)-1].ID
	}
	s.show(c, http.StatusOK, "services", "Service accounts", "services", page)
}

func level(c *gin.Context, name string) int {
	level, err := strconv.Atoi(c.Query(name))
	if err != nil || level < 1 || level > 5 {
		return 0
	}
	return level
}

// newServicePage is the form of a new service account.
type newServicePage struct {
	services.Settings
	Owners  string
	Scopes  string
	Known   []string
	Problem string
}

func (s *Service) newService(c *gin.Context) {
	if s.administrator(c) {
		s.show(c, http.StatusOK, "service-new", "New service account", "services", newServicePage{Settings: services.Settings{Risk: 3, Sensitivity: 3}, Known: api.Scopes()})
	}
}

// createService takes the form of a new service account.
func (s *Service) createService(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	wanted, err := readService(c)
	var owners []accounts.Subject
	for name := range strings.SplitSeq(c.PostForm("owners"), "\n") {
		if name = strings.TrimSpace(name); name == "" || err != nil {
			continue
		}
		var owner accounts.Subject
		err = s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) (err error) {
			owner, err = s.named(c.Request.Context(), tx, s.reader(c).workspace(), name)
			return err
		})
		owners = append(owners, owner)
	}
	var made services.Account
	if err == nil {
		made, err = s.Services.Create(c.Request.Context(), s.cause(c), s.reader(c).workspace(), wanted, owners)
	}
	if err == nil {
		c.Redirect(http.StatusSeeOther, "/services/"+made.ID.String())
		return
	}
	text, ok := s.explain(c, err)
	if !ok {
		return
	}
	s.show(c, http.StatusBadRequest, "service-new", "New service account", "services",
		newServicePage{wanted, c.PostForm("owners"), c.PostForm("scopes"), api.Scopes(), text})
}

// readService reads what an administrator says of a service account.
func readService(c *gin.Context) (services.Settings, error) {
	risk, _ := strconv.Atoi(c.PostForm("risk"))
	sensitivity, _ := strconv.Atoi(c.PostForm("sensitivity"))
	wanted := services.Settings{
		Name: strings.TrimSpace(c.PostForm("name")), Purpose: strings.TrimSpace(c.PostForm("purpose")), Unit: strings.TrimSpace(c.PostForm("unit")),
		Risk: risk, Sensitivity: sensitivity, Scopes: strings.Fields(c.PostForm("scopes")), Networks: strings.Fields(c.PostForm("networks")),
	}
	return wanted, nil
}

// explain tells a person why a change was refused, on the page they came from; what is no refusal is shown as an error.
func (s *Service) explain(c *gin.Context, err error) (string, bool) {
	classified := problem.Classify(err)
	switch classified.Kind {
	case core.KindInvalid, core.KindConflict, core.KindStale, core.KindDenied:
		_ = c.Error(err)
		return classified.Message, true
	}
	s.refuse(c, err)
	return "", false
}

// servicePage is a service account and all there is of it.
type servicePage struct {
	services.Account
	Owners      []services.Owner
	Reaches     []services.Reach
	Terms       []services.Term
	Sum         int
	Boxes       boxes
	Parts       []services.Part
	Budget      int
	Credentials []serviceCredential
	Findings    []services.Finding
	Seen        []services.Seen
	Administers bool
	Confirm     string
	Part        core.ID // what Confirm is about
	Problem     string
}

// serviceCredential is a credential with its values and what became of them.
type serviceCredential struct {
	services.Credential
	Versions []services.Version
	Open     *services.Rotation
	Last     []services.Rotation
	Steps    []services.Step
}

// ReachLines are the reaches for a field of the form.
func (p servicePage) ReachLines() string {
	var lines []string
	for _, one := range p.Reaches {
		lines = append(lines, fmt.Sprintf("%s | %d | %d | %s", one.Name, one.Risk, one.Sensitivity, one.Unit))
	}
	return strings.Join(lines, "\n")
}

// Goes are the states a person may take an open rotation to.
func (c serviceCredential) Goes() []services.State {
	if c.Open == nil || c.Held == services.ByAccount {
		return nil
	}
	if c.Held == services.InApp && c.Open.State == services.Created {
		return nil // the app is asked whether it lets the new one in
	}
	return map[services.State][]services.State{
		services.Created: {services.Distributed}, services.Distributed: {services.Verified}, services.Verified: {services.Done},
	}[c.Open.State]
}

func (s *Service) showService(c *gin.Context) {
	if id, ok := s.ownService(c); ok {
		s.service(c, http.StatusOK, id, "")
	}
}

// ownService is the service account in the path, if the reader may look at it: an administrator, or an owner.
func (s *Service) ownService(c *gin.Context) (core.ID, bool) {
	id, err := pathID(c)
	if err == nil {
		err = s.DB.Tx(c.Request.Context(), func(tx pgx.Tx) error {
			return s.Services.Mine(c.Request.Context(), tx, s.cause(c), s.reader(c).workspace(), id)
		})
	}
	if err != nil {
		s.refuse(c, err)
	}
	return id, err == nil
}

// service shows a service account, perhaps with why something was refused.
func (s *Service) service(c *gin.Context, status int, id core.ID, refusal string) {
	page, err := s.servicePage(c.Request.Context(), s.reader(c), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page.Confirm, page.Problem = c.Query("confirm"), refusal
	page.Part, _ = queryID(c, "part")
	s.show(c, status, "service", page.Name, "services", page)
}

func (s *Service) servicePage(ctx context.Context, by reader, id core.ID) (page servicePage, err error) {
	workspace := by.workspace()
	page = servicePage{Budget: services.DefaultBudget, Administers: by.admin()}
	if page.Account, err = s.Services.Account(ctx, s.DB, workspace, id); err != nil {
		return page, err
	}
	if page.Owners, err = s.Services.Owners(ctx, s.DB, workspace, id); err != nil {
		return page, err
	}
	if page.Reaches, err = s.Services.Reaches(ctx, s.DB, workspace, id); err != nil {
		return page, err
	}
	if page.Findings, err = s.Services.Findings(ctx, s.DB, workspace, services.FindingQuery{Account: id, Limit: 50}); err != nil {
		return page, err
	}
	if page.Seen, err = s.Services.Seen(ctx, s.DB, workspace, id); err != nil {
		return page, err
	}
	credentials, err := s.Services.Credentials(ctx, s.DB, workspace, id)
	if err != nil {
		return page, err
	}
	for _, one := range credentials {
		shown := serviceCredential{Credential: one}
		if shown.Versions, err = s.Services.Versions(ctx, s.DB, workspace, one.ID); err != nil {
			return page, err
		}
		if shown.Last, err = s.Services.RotationsOf(ctx, s.DB, workspace, one.ID); err != nil {
			return page, err
		}
		if len(shown.Last) > 0 {
			if shown.Steps, err = s.Services.StepsOf(ctx, s.DB, workspace, shown.Last[0].ID); err != nil {
				return page, err
			}
			if shown.Last[0].Finished == nil {
				shown.Open = &shown.Last[0]
			}
		}
		page.Credentials = append(page.Credentials, shown)
	}
	page.Seen = page.Seen[:min(len(page.Seen), 20)]
	page.Terms = services.Terms(page.Account, page.Reaches)
	page.Sum, page.Parts, page.Boxes = services.Sum(page.Terms), services.Split(page.Terms, page.Budget), boxed(page.Terms)
	return page, nil
}

// box is a term as it is drawn: as wide as its risk, as high as its sensitivity.
type box struct {
	X, Y, Width, Height int
	Tone, Name, Words   string
}

// boxes is a blast radius as it is drawn: its area is the figure.
type boxes struct {
	Width, Height int
	All           []box
	Words         string
}

// The size of a drawing: one step of risk or sensitivity, the gap, and where a row of boxes ends.
const (
	boxStep  = 26
	boxGap   = 5
	boxesEnd = 760
)

// boxed puts terms into rows, the highest boxes first.
func boxed(terms []services.Term) boxes {
	sorted := slices.SortedStableFunc(slices.Values(terms), func(one, other services.Term) int {
		if one.Sensitivity != other.Sensitivity {
			return other.Sensitivity - one.Sensitivity
		}
		return other.Risk - one.Risk
	})
	all := boxes{Width: boxesEnd, Words: fmt.Sprintf("%s with a blast radius of %d together", core.Count(len(terms), "thing it gets at", "things it gets at"), services.Sum(terms))}
	x, y, high := 0, 0, 0
	for _, term := range sorted {
		width, height := term.Risk*boxStep, term.Sensitivity*boxStep
		if x+width > boxesEnd {
			x, y, high = 0, y+high+boxGap, 0
		}
		tone := "calm"
		switch {
		case term.Product() >= 20:
			tone = "bad"
		case term.Product() >= 10:
			tone = "warn"
		}
		all.All = append(all.All, box{x, y, width, height, tone, term.Name, fmt.Sprintf("%s: risk %d × sensitivity %d = %d", term.Name, term.Risk, term.Sensitivity, term.Product())})
		x, high = x+width+boxGap, max(high, height)
	}
	all.Height = y + high
	return all
}

// Middle is where the figure of a box is written.
func (b box) Middle() (place struct{ X, Y int }) {
	place.X, place.Y = b.X+b.Width/2, b.Y+b.Height/2+4
	return place
}

// Product is the figure of a box.
func (b box) Product() int { return b.Width * b.Height / boxStep / boxStep }

// lifetimeOf reads in how many days something ends; none or 0: it does not.
func (s *Service) lifetimeOf(c *gin.Context) (*time.Time, error) {
	text := strings.TrimSpace(c.PostForm("days"))
	if text == "" || text == "0" {
		return nil, nil
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 || days > 3650 {
		return nil, core.Invalid("days", "a value is good for 1 to 3650 days, or for ever when left empty")
	}
	return new(s.now().AddDate(0, 0, days)), nil
}
