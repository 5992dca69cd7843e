package browser

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"postern/core"
)

const (
	startTimeout = 30 * time.Second
	// answerTimeout bounds what a browser does at once, unless it hangs.
	answerTimeout = 10 * time.Second
)

// process is one running browser.
type process struct {
	ctx     context.Context // chromedp's: it owns the process
	browser *chromedp.Browser
	agent   string
	profile string
	end     func()
	gates   *gates
	started time.Time

	// Under Browser.mutex.
	jobs   int  // begun on it
	active int  // running on it
	worn   bool // takes no more jobs

	tabs sync.WaitGroup // being closed
}

// startProcess starts a browser. Everything of it that is not inside a job's context reaches nothing:
// its own proxy is a port where nobody listens.
func startProcess(ctx context.Context, executable string, log *slog.Logger) (*process, error) {
	profile, err := newProfile()
	if err != nil {
		return nil, core.Internal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(executable),
		chromedp.UserDataDir(profile),
		chromedp.WindowSize(1280, 1024),
		chromedp.NoInheritEnv,
		chromedp.Env(environment(profile)...),
		chromedp.Flag("proxy-server", "http://127.0.0.1:9"),
		chromedp.Flag("proxy-bypass-list", "<-loopback>"),
		// Names are resolved by the forward proxy alone; this also stops look-ahead resolving.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
		chromedp.Flag("force-webrtc-ip-handling-policy", "disable_non_proxied_udp"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true),
		// Frames of another site stay in their page's process: page.js finds the forms in them as in those of the same site, and
		// the events of the page are theirs too. What isolation would keep apart is one app anyway: a browser context, whose
		// processes no other context shares, loads nothing but the app's own hosts.
		chromedp.Flag("disable-site-isolation-trials", true),
		chromedp.Flag("disable-features", "SitePerProcess,IsolateOrigins,Translate,MediaRouter,OptimizationHints,AutofillServerCommunication,NetworkPrediction,WebRtcHideLocalIpsWithMdns"),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("mute-audio", true),
	)
	if withoutSandbox() {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.WithoutCancel(ctx), options...)
	// chromedp's messages may quote what the browser sent, so only their fixed part is kept.
	quiet := func(format string, _ ...any) { log.Debug("browser", "message", format) }
	root, endBrowser := chromedp.NewContext(allocator, chromedp.WithLogf(quiet), chromedp.WithErrorf(quiet))
	p := &process{ctx: root, profile: profile, started: time.Now()}
	p.end = sync.OnceFunc(func() {
		endBrowser()
		endAllocator()
		// Helpers of the browser may write for a moment longer than it lives.
		for range 50 {
			if err := os.RemoveAll(profile); err == nil || errors.Is(err, fs.ErrNotExist) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	// The first command binds the browser to the context it is given, so the time limit and the
	// caller's end come from outside.
	limit := time.AfterFunc(startTimeout, endBrowser)
	stop := context.AfterFunc(ctx, endBrowser)
	err = chromedp.Do(root)
	var version browser.GetVersionResult
	if err == nil {
		version, err = chromedp.CallBrowser(root, browser.GetVersion, cdp.Empty{})
	}
	limit.Stop()
	stop()
	if err == nil {
		err = root.Err()
	}
	if err != nil {
		p.end()
		message := "the browser did not start"
		if strings.Contains(err.Error(), "No usable sandbox") {
			message = "the browser found no sandbox on this machine: let its user make user namespaces or, where something else contains it, set POSTERN_BROWSER_SANDBOX=off"
		}
		return nil, core.Unavailable(10*time.Second, "%s", message).Because(err)
	}
	p.browser, p.agent = chromedp.FromContext(root).Browser, version.Product
	p.gates = newGates(p)
	return p, nil
}

// environment is all a browser learns of ours: where its own files go, and what finds its libraries
// and fonts when they are unpacked in a private folder.
func environment(profile string) []string {
	own := []string{"HOME=" + profile, "TMPDIR=" + profile, "XDG_CONFIG_HOME=" + profile, "XDG_CACHE_HOME=" + profile, "LANG=en_US.UTF-8"}
	for _, name := range []string{"PATH", "TZ", "LD_LIBRARY_PATH", "FONTCONFIG_FILE"} {
		if value, set := os.LookupEnv(name); set {
			own = append(own, name+"="+value)
		}
	}
	return own
}

// withoutSandbox reports whether the browser is to run without its sandbox: as root it has to, and a
// container that allows no user namespaces contains it by itself.
func withoutSandbox() bool { return os.Geteuid() == 0 || os.Getenv("POSTERN_BROWSER_SANDBOX") == "off" }

// lost reports whether the process is gone.
func (p *process) lost() bool { return p.ctx.Err() != nil }

// alive reports whether the process still does what it is told. One that hangs is killed, so that every job on it ends.
func (p *process) alive() bool {
	if p.lost() {
		return false
	}
	if _, err := command(p.ctx, p.browser, browser.GetVersion, cdp.Empty{}); err != nil {
		go p.end()
		return false
	}
	return true
}

// command has the browser or a page of it do something that takes no time.
func command[P, R any](ctx context.Context, session cdp.Session, what cdp.Command[P, R], parameters P) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return cdp.Call(ctx, session, what, parameters)
}

// acquire gives a job a browser: the running one, or a new one when there is none, it is gone, or it
// has done its share or become old.
func (b *Browser) acquire(ctx context.Context) (*process, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.closed {
		return nil, core.Unavailable(0, "the browser has been closed")
	}
	if p := b.process; p != nil && (p.worn || p.lost() || p.jobs >= b.options.JobsPerProcess || time.Since(p.started) >= b.options.ProcessAge) {
		b.retire(b.process)
	}
	if b.process == nil {
		started, err := startProcess(ctx, b.executable, b.options.Log)
		if err != nil {
			b.options.Log.WarnContext(ctx, "the browser did not start", "executable", b.executable, "error", err)
			return nil, err
		}
		b.process = started
		b.options.Log.Debug("browser started", "agent", started.agent, "profile", filepath.Base(started.profile))
	}
	b.process.jobs++
	b.process.active++
	return b.process, nil
}

// release takes a job's browser back. A browser that failed a job gets no other one.
func (b *Browser) release(p *process, broken bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	p.active--
	if broken || p.lost() {
		p.worn = true
	}
	if p.worn {
		if b.process == p {
			b.retire(p)
		} else if p.active == 0 {
			b.finish(p)
		}
	}
}

// retire lets a process finish its jobs and takes no new ones to it. The mutex is held.
func (b *Browser) retire(p *process) {
	p.worn = true
	b.process = nil
	if p.active == 0 {
		b.finish(p)
	}
}

// finish ends a process in the background. The mutex is held.
func (b *Browser) finish(p *process) {
	b.ending.Go(func() {
		p.tabs.Wait()
		b.spares.drop(func(one *spare) bool { return one.process == p })
		p.tabs.Wait()
		p.end()
	})
}
