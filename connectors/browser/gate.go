package browser

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"postern/core/seal"
)

// gates hold back the requests of every page, frame, pop-up, worker and service worker of one
// browser while any change is under way. They are set on the browser itself, because a gate on the
// page alone does not see its pop-ups and service workers.
type gates struct {
	process *process

	mutex sync.Mutex
	users int // changes under way
	armed []*gate
}

// verdict is what became of a request that was held back.
type verdict struct {
	released        bool
	refusedByCaller bool   // release returned an error
	reason          string // why it was not released, for a person
}

// gate belongs to one change.
type gate struct {
	candidate seal.Secret
	current   seal.Secret
	release   func(ctx context.Context) error
	verdicts  chan verdict
	tab       *tab
	ctx       context.Context
	unread    bool // requests are not looked into: GateSent

	// asking is held while release runs, so that it runs once.
	asking sync.Mutex

	mutex    sync.Mutex
	names    map[string]bool // parameters that must hold the candidate
	hidden   map[string]bool // parameters that hold the candidate or nothing
	old      map[string]bool // parameters of the current password
	held     int
	released bool
	sent     string // method and address of the request that was released
	closed   bool
	// calledOff: release returned an error
	calledOff bool
}

func newGates(p *process) *gates {
	g := &gates{process: p}
	paused := chromedp.BrowserEvents(p.ctx, fetch.RequestPaused)
	go func() {
		for event, err := range paused {
			if err != nil {
				return
			}
			go g.paused(event)
		}
	}()
	return g
}

// begin switches interception on for a change that starts. It comes before the change's page is made,
// since a page that is already there would keep its unwatched ways.
func (g *gates) begin() error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.users == 0 {
		// Of every kind: a page can send a password with a script's or a picture's address as well.
		patterns := []*fetch.RequestPattern{{URLPattern: "*"}}
		if _, err := command(g.process.ctx, g.process.browser, fetch.Enable, fetch.EnableParams{Patterns: patterns}); err != nil {
			return errLost
		}
	}
	g.users++
	return nil
}

func (g *gates) finish() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.users--
	if g.users == 0 && len(g.armed) == 0 {
		_, _ = command(g.process.ctx, g.process.browser, fetch.Disable, cdp.Empty{})
	}
}

func (g *gates) arm(one *gate) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.armed = append(g.armed, one)
}

func (g *gates) disarm(one *gate) {
	<-one.tab.ctx.Done()
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.armed = slices.DeleteFunc(g.armed, func(other *gate) bool { return other == one })
	if g.users == 0 && len(g.armed) == 0 {
		_, _ = command(g.process.ctx, g.process.browser, fetch.Disable, cdp.Empty{})
	}
}

// paused decides about one request.
func (g *gates) paused(event fetch.EventRequestPaused) {
	request := event.Request
	owner := g.owner(event)
	if owner == nil {
		g.let(event)
		return
	}
	switch judged, reason := owner.judge(request, event.ResourceType); judged {
	case unrelated:
		g.let(event)
	case opaque:
		g.drop(event)
	case tampered:
		g.drop(event)
		owner.tell(verdict{reason: reason})
	case change:
		if owner.ask(request, event.RedirectedRequestID != "") {
			g.let(event)
			owner.tell(verdict{released: true})
		} else {
			g.drop(event)
		}
	}
}

func (g *gates) let(event fetch.EventRequestPaused) {
	_, _ = command(g.process.ctx, g.process.browser, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: event.RequestID})
}

// drop ends a request so that the page stays where it is.
func (g *gates) drop(event fetch.EventRequestPaused) {
	_, _ = command(g.process.ctx, g.process.browser, fetch.FailRequest, fetch.FailRequestParams{RequestID: event.RequestID, ErrorReason: network.ErrorReasonAborted})
}

// owner finds the change a request belongs to; nil when it belongs to none. Requests that carry nothing of a change
// are nobody's.
func (g *gates) owner(event fetch.EventRequestPaused) *gate {
	g.mutex.Lock()
	armed := slices.Clone(g.armed)
	g.mutex.Unlock()
	if len(armed) == 0 {
		return nil
	}
	content := body(event.Request)
	for _, one := range armed {
		if mentions(one.candidate, written(event.Request, content)...) {
			return one
		}
	}
	if !carries(event.Request) && !slices.ContainsFunc(armed, func(one *gate) bool { return one.named(event.Request) }) {
		return nil
	}
	for _, one := range armed {
		if event.FrameID == one.tab.frame {
			return one
		}
	}
	// A frame, a pop-up or a worker.
	if targets, err := command(g.process.ctx, g.process.browser, target.GetTargets, target.GetTargetsParams{}); err == nil {
		for _, info := range targets.TargetInfos {
			if string(info.TargetID) != string(event.FrameID) {
				continue
			}
			for _, one := range armed {
				if info.BrowserContextID == one.tab.context {
					return one
				}
			}
			// Somebody else's. Their request must not wait for what follows: a page that waits for its
			// app tells nothing about its frames meanwhile.
			return nil
		}
	}
	for _, one := range armed {
		tree, err := command(g.process.ctx, one.tab.target, page.GetFrameTree, cdp.Empty{})
		if err == nil && inTree(tree.FrameTree, event.FrameID) {
			return one
		}
	}
	return nil
}

func inTree(tree *page.FrameTree, frame cdp.FrameID) bool {
	return tree.Frame.ID == frame || slices.ContainsFunc(tree.ChildFrames, func(child *page.FrameTree) bool { return inTree(child, frame) })
}

func carries(request *network.Request) bool {
	switch request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return request.HasPostData
	}
	return true
}

// named reports whether a request without a body has a parameter that a new password travels in.
func (g *gate) named(request *network.Request) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if len(g.names) == 0 {
		return false
	}
	parameters, _ := parse(request, "") // an address that cannot be read has none
	return slices.ContainsFunc(parameters, func(p parameter) bool {
		return g.names[p.name] || g.hidden[p.name] || newParameter.MatchString(p.name)
	})
}

// expect tells the gate which parameters a form's new passwords travel in.
func (g *gate) expect(f *form) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.names, g.hidden, g.old = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, one := range f.Fields {
		switch one.Kind {
		case "new", "confirm":
			g.names[one.Name] = true
		case "current":
			g.old[one.Name] = true
		}
	}
	for _, name := range f.Hidden {
		g.hidden[name] = true
	}
	// What an earlier filling of the form led to is of no interest any more.
	for len(g.verdicts) > 0 {
		<-g.verdicts
	}
}

// ask lets a complete change request out: the first after release agreed, a later one only if it is
// another request, since none is ever sent twice.
func (g *gate) ask(request *network.Request, redirected bool) bool {
	g.mutex.Lock()
	g.held++
	g.mutex.Unlock()
	defer func() {
		g.mutex.Lock()
		g.held--
		g.mutex.Unlock()
	}()
	g.asking.Lock()
	defer g.asking.Unlock()
	address := request.Method + " " + request.URL
	g.mutex.Lock()
	released, sent, closed := g.released, g.sent, g.closed
	g.mutex.Unlock()
	if closed {
		return false
	}
	if released {
		return redirected || sent != address
	}
	if g.ctx.Err() != nil {
		return false
	}
	if err := g.release(g.ctx); err != nil {
		g.mutex.Lock()
		g.closed, g.calledOff = true, true
		g.mutex.Unlock()
		g.tell(verdict{refusedByCaller: true, reason: "it was called off"})
		return false
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.closed {
		// The attempt ended while release ran. Nothing was sent.
		return false
	}
	g.released, g.sent = true, address
	return true
}

func (g *gate) tell(v verdict) {
	select {
	case g.verdicts <- v:
	default: // it has been told enough
	}
}

func (g *gate) isReleased() bool {
	if g == nil {
		return false
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.released
}

// isCalledOff reports whether whoever asked for the change did not want it sent.
func (g *gate) isCalledOff() bool {
	if g == nil {
		return false
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.calledOff
}

func (g *gate) holding() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.held > 0
}

// shut closes the gate for good: what the page still sends is dropped.
func (g *gate) shut() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.closed = true
}

var errUnreadable = errors.New("unreadable")

// mentions reports whether a request's texts hold the candidate in any form a page would write it in.
func mentions(candidate seal.Secret, texts ...string) bool {
	for _, form := range spellings(candidate) {
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, form) }) {
			return true
		}
	}
	return false
}

// written are the texts of a request: its address, its body and what a page can put into its headers.
func written(request *network.Request, content string) []string {
	texts := []string{request.URL, content}
	for _, one := range headers(request) {
		texts = append(texts, one.value)
	}
	return texts
}

// headers are those of a request that a page writes as it likes. The page that a request comes from is none: its
// address may have a password that was sent with it.
func headers(request *network.Request) []parameter {
	var list []parameter
	for name, value := range request.Headers {
		if text, ok := value.(string); ok && !strings.EqualFold(name, "Referer") {
			list = append(list, parameter{name, text})
		}
	}
	return list
}
