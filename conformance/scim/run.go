package scim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what to run against which server. URL is needed.
type Options struct {
	URL         string       // the base of the SCIM endpoint: https://example.com/scim/v2
	Token       string       // sent as a bearer token; empty: no Authorization
	Profile     Profile      // empty: All
	Only        string       // names of checks, or patterns with *, separated by commas; empty: every one
	Client      *http.Client // nil: one that follows no redirects and waits 30 seconds for an answer
	Concurrency int          // checks under way at once; 0: 8
	// OtherToken is one of another tenant, from which everything of the first has to be hidden; empty: that is not asked.
	OtherToken string
	// TokenURL is where ClientID and ClientSecret are exchanged for a token (RFC 6749, section 4.4); empty: nothing is
	// asked of it.
	TokenURL, ClientID, ClientSecret string
	// Patience is the longest wait for a cursor to expire; one that lives longer is not waited for.
	Patience time.Duration
	// Sleep waits for a cursor to expire; nil: by the clock.
	Sleep func(ctx context.Context, wait time.Duration) error
	// Progress is called after each check, by one goroutine at a time; nil: nobody is told.
	Progress func(done, total int, latest Result)
}

// Run runs the checks and reports. When the context ends, checks under way are given up, what they
// created is deleted, and the report holds what was done. The error is about Options, or a server that
// does not answer at all.
func Run(ctx context.Context, options Options) (Report, error) {
	t, err := newTarget(options)
	if err != nil {
		return Report{}, err
	}
	profile := options.Profile
	if profile == "" {
		profile = All
	}
	var chosen []Check
	for _, check := range Checks(profile) {
		if check.matches(options.Only) {
			chosen = append(chosen, check)
		}
	}
	if len(chosen) == 0 {
		return Report{}, fmt.Errorf("no check of profile %q matches %q", profile, options.Only)
	}
	started := time.Now()
	if err := t.discover(ctx); err != nil {
		return Report{}, err
	}
	results := t.runAll(ctx, chosen, profile, options)
	report := Report{
		URL: t.base, Profile: profile, Started: started, Seconds: time.Since(started).Seconds(),
		Interrupted: len(results) < len(chosen), Planned: len(chosen), Requests: int(t.requests.Load()), Results: results,
	}
	return report, nil
}

func newTarget(options Options) (*target, error) {
	base, err := url.Parse(strings.TrimSpace(options.URL))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" {
		return nil, fmt.Errorf("the URL is the base of a SCIM endpoint, such as https://example.com/scim/v2, not %q", options.URL)
	}
	client := options.Client
	if client == nil {
		client = &http.Client{
			Timeout:       30 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if options.OtherToken != "" && options.OtherToken == options.Token {
		return nil, errors.New("the other token is of another tenant: it cannot be the same")
	}
	t := &target{
		base: strings.TrimSuffix(base.String(), "/"), token: options.Token, other: options.OtherToken, client: client, run: strings.ToLower(rand.Text()[:10]),
		patience: options.Patience, sleep: options.Sleep,
	}
	if t.sleep == nil {
		t.sleep = sleep
	}
	if t.access, err = newAccess(options); err != nil {
		return nil, err
	}
	t.hide(options.Token, options.OtherToken, options.ClientSecret, url.QueryEscape(options.ClientSecret), t.access.basic)
	return t, nil
}

// sleep waits by the clock.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runAll runs the checks, some at once, and gives the results in the order of the checks.
func (t *target) runAll(ctx context.Context, checks []Check, profile Profile, options Options) []Result {
	concurrency := options.Concurrency
	if concurrency <= 0 {
		concurrency = 8
	}
	var (
		results = make([]*Result, len(checks))
		queue   = make(chan int)
		lock    sync.Mutex
		done    int
		workers sync.WaitGroup
	)
	for range min(concurrency, len(checks)) {
		workers.Go(func() {
			for i := range queue {
				result := t.check(ctx, checks[i], profile)
				if ctx.Err() != nil && result.Outcome != Passed {
					continue // given up, not answered
				}
				lock.Lock()
				results[i] = &result
				done++
				if options.Progress != nil {
					options.Progress(done, len(checks), result)
				}
				lock.Unlock()
			}
		})
	}
feed:
	for i := range checks {
		select {
		case queue <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	workers.Wait()
	var finished []Result
	for _, result := range results {
		if result != nil {
			finished = append(finished, *result)
		}
	}
	return slices.Clip(finished)
}

// check runs one check and deletes what it created.
func (t *target) check(ctx context.Context, check Check, profile Profile) (result Result) {
	result = Result{Name: check.Name, Title: check.Title, Section: check.Section, Source: check.Source, Level: check.Level, Outcome: Passed}
	if profile == All && check.apart != "" {
		result.Outcome, result.Reason = Skipped, check.apart
		return result
	}
	started := time.Now()
	p := &probe{ctx: ctx, target: t, agent: agents[check.Profile()]}
	defer func() {
		result.Seconds = time.Since(started).Seconds()
		p.clean()
	}()
	defer func() {
		switch stopped := recover().(type) {
		case nil:
		case skip:
			result.Outcome, result.Reason = Skipped, string(stopped)
		case *failure:
			result.Outcome = Failed
			if check.Level == Should {
				result.Outcome = Warned
			}
			result.Failure = &Failure{Expected: stopped.expected, Got: t.redact(stopped.got), Advice: stopped.advice, Exchanges: p.last()}
		default:
			panic(stopped)
		}
	}()
	check.run(p)
	return result
}

// agents are how the clients of each profile call themselves: some servers tell them apart by it.
var agents = map[Profile]string{
	RFC:   "Postern-Conformance/1",
	Okta:  "Okta SCIM Client 1.0.0",
	Entra: "Postern-Conformance/1 (as Microsoft Entra ID)",
}
