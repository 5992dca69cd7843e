package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"postern/core/seal"
)

var (
	//go:embed page.js
	pageJS string
	//go:embed ways.js
	waysJS string
	//go:embed steps.js
	stepsJS    string
	pageScript = pageJS + waysJS + stepsJS
)

const worldName = "postern"

// tab is one isolated page: a browser context of its own behind a proxy of its own.
type tab struct {
	ctx     context.Context // chromedp's
	target  *chromedp.Target
	context cdp.BrowserContextID
	frame   cdp.FrameID // of the main document
	proxy   *proxy
	wake    chan struct{}

	opener  *tab               // of a window; nil: it is the page itself
	entered map[target.ID]bool // windows it opened that were gone on in

	searched string // where closed shadow roots were last looked for, see search
	veiled   bool   // there were some

	mutex    sync.Mutex
	world    string                     // where our script runs, in the document now shown
	inside   runtime.ExecutionContextID // the same, as some commands name it
	frames   frames
	opened   bool  // a window, which nobody has gone to yet
	closed   bool  // what the page had opened
	status   int64 // of the main document; 0 while one is on its way
	awaiting network.RequestID
	fetching map[network.RequestID]bool // scripts on their way
	dialogs  []string
	sockets  int         // messages sent through WebSockets
	watched  seal.Secret // looked for in them
	leaked   bool        // and found
}

var (
	// errLost: the browser or the tab is gone.
	errLost = errors.New("the browser stopped")
	// errMoving: the document went away in the middle of a question; ask the next one.
	errMoving = errors.New("the page is changing")
)

// openTab makes a browser context and its page, unless the browser hangs. The page ends with ctx.
func openTab(ctx context.Context, p *process, way *proxy) (*tab, func(), error) {
	root, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewBrowserContext(func(parameters *target.CreateBrowserContextParams) {
		parameters.ProxyServer, parameters.ProxyBypassList = way.address(), "<-loopback>"
		parameters.DisposeOnDetach = new(true)
	}))
	stop := context.AfterFunc(ctx, cancel)
	end := sync.OnceFunc(func() {
		stop()
		p.tabs.Go(func() {
			cancel()
			way.close()
		})
	})
	// The first command binds the page to its context, so the time limit comes from outside.
	limit := time.AfterFunc(answerTimeout, cancel)
	defer limit.Stop()
	if err := chromedp.Do(root); err != nil {
		end()
		return nil, nil, errors.Join(errLost, err)
	}
	t, err := newTab(root, way, nil)
	if err != nil {
		end()
		return nil, nil, errors.Join(errLost, err)
	}
	return t, end, nil
}

// newTab makes of what chromedp has attached to a page that is listened to and has our scripts: in the document it shows already too,
// if another page has opened it.
func newTab(root context.Context, way *proxy, opener *tab) (*tab, error) {
	inner := chromedp.FromContext(root)
	t := &tab{
		ctx: root, target: inner.Target, context: inner.BrowserContextID, frame: cdp.FrameID(inner.Target.TargetID), proxy: way, wake: make(chan struct{}, 1),
		opener: opener, entered: map[target.ID]bool{}, frames: frames{worlds: map[cdp.FrameID]string{}, near: map[string]bool{}},
	}
	if opener != nil {
		t.context = opener.context
	}
	if err := chromedp.Listen(root, t.event); err != nil {
		return nil, err
	}
	for _, script := range []page.AddScriptToEvaluateOnNewDocumentParams{{Source: pageScript, WorldName: worldName, RunImmediately: new(opener != nil)}, {Source: openShadows}} {
		if _, err := cdp.Call(root, inner.Target, page.AddScriptToEvaluateOnNewDocument, script); err != nil {
			return nil, err
		}
	}
	_, err := cdp.Call(root, inner.Browser, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorDeny, BrowserContextID: t.context,
	})
	return t, err
}

func (t *tab) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// event follows the page. It must not wait for the browser.
func (t *tab) event(event any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch event := event.(type) {
	case *runtime.EventExecutionContextCreated:
		var about struct {
			FrameID cdp.FrameID `json:"frameId"`
		}
		if event.Context.Name == worldName && json.Unmarshal(event.Context.AuxData, &about) == nil {
			if about.FrameID == t.frame {
				t.world, t.inside = event.Context.UniqueID, event.Context.ID
			} else {
				t.frames.worlds[about.FrameID] = event.Context.UniqueID
			}
		}
	case *runtime.EventExecutionContextDestroyed:
		if event.ExecutionContextUniqueID == t.world {
			t.world = ""
		}
		maps.DeleteFunc(t.frames.worlds, func(_ cdp.FrameID, world string) bool { return world == event.ExecutionContextUniqueID })
	case *runtime.EventExecutionContextsCleared:
		t.world = ""
		clear(t.frames.worlds)
	case *network.EventRequestWillBeSent:
		if event.Type == network.ResourceTypeDocument && event.FrameID == t.frame {
			t.awaiting, t.fetching = event.RequestID, map[network.RequestID]bool{}
		}
		if event.Type == network.ResourceTypeScript && t.fetching != nil {
			t.fetching[event.RequestID] = true
		}
	case *network.EventResponseReceived:
		if event.Type == network.ResourceTypeDocument && event.FrameID == t.frame {
			t.status = event.Response.Status
		}
		if event.RequestID == t.awaiting {
			t.awaiting = ""
		}
	case *network.EventLoadingFinished:
		delete(t.fetching, event.RequestID)
	case *network.EventLoadingFailed:
		delete(t.fetching, event.RequestID)
		if event.RequestID == t.awaiting {
			t.awaiting = ""
		}
		t.nudge()
	case *page.EventWindowOpen:
		t.opened = true
		t.nudge()
	case *page.EventDomContentEventFired, *page.EventLoadEventFired, *page.EventFrameNavigated, *page.EventNavigatedWithinDocument:
		t.nudge()
	case *network.EventWebSocketFrameSent:
		t.sockets++
		t.notice(string(event.Response.PayloadData))
	case *network.EventWebSocketCreated:
		t.notice(event.URL)
	case *page.EventJavascriptDialogOpening:
		if event.Type == page.DialogTypeAlert {
			t.dialogs = append(t.dialogs, event.Message)
		}
		// Whoever pressed a button meant it; only a prompt has nothing to answer with.
		accept := event.Type != page.DialogTypePrompt
		go func() {
			_, _ = cdp.Call(t.ctx, t.target, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: accept})
			t.nudge()
		}()
	}
}

// navigate opens an address and returns when its document begins to arrive. The text is the
// browser's reason when it could not.
func (t *tab) navigate(ctx context.Context, address string) (string, error) {
	t.mutex.Lock()
	t.status, t.dialogs = 0, nil
	t.mutex.Unlock()
	answer, err := cdp.Call(ctx, t.target, page.Navigate, page.NavigateParams{URL: address})
	if err != nil {
		return "", t.fault(ctx, err)
	}
	return answer.ErrorText, nil
}

// fault sorts the errors of the protocol. Their texts may quote a page, so they go no further.
func (t *tab) fault(ctx context.Context, err error) error {
	switch {
	case t.opener != nil && t.opener.ctx.Err() == nil && ctx.Err() == nil && (t.ctx.Err() != nil || errors.Is(err, chromedp.ErrTargetDetached)):
		t.mutex.Lock()
		t.closed = true
		t.mutex.Unlock()
		return errMoving
	case t.ctx.Err() != nil && ctx.Err() == nil:
		return errLost
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, chromedp.ErrTargetDetached), strings.Contains(err.Error(), "lost the connection"), strings.Contains(err.Error(), "crashed"):
		return errLost
	}
	return errMoving
}

// marking are the functions of page.js after which a page knows that something was pressed in it.
var marking = []string{"aim", "press", "send", "follow", "ready"}

// ask calls one function of page.js in the isolated world of the document now shown, or of the one in a frame of another site that
// the elements in question are in.
func ask[T any](ctx context.Context, t *tab, function string, arguments ...any) (T, error) {
	world, own := t.route(arguments)
	if world != "" && slices.Contains(marking, function) {
		t.touched(ctx, world)
	}
	return askIn[T](ctx, t, world, function, own...)
}

// askIn calls one function of page.js in one world.
func askIn[T any](ctx context.Context, t *tab, world, function string, arguments ...any) (T, error) {
	var answer T
	if world == "" {
		return answer, errMoving
	}
	parameters := runtime.CallFunctionOnParams{
		FunctionDeclaration: "(...a) => postern." + function + "(...a)", UniqueContextID: world, ReturnByValue: new(true), AwaitPromise: new(true), Silent: new(true),
		UserGesture: new(true),
	}
	for _, argument := range arguments {
		encoded, err := json.Marshal(argument)
		if err != nil {
			return answer, err
		}
		parameters.Arguments = append(parameters.Arguments, &runtime.CallArgument{Value: encoded})
	}
	result, err := cdp.Call(ctx, t.target, runtime.CallFunctionOn, parameters)
	if err != nil {
		return answer, t.fault(ctx, err)
	}
	if result.ExceptionDetails != nil {
		return answer, errMoving
	}
	if err := json.Unmarshal(result.Result.Value, &answer); err != nil {
		return answer, errMoving
	}
	return answer, nil
}

// tick is how long a wait goes without an event before it looks again.
const tick = 100 * time.Millisecond

// await looks at the page whenever something happens, until done is satisfied or the time is up; the
// error is then context.DeadlineExceeded, and the view the last one there was.
func (t *tab) await(ctx context.Context, patience time.Duration, options lookOptions, done func(view) bool) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last view
	for {
		now, err := t.look(ctx, options)
		if t.isClosed() {
			return last, errClosed
		}
		if err == nil {
			now.Status, now.Pending, now.Fetching = t.network()
			now.Errors = append(now.Errors, t.spoken()...)
			last = now
			if done(now) {
				return now, nil
			}
			// What was asked of the page itself it has answered where it can be seen.
			if !now.Same && t.search(ctx, now) {
				continue
			}
		} else if errors.Is(err, errLost) {
			return last, err
		}
		select {
		case <-ctx.Done():
			if t.ctx.Err() != nil {
				return last, errLost
			}
			return last, ctx.Err()
		case <-t.wake:
		case <-time.After(tick):
		}
	}
}

func (t *tab) network() (status int64, pending, fetching bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.status, t.awaiting != "", len(t.fetching) > 0
}

// spoken are the texts of the alerts since the last navigation of ours.
func (t *tab) spoken() []string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return append([]string(nil), t.dialogs...)
}

func (t *tab) forgetDialogs() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.dialogs = nil
}

// notice looks for the secret that is watched in what a WebSocket sends. The mutex is held.
func (t *tab) notice(text string) {
	t.leaked = t.leaked || !t.watched.IsZero() && mentions(t.watched, text)
}

// watch looks for a secret in what goes through WebSockets, which pass no gate; wentRound says that it
// went there.
func (t *tab) watch(secret seal.Secret) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.watched = secret
}

func (t *tab) wentRound() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.leaked
}

func (t *tab) socketMessages() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.sockets
}
