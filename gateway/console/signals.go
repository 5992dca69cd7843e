package console

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/core"
	"postern/core/signals"
	"postern/gateway/problem"
)

// signalsSize is how many receipts a page lists.
const signalsSize = 100

// signalsPage is what identity providers said, and what waits.
type signalsPage struct {
	Lines []signals.Kept
	Holds []signals.Hold // that wait, or whose carrying out is under way
	Older core.ID
	Live  bool
}

// signalPage is one receipt.
type signalPage struct {
	signals.Kept
	Digest string
}

// policyPage is the table of what is done.
type policyPage struct {
	Rows     []signals.Policy
	Settings signals.Settings
	Commands []signals.Command // there are
	Problem  string            // of the change that was refused
}

var signalOutcomes = map[signals.Outcome]badge{
	signals.Done:      {Word: "Done", Tone: "good", Hint: "Everything the policy asks for was done"},
	signals.Duplicate: {Word: "Told before", Tone: "calm", Hint: "The same incident came by another door; nothing was done twice"},
	signals.Late:      {Word: "Late", Tone: "calm", Hint: "It happened long before what was done since"},
	signals.Held:      {Word: "Waits", Tone: "warn", Hint: "Sessions are dead; the rest waits for an administrator"},
	signals.Nobody:    {Word: "Nobody", Tone: "warn", Hint: "It means no user of the connection"},
	signals.Ignored:   {Word: "Recorded", Tone: "calm", Hint: "The policy records it and does no more"},
	signals.Rejected:  {Word: "Rejected", Tone: "calm", Hint: "An administrator called it a mistake"},
	signals.Failed:    {Word: "In part", Tone: "bad", Hint: "Something the policy asks for was refused"},
}

// commandWords are the commands as a person reads them.
func commandWords(commands []signals.Command) string {
	words := make([]string, len(commands))
	for i, one := range commands {
		words[i] = strings.ReplaceAll(string(one), "_", " ")
	}
	return strings.Join(words, ", ")
}

// listSignals shows administrators what identity providers said.
func (s *Service) listSignals(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	query := signals.Query{Limit: signalsSize}
	for name, into := range map[string]*core.ID{"before": &query.Before, "user": &query.User, "connection": &query.Connection, "hold": &query.Hold} {
		if err := into.UnmarshalText([]byte(c.Query(name))); err != nil {
			s.refuse(c, err)
			return
		}
	}
	found, err := s.Signals.List(ctx, s.DB, workspace, query)
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := signalsPage{Lines: found, Live: query.Before.IsZero()}
	if page.Holds, err = s.Signals.Holds(ctx, s.DB, workspace, true); err != nil {
		s.refuse(c, err)
		return
	}
	if len(found) == signalsSize {
		page.Older = found[len(found)-1].ID
	}
	s.show(c, http.StatusOK, "signals", "Signals", "signals", page)
}

// showSignal shows administrators one receipt.
func (s *Service) showSignal(c *gin.Context) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	found, err := s.Signals.Read(c.Request.Context(), s.DB, s.reader(c).workspace(), id)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, http.StatusOK, "signal", "Signal", "signals", signalPage{found, hex.EncodeToString(found.Evidence.Digest)})
}

// showSignalPolicy shows administrators the table of what is done.
func (s *Service) showSignalPolicy(c *gin.Context) { s.signalPolicy(c, http.StatusOK, "") }

// changeSignalPolicy sets what is done about one case, or goes back to the default.
func (s *Service) changeSignalPolicy(c *gin.Context) {
	if !s.administrator(c) || !s.readForm(c) {
		return
	}
	ctx, workspace, about := c.Request.Context(), s.reader(c).workspace(), signals.Case(c.PostForm("case"))
	var err error
	if c.PostForm("reset") != "" {
		err = s.Signals.ResetPolicy(ctx, s.cause(c), workspace, core.ID{}, about)
	} else {
		var commands []signals.Command
		for _, one := range c.PostFormArray("command") {
			commands = append(commands, signals.Command(one))
		}
		err = s.Signals.SetPolicy(ctx, s.cause(c), workspace, core.ID{}, about, commands)
	}
	if err == nil {
		s.wake()
		c.Redirect(http.StatusSeeOther, "/signals/policy")
		return
	}
	if classified := problem.Classify(err); classified.Kind == core.KindInvalid {
		_ = c.Error(err)
		s.signalPolicy(c, http.StatusBadRequest, classified.Message)
		return
	}
	s.refuse(c, err)
}

func (s *Service) signalPolicy(c *gin.Context, status int, refusal string) {
	if !s.administrator(c) {
		return
	}
	ctx, workspace := c.Request.Context(), s.reader(c).workspace()
	page := policyPage{Commands: signals.Commands, Problem: refusal}
	var err error
	if page.Rows, err = s.Signals.Policies(ctx, s.DB, workspace, core.ID{}); err == nil {
		page.Settings, err = s.Signals.Settings(ctx, s.DB, workspace)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.show(c, status, "signal-policy", "What signals do", "signals", page)
}

func (s *Service) approveSignals(c *gin.Context) { s.decideSignals(c, s.Signals.ApproveHold) }

func (s *Service) rejectSignals(c *gin.Context) { s.decideSignals(c, s.Signals.RejectHold) }

func (s *Service) decideSignals(c *gin.Context, how func(ctx context.Context, cause core.Cause, workspace, hold core.ID) error) {
	if !s.administrator(c) {
		return
	}
	id, err := pathID(c)
	if err == nil {
		err = how(c.Request.Context(), s.cause(c), s.reader(c).workspace(), id)
	}
	// Decided meanwhile by somebody else: the page shows how.
	if err != nil && problem.Classify(err).Kind != core.KindConflict {
		s.refuse(c, err)
		return
	}
	s.wake()
	c.Redirect(http.StatusSeeOther, "/signals")
}

// openCrowds are for the banner. A page without it is better than none.
func (s *Service) openCrowds(c *gin.Context, workspace core.ID) []signals.Hold {
	open, err := s.Signals.Holds(c.Request.Context(), s.DB, workspace, true)
	if err != nil {
		_ = c.Error(err)
	}
	return open
}
