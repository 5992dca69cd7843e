package console

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/audit"
	"postern/gateway/doctor"
	"postern/siem/sink"
	"postern/siem/sinks"
)

// lettersShown is how many dead letters and replays a sink's page lists.
const lettersShown = 50

// sinkPage is one sink and how it goes.
type sinkPage struct {
	sinks.Sink
	Title     string // of its kind
	Badge     badge
	Settings  []field
	Letters   []audit.DeadLetter
	Replays   []sinks.Replay
	Holds     bool   // its receiver can be asked what it holds
	Advice    string // what to do so that it can, or instead
	Keeps     bool   // its receiver keeps what it accepts
	Diagnosis *doctor.SinkDiagnosis
	Lacks     *sinks.Difference
	Confirm   string
	Done      string // what was just done
	Problem   string
}

var sinkStates = map[audit.SinkStatus]badge{
	audit.SinkRunning:  {Word: "Running", Tone: "good", Hint: "Events are delivered at once"},
	audit.SinkRetrying: {Word: "Retrying", Tone: "warn", Hint: "The receiver is down or busy; it is asked again by itself"},
	audit.SinkPaused:   {Word: "Paused", Tone: "bad", Hint: "What happens waits in the log"},
	audit.SinkDraining: {Word: "Draining", Tone: "busy", Hint: "Paused as soon as what is under way is done"},
}

func sinkBadge(one sinks.Sink) badge {
	told := known(sinkStates, one.State)
	if !one.Enabled {
		told = badge{Word: "Disabled", Tone: "bad", Hint: "Nothing is delivered; what happens waits in the log"}
	} else if one.Reason != "" {
		told.Hint = one.Reason
	}
	return told
}

func sinkAt(id core.ID) string { return "/destinations/sinks/" + id.String() }

// mountSinks adds the pages of sinks.
func (s *Service) mountSinks(inside *gin.RouterGroup) {
	const at = "/destinations/sinks"
	inside.GET(at+"/new", s.newSink)
	inside.POST(at, s.forAdministrators(at+"/new", "name", "kind", "types", "severity", "outcome", "remove", "hash"), s.createSink)
	inside.POST(at+"/:id/change", s.forAdministrators(at+"/:id/change"), s.changeSink)
	inside.GET(at+"/:id", s.showSink)
	inside.GET(at+"/:id/change", s.editSink)
	proven := s.forAdministrators(at + "/:id")
	for act, work := range map[string]func(ctx context.Context, c *gin.Context, one sinks.Sink, page *sinkPage) error{
		"pause": s.pauseSink, "resume": s.resumeSink, "test": s.testSink, "replay": s.replaySink, "retry": s.retrySinkLetters,
		"discard": s.discardSinkLetters, "compare": s.compareSink, "doctor": s.diagnoseSink, "enable": s.enableSink,
	} {
		inside.POST(at+"/:id/"+act, proven, s.aboutSink(work))
	}
	inside.POST(at+"/:id/delete", proven, s.deleteSink)
}

// sinkLine is a line of the list of sinks.
type sinkLine struct {
	sinks.Sink
	Title string
	Page  string
	Badge badge
}

func (s *Service) sinkLines(ctx context.Context, workspace core.ID) ([]sinkLine, error) {
	found, err := s.Sinks.Sinks(ctx, s.DB, workspace)
	lines := make([]sinkLine, 0, len(found))
	for _, one := range found {
		lines = append(lines, sinkLine{one, s.Sinks.Kinds[one.Kind].Title, sinkAt(one.ID), sinkBadge(one)})
	}
	return lines, err
}

func (s *Service) showSink(c *gin.Context) { s.sinkPage(c, http.StatusOK, sinkPage{}) }

func (s *Service) sinkPage(c *gin.Context, status int, page sinkPage) {
	s.about(c, status, "sink", "destinations", func() (string, any, error) {
		ctx, workspace := c.Request.Context(), s.reader(c).workspace()
		id, err := pathID(c)
		if err != nil {
			return "", nil, err
		}
		if page.Sink, err = s.Sinks.Sink(ctx, s.DB, workspace, id); err != nil {
			return "", nil, err
		}
		page.Title, page.Badge, page.Confirm = s.Sinks.Kinds[page.Kind].Title, sinkBadge(page.Sink), confirmed(c, "delete", "discard")
		var settings map[string]any
		if err := json.Unmarshal(page.Sink.Settings, &settings); err != nil {
			return "", nil, core.Internal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			page.Settings = append(page.Settings, field{Name: name, Value: fmt.Sprint(settings[name])})
		}
		can := s.Sinks.Abilities(page.Sink)
		page.Holds = can.Asked.Of(page.Sink.Settings, page.Credentials)
		page.Advice = can.Asked.Advice(page.Sink.Settings, page.Credentials)
		page.Keeps = can.Acknowledges.Of(page.Sink.Settings, page.Credentials)
		if page.Letters, err = s.Sinks.DeadLetters(ctx, s.DB, workspace, id, core.ID{}, lettersShown); err != nil {
			return "", nil, err
		}
		page.Replays, err = s.Sinks.Replays(ctx, s.DB, workspace, id, lettersShown)
		return page.Name, page, err
	})
}

// aboutSink is a command about the sink in the path. What it has to tell is on the page; without that it leads back.
func (s *Service) aboutSink(work func(ctx context.Context, c *gin.Context, one sinks.Sink, page *sinkPage) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if !s.administrator(c) || !s.readForm(c) {
			return
		}
		id, err := pathID(c)
		if err != nil {
			s.refuse(c, err)
			return
		}
		ctx := c.Request.Context()
		one, err := s.Sinks.Sink(ctx, s.DB, s.reader(c).workspace(), id)
		page := sinkPage{}
		if err == nil {
			err = work(ctx, c, one, &page)
		}
		if err != nil {
			s.refused(c, err, func(c *gin.Context, status int, refusal string) { s.sinkPage(c, status, sinkPage{Problem: refusal}) })
			return
		}
		s.wake()
		if page.Done == "" && page.Problem == "" && page.Diagnosis == nil && page.Lacks == nil {
			c.Redirect(http.StatusSeeOther, sinkAt(id))
			return
		}
		s.sinkPage(c, http.StatusOK, page)
	}
}

func (s *Service) pauseSink(ctx context.Context, c *gin.Context, one sinks.Sink, _ *sinkPage) error {
	_, err := s.Sinks.Pause(ctx, s.cause(c), one.Workspace, one.ID, strings.TrimSpace(c.PostForm("reason")))
	return err
}

func (s *Service) resumeSink(ctx context.Context, c *gin.Context, one sinks.Sink, _ *sinkPage) error {
	_, err := s.Sinks.Resume(ctx, s.cause(c), one.Workspace, one.ID)
	return err
}

func (s *Service) enableSink(ctx context.Context, c *gin.Context, one sinks.Sink, _ *sinkPage) error {
	_, err := s.Sinks.Change(ctx, s.cause(c), one.Workspace, one.ID, nil, func(one *sinks.Sink) error {
		one.Enabled = c.PostForm("enabled") == "1"
		return nil
	})
	return err
}

func (s *Service) testSink(ctx context.Context, c *gin.Context, one sinks.Sink, page *sinkPage) error {
	said, err := s.Sinks.Test(ctx, s.cause(c), one.Workspace, one.ID)
	if err != nil {
		return err
	}
	if said.Verdict == "accepted" {
		page.Done = "The receiver took the test event " + said.Event.String() + "."
	} else {
		page.Problem = "the receiver did not take the test event: " + said.Reason
	}
	return nil
}

func (s *Service) replaySink(ctx context.Context, c *gin.Context, one sinks.Sink, _ *sinkPage) error {
	if span, known := replaySpans[c.PostForm("since")]; known {
		_, err := s.Sinks.ReplaySince(ctx, s.cause(c), one.Workspace, one.ID, s.now().Add(-span))
		return err
	}
	from, wrong := strconv.ParseInt(c.PostForm("from"), 10, 64)
	to, wrongToo := strconv.ParseInt(c.PostForm("to"), 10, 64)
	if wrong != nil || wrongToo != nil {
		return core.Invalid("from", "say from which sequence to which, in numbers")
	}
	_, err := s.Sinks.Replay(ctx, s.cause(c), one.Workspace, one.ID, []sink.Range{{From: from, To: to}})
	return err
}

func (s *Service) compareSink(ctx context.Context, c *gin.Context, one sinks.Sink, page *sinkPage) error {
	found, err := s.Sinks.Difference(ctx, one.Workspace, one.ID, 0, 0)
	if err != nil {
		return err
	}
	if c.PostForm("replay") == "1" && found.Events > 0 {
		_, err := s.Sinks.Replay(ctx, s.cause(c), one.Workspace, one.ID, found.Missing)
		return err
	}
	page.Lacks = &found
	return nil
}

func (s *Service) diagnoseSink(ctx context.Context, c *gin.Context, one sinks.Sink, page *sinkPage) error {
	found, err := (&doctor.Sinks{DB: s.DB, Sinks: s.Sinks, Now: s.Now}).Diagnose(ctx, s.cause(c), one.Workspace, one.ID)
	page.Diagnosis = &found
	return err
}

func (s *Service) retrySinkLetters(ctx context.Context, c *gin.Context, one sinks.Sink, page *sinkPage) error {
	letter, err := letterIn(c)
	if err != nil {
		return err
	}
	done, err := s.Sinks.Retry(ctx, s.cause(c), one.Workspace, one.ID, letter)
	if err != nil {
		return err
	}
	page.Done = fmt.Sprintf("Delivered: %d, refused again: %d, not tried: %d.", done.Delivered, done.Refused, done.Left)
	if done.Answer != "" {
		page.Done += " The receiver said: " + done.Answer
	}
	return nil
}

func (s *Service) discardSinkLetters(ctx context.Context, c *gin.Context, one sinks.Sink, _ *sinkPage) error {
	letter, err := letterIn(c)
	if err == nil {
		_, err = s.Sinks.Discard(ctx, s.cause(c), one.Workspace, one.ID, letter, strings.TrimSpace(c.PostForm("reason")))
	}
	return err
}

func (s *Service) deleteSink(c *gin.Context) {
	again := func(c *gin.Context, status int, refusal string) { s.sinkPage(c, status, sinkPage{Problem: refusal}) }
	s.command(c, "/destinations", again, func(ctx context.Context, by reader, id core.ID) (*made, error) {
		return nil, s.Sinks.Delete(ctx, s.cause(c), by.workspace(), id)
	})
}
