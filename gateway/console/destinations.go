package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/gateway/problem"
	"postern/webhooks/delivery"
	"postern/webhooks/outlogout"
	"postern/webhooks/ssf"
	"postern/webhooks/transmitter"
)

// sentSize is how many messages a destination's page lists.
const sentSize = 50

// destination is a line of the list: whom Postern tells of what happens.
type destination struct {
	Name    string
	Address string // or what stands for it
	Page    string
	State   badge
	Backlog delivery.Backlog
	Taken   *time.Time // when it last took a message
	Wrong   string     // what went wrong last
	Failed  *time.Time // and when
	GivenUp string     // why; what happens is kept for it all the same
}

// destinationGroup is the destinations of one kind.
type destinationGroup struct {
	Title string
	Path  string // of the kind
	What  string // it is told
	Empty string // what to do with it, while there is none
	Items []destination
}

// sent is a message to a destination.
type sent struct {
	ID       core.ID
	What     string
	Person   core.ID // it is about, if the message's name says so
	State    badge
	Attempts int
	Status   int
	Error    string
	Created  time.Time
	Finished *time.Time
	Next     *time.Time // when it is tried again
	Again    bool       // it can be sent again
}

// field is a value to paste somewhere else.
type field struct {
	Name  string
	Value string
	Note  string
}

// made is the answer to making something: the secret that is told this once, and what else to paste.
type made struct {
	Crumb  string // path
	Above  string // what it leads to
	Title  string
	Where  string // to paste it
	Label  string // of the secret
	Secret string // "": there is none to tell
	Note   string
	Fields []field
	Page   string // of what was made
}

// form is what a page's form says, when it is shown again.
type form struct {
	url.Values
	Problem string
}

var destinationStates = map[delivery.State]badge{
	delivery.Running:  {Word: "Running", Tone: "good", Hint: "It is told at once"},
	delivery.Paused:   {Word: "Paused", Tone: "warn", Hint: "What happens waits for it"},
	delivery.Disabled: {Word: "Disabled", Tone: "bad", Hint: "Nothing is sent to it"},
}

var sentStates = map[string]badge{
	"waiting":   {Word: "Waits", Tone: "busy", Hint: "It is not delivered yet"},
	"delivered": {Word: "Delivered", Tone: "good", Hint: "The destination took it"},
	"dead":      {Word: "Not taken", Tone: "bad", Hint: "It was refused or given up; it can be sent again"},
}

// mountDestinations adds the pages about whom Postern tells.
func (s *Service) mountDestinations(inside *gin.RouterGroup) {
	inside.GET("/destinations", s.listDestinations)
	s.mountSinks(inside)
	for _, one := range []struct {
		path           string
		create, show   gin.HandlerFunc
		remove, change gin.HandlerFunc
		set, again     gin.HandlerFunc
	}{
		{"webhooks", s.createWebhook, s.showWebhook, s.deleteWebhook, s.aboutWebhook(s.changeWebhook), s.aboutWebhook(s.setWebhook), s.aboutWebhook(s.resendWebhook)},
		{"receivers", s.createReceiver, s.showReceiver, s.deleteReceiver, s.aboutReceiver(s.changeReceiver), s.aboutReceiver(s.setReceiver), s.aboutReceiver(s.retryReceiver)},
		{"logout-targets", s.createLogoutTarget, s.showLogoutTarget, s.deleteLogoutTarget, s.aboutLogoutTarget(s.changeLogoutTarget), s.aboutLogoutTarget(s.setLogoutTarget), s.aboutLogoutTarget(s.retryLogoutTarget)},
	} {
		at := "/destinations/" + one.path
		inside.GET(at+"/new", s.newDestination)
		inside.POST(at, s.forAdministrators(at+"/new", "name", "url", "types", "scheme", "subject_format", "audience", "sessions", "accounts", "read_only", "kind", "address", "client_id"), one.create)
		inside.GET(at+"/:id", one.show)
		proven := s.forAdministrators(at + "/:id")
		inside.POST(at+"/:id/delete", proven, one.remove)
		inside.POST(at+"/:id/change", proven, one.change)
		inside.POST(at+"/:id/state", proven, one.set)
		inside.POST(at+"/:id/retry", proven, one.again)
	}
	proven := s.forAdministrators("/destinations/webhooks/:id")
	inside.POST("/destinations/webhooks/:id/secret", proven, s.aboutWebhook(s.rotateWebhook))
	inside.POST("/destinations/webhooks/:id/test", proven, s.aboutWebhook(s.testWebhook))
	inside.POST("/destinations/webhooks/:id/replay", proven, s.aboutWebhook(s.replayWebhook))
	proven = s.forAdministrators("/destinations/receivers/:id")
	inside.POST("/destinations/receivers/:id/secrets", proven, s.addReceiverSecret)
	inside.POST("/destinations/receivers/:id/secrets/revoke", proven, s.aboutReceiver(s.revokeReceiverSecret))
}

// stateOf tells how a lane goes.
func stateOf(lane delivery.Lane) badge {
	told := known(destinationStates, lane.State)
	if lane.State == delivery.Running && lane.Failures > 0 {
		told = badge{Word: "Failing", Tone: "bad", Hint: "Tried again and again"}
	}
	if lane.Reason != "" {
		told.Hint = lane.Reason
	}
	return told
}

// sentOf tells a message.
func (s *Service) sentOf(one delivery.Delivery) sent {
	what, whom, _ := strings.Cut(one.Type, " ")
	told := sent{
		ID: one.ID, What: ssf.ShortEvent(what), State: known(sentStates, one.State), Attempts: one.Attempts, Status: one.Status, Error: one.LastError,
		Created: one.Created, Finished: one.Finished, Again: one.State == "dead",
	}
	if person, err := core.ParseID(whom); err == nil {
		told.Person = person
	}
	if one.State == "waiting" && one.Attempts > 0 {
		if one.Next.After(s.now()) {
			told.Next = &one.Next
		}
		told.State = badge{Word: "Tried again", Tone: "warn", Hint: "An attempt failed"}
	}
	return told
}

// destinationOf tells how a lane goes, with what is in it.
func (s *Service) destinationOf(ctx context.Context, workspace, id core.ID) (destination, error) {
	lane, err := s.Deliveries.Lane(ctx, s.DB, workspace, id)
	if err != nil {
		return destination{}, err
	}
	backlog, err := s.Deliveries.Backlog(ctx, s.DB, workspace, id)
	told := destination{Name: lane.Name, State: stateOf(lane), Backlog: backlog, Taken: lane.Succeeded, Wrong: lane.LastError, Failed: lane.LastErrorAt}
	if lane.State == delivery.Disabled && lane.Failures > 0 {
		told.GivenUp = lane.Reason
	}
	return told, err
}

// listDestinations shows administrators whom Postern tells.
func (s *Service) listDestinations(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	groups := []destinationGroup{
		{Title: "Webhooks", Path: "webhooks", What: "Your own tools, told of events by Standard Webhooks",
			Empty: "A chat, a ticket system or a script can hear of each departure, rotation and sign-in within a second. It needs an https address that takes a POST."},
		{Title: "Receivers of Shared Signals", Path: "receivers", What: "Other services, told of people: a session was revoked, an account disabled (CAEP, RISC, SCIM events)",
			Empty: "A service that speaks the Shared Signals Framework can end a person’s sessions when Postern ends theirs. You give it an issuer, a client id and a secret; it makes its stream itself."},
		{Title: "Logout targets", Path: "logout-targets", What: "Apps that log a person out when Postern did",
			Empty: "An app with a back-channel logout address, or one that takes Global Token Revocation, is told whenever somebody is logged out everywhere or leaves."},
	}
	for i, load := range []func(ctx context.Context, workspace core.ID) ([]destination, error){s.webhookLines, s.receiverLines, s.logoutTargetLines} {
		var err error
		if groups[i].Items, err = load(ctx, workspace); err != nil {
			s.refuse(c, err)
			return
		}
	}
	own, err := s.sinkLines(ctx, workspace)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "destinations", "Destinations", "destinations", struct {
		Sinks  []sinkLine
		Groups []destinationGroup
	}{own, groups})
}

// newDestination shows the form that makes one.
func (s *Service) newDestination(c *gin.Context) {
	s.askFor(c, http.StatusOK, strings.Split(strings.Trim(c.FullPath(), "/"), "/")[1], "")
}

// askFor shows the form of a kind, with what was said and why it was refused.
func (s *Service) askFor(c *gin.Context, status int, kind, refusal string) {
	if !s.administrator(c) {
		return
	}
	title := map[string]string{"webhooks": "New webhook", "receivers": "New receiver", "logout-targets": "New logout target"}[kind]
	s.show(c, status, "destination-new", title, "destinations", struct {
		form
		Kind, Title string
		Formats     []string
	}{form{c.Request.PostForm, refusal}, kind, title, map[string][]string{
		"receivers":      {transmitter.SubjectEmail, transmitter.SubjectIssSub},
		"logout-targets": {outlogout.ByEmail, outlogout.ByIssSub, outlogout.ByUserID, outlogout.ByExternalID},
	}[kind]})
}

// command runs what an administrator asked for, of what the path names if it names something: it leads back, or
// shows what was made. What is refused for what it is shows the page again, and says why.
func (s *Service) command(c *gin.Context, back string, again func(c *gin.Context, status int, refusal string), work func(ctx context.Context, by reader, id core.ID) (*made, error)) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	var id core.ID
	if c.Param("id") != "" {
		var err error
		if id, err = pathID(c); err != nil {
			s.refuse(c, err)
			return
		}
	}
	told, err := work(c.Request.Context(), s.reader(c), id)
	switch {
	case err == nil && told != nil:
		s.wake()
		s.show(c, http.StatusOK, "made", told.Title, sectionOf(c), *told)
	case err == nil:
		s.wake()
		c.Redirect(http.StatusSeeOther, strings.Replace(back, ":id", id.String(), 1))
	default:
		s.refused(c, err, again)
	}
}

// refused shows a page again with why what was asked for is refused; anything else that went wrong is a page of
// its own.
func (s *Service) refused(c *gin.Context, err error, again func(c *gin.Context, status int, refusal string)) {
	classified := problem.Classify(err)
	switch classified.Kind {
	case core.KindInvalid, core.KindConflict, core.KindDenied, core.KindNotFound, core.KindStale:
		_ = c.Error(err)
		again(c, problem.Status(classified.Kind), classified.Message)
	default:
		s.refuse(c, err)
	}
}

// sectionOf is which entry of the menu a page of ours belongs to.
func sectionOf(c *gin.Context) string {
	if strings.HasPrefix(c.FullPath(), "/hooks") {
		return "connections"
	}
	return "destinations"
}

// overlaps are for how long the secret before is good; the first is what is proposed.
var overlaps = []struct {
	Value, Word string
	span        time.Duration
}{{"24h", "24 hours", 24 * time.Hour}, {"1h", "an hour", time.Hour}, {"168h", "7 days", 7 * 24 * time.Hour}, {"0", "no time at all", 0}}

func overlapOf(c *gin.Context) (time.Duration, error) {
	for _, one := range overlaps {
		if one.Value == c.PostForm("overlap") {
			return one.span, nil
		}
	}
	return 0, core.Invalid("overlap", "say how long the secret before is good")
}

// confirmed is which destructive act a page asks about.
func confirmed(c *gin.Context, acts ...string) string {
	for _, act := range acts {
		if c.Query("confirm") == act {
			return act
		}
	}
	return ""
}
