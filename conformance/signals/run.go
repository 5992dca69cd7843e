package signals

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/conformance/signals/vectors"
)

// Options say whom to ask and how. URL and Token are needed.
type Options struct {
	URL    string // where people and identity providers reach the gateway: https://postern.example.com
	Token  string // of a service account with connections:read, connections:write, signals:read
	Listen string // where the suite's identity provider listens; empty: a free port of this machine
	Public string // where the gateway reaches it; empty: the listening address
	Only   string // names of vectors, or parts of them, separated by commas; empty: every one
	Client *http.Client
	// Patience is how long is waited for what a gateway does in its own time: polling, asking Microsoft Graph. Default 90 s.
	Patience time.Duration
	// Progress is called after each vector; nil: nobody is told.
	Progress func(done, total int, latest Result)
}

// suite is one run.
type suite struct {
	gateway
	provider *provider
	run      string
	rooms    int
	opened   []*room
	current  map[string]*room
	shared   *room // the other connection
	done     int
	results  []Result
	options  Options
}

// task is a vector of a door.
type task struct {
	door, name, title string
	play              func(p *play, ctx context.Context) error
}

// Run plays an identity provider against a gateway and reports. When the context ends, what was made is taken away
// and the report holds what was done. The error is about Options, or a gateway that does not let the suite in.
func Run(ctx context.Context, options Options) (Report, error) {
	base, err := url.Parse(strings.TrimSpace(options.URL))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return Report{}, fmt.Errorf("the URL is the address of a gateway, such as https://postern.example.com, not %q", options.URL)
	}
	chosen, err := tasks(options.Only)
	if err != nil {
		return Report{}, err
	}
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", options.Listen)
	if err != nil {
		return Report{}, err
	}
	if options.Public == "" {
		options.Public = "http://" + listener.Addr().String()
	}
	run := strings.ToLower(rand.Text()[:8])
	played, err := newProvider(options.Public, run)
	if err != nil {
		_ = listener.Close()
		return Report{}, err
	}
	client := options.Client
	if client == nil {
		client = &http.Client{Timeout: 40 * time.Second}
	}
	still := *client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &suite{
		gateway: gateway{base: strings.TrimSuffix(base.String(), "/"), token: options.Token, client: &still}, provider: played,
		run: run, current: map[string]*room{}, options: options,
	}
	if s.options.Patience <= 0 {
		s.options.Patience = 90 * time.Second
	}
	played.gateway = gateway{base: s.base, client: s.client}
	server := &http.Server{Handler: played, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	report := Report{URL: s.base, Started: time.Now(), Planned: len(chosen)}
	err = s.all(ctx, chosen)
	// What was made is taken away even if nobody waits for it any more.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	report.Left = s.remove(ending)
	for _, r := range s.opened {
		report.Kept = append(report.Kept, r.id)
	}
	report.Results, report.Requests, report.Seconds = s.results, s.requests, time.Since(report.Started).Seconds()
	report.Interrupted = len(s.results) < len(chosen)
	if err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		return report, err
	}
	return report, nil
}

// tasks are the vectors asked for.
func tasks(only string) ([]task, error) {
	var chosen []task
	choose := func(door, name, title string, played func(p *play, ctx context.Context) error) {
		if matches(door+"/"+name, only) {
			chosen = append(chosen, task{door, door + "/" + name, title, played})
		}
	}
	for _, one := range []struct {
		door string
		text []byte
	}{{"universal_logout", vectors.UniversalLogout}, {"back_channel_logout", vectors.BackChannelLogout}, {"front_channel_logout", vectors.FrontChannelLogout}, {"ssf_push", vectors.SharedSignals}, {"ssf_poll", vectors.SharedSignals}} {
		var all []vector
		if err := json.Unmarshal(one.text, &all); err != nil {
			return nil, err
		}
		for _, v := range all {
			choose(one.door, v.Name, v.Description, func(p *play, ctx context.Context) error { return p.vector(ctx, v) })
		}
	}
	for _, one := range []struct {
		door string
		text []byte
	}{{"okta_event_hook", vectors.OktaEventHook}, {"graph", vectors.Graph}, {"standard_webhook", vectors.StandardWebhook}, {"signed_webhook", vectors.SignedWebhook}} {
		all, err := vectors.Hooks(one.text)
		if err != nil {
			return nil, err
		}
		for _, v := range all {
			choose(one.door, v.Name, v.Description, func(p *play, ctx context.Context) error { return p.hooked(ctx, v) })
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no vector matches %q", only)
	}
	return chosen, nil
}

func matches(name, only string) bool {
	for part := range strings.SplitSeq(only, ",") {
		if strings.Contains(name, strings.TrimSpace(part)) {
			return true
		}
	}
	return false
}

func (s *suite) all(ctx context.Context, chosen []task) error {
	for _, one := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		started := time.Now()
		result := Result{Name: one.name, Door: one.door, Title: one.title, Outcome: Passed}
		p := &play{suite: s, door: one.door}
		err := one.play(p, ctx)
		if p.setup != nil { // the gateway does not let the suite do what it has to
			return p.setup
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case errors.Is(err, errSkip):
			result.Outcome, result.Reason = Skipped, p.reason
		case err != nil:
			result.Outcome, result.Reason = Failed, err.Error()
		case len(p.faults) > 0:
			result.Outcome, result.Reason = Failed, strings.Join(p.faults, "; ")
		}
		result.Seconds = time.Since(started).Seconds()
		s.results = append(s.results, result)
		if s.options.Progress != nil {
			s.options.Progress(len(s.results), len(chosen), result)
		}
	}
	return nil
}
