package scim_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/postgres/postgrestest"
)

// BenchmarkRequests measures what identity providers ask most beside the floor: a bare gin handler
// that does the one transaction nobody can do without. Both work on one PostgreSQL with full
// durability, in turns, so that a slow moment hits both; neither has a network in front, which would
// flatter the slower one. What counts are the ratios.
//
//	create     the user, its event and the journal entry in one commit    the floor inserts the user alone
//	get        by id, with the token looked up on the way                 selects the same row
//	lookup     filter=userName eq "…"                                     selects the same row by its name
//	deprovision  PATCH active=false of somebody with five shared accounts   locks and updates the user
//	taking       the same, while two takers of the same process take what those who leave have
//
// The guard is at its defaults, and the answer means what it always means: the person is shut out, and
// the rest is certain. What the rest costs is in the row taking, which also tells how many people a
// second the takers are done with, and after how long somebody is who leaves when nobody else does.
//
// Allocations are those of one request with nothing else under way, the client's part (a recorder, the
// request) taken in on both sides. Where ours are more, they are the token's check, the body's
// document (a name and a value for each attribute, kept in their order), the events and the journal's
// redacted copy, and what pgx makes of each further statement.
func BenchmarkRequests(b *testing.B) {
	core.Ballast()
	w := openOn(b, postgrestest.Database(b, postgrestest.Server(b, inUse), "requests", jobs.Migrate), directory.Okta)
	crowd := w.acme.populate(b, 1000, true)
	floor := w.floor(b)
	owner := w.acme.populateAccounts(b)
	var number atomic.Int64
	person := func() int { return 1 + rand.IntN(crowd) }
	for _, one := range []contest{
		{name: "create", ours: func(b *testing.B) {
			name := fmt.Sprint("ours", number.Add(1))
			body := strings.NewReplacer("test.user@okta.local", name+"@example.com", "00ujl29u0le5T6Aj10h7", name).Replace(createBody)
			w.acme.answer(b, w.engine, "POST", "/Users", body, http.StatusCreated)
		}, floor: func(b *testing.B) {
			name := fmt.Sprint("floor", number.Add(1))
			w.acme.answer(b, floor, "POST", "/Users", strings.ReplaceAll(createBody, "test.user@okta.local", name+"@example.com"), http.StatusCreated)
		}},
		{name: "get", ours: func(b *testing.B) {
			w.acme.answer(b, w.engine, "GET", "/Users/"+personID(person()).String(), "", http.StatusOK)
		}, floor: func(b *testing.B) {
			w.acme.answer(b, floor, "GET", "/Users/"+personID(person()).String(), "", http.StatusOK)
		}},
		{name: "lookup", ours: func(b *testing.B) {
			w.acme.answer(b, w.engine, "GET", "/Users"+query(`userName eq "`+personName(person())+`"`), "", http.StatusOK)
		}, floor: func(b *testing.B) {
			w.acme.answer(b, floor, "GET", "/Users?name="+url.QueryEscape(personName(person())), "", http.StatusOK)
		}},
		w.deprovision(b, floor, owner),
		w.taking(b, floor, owner),
	} {
		for _, concurrency := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/concurrency-%d", one.name, concurrency), func(b *testing.B) { one.run(b, concurrency) })
		}
	}
}

// deprovision deactivates people who were made for it, so many that they are never too large a share
// of all: the guard against mass departures looks at each and lets it pass.
func (w *world) deprovision(b *testing.B, floor http.Handler, owner *estate) contest {
	var lock sync.Mutex
	var ours, theirs []core.ID
	take := func(from *[]core.ID) string {
		lock.Lock()
		defer lock.Unlock()
		id := (*from)[0]
		*from = (*from)[1:]
		return id.String()
	}
	return contest{
		name: "deprovision",
		prepare: func(b *testing.B, count int) {
			ours = append(ours, w.acme.patients(b, count, owner)...)
			theirs = append(theirs, w.other.patients(b, count, nil)...)
		},
		ours: func(b *testing.B) {
			w.acme.answer(b, w.engine, "PATCH", "/Users/"+take(&ours), deactivateBody, http.StatusOK)
		},
		floor: func(b *testing.B) {
			w.acme.answer(b, floor, "PATCH", "/Users/"+take(&theirs), deactivateBody, http.StatusOK)
		},
	}
}

const countLeavers = `select count(*) from leavers where workspace_id = $1`

// taking is deprovision with takers at work.
func (w *world) taking(b *testing.B, floor http.Handler, owner *estate) contest {
	c := w.deprovision(b, floor, owner)
	c.name = "taking"
	takers := &lifecycle.Takers{Lifecycle: w.Lifecycle}
	left := func() (count int) {
		must(b, w.DB.QueryRow(b.Context(), countLeavers, w.acme.workspace).Scan(&count))
		return count
	}
	c.around = func(b *testing.B, run func()) {
		if _, err := w.Lifecycle.Take(b.Context()); err != nil { // whom the row before left behind
			b.Error(err)
		}
		ctx, stop := context.WithCancel(b.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- takers.Run(ctx) }()
		w.Lifecycle.Left = takers.Wake
		run()
		for left() > 0 {
			time.Sleep(time.Millisecond)
		}
		const alone, crowd = 20, 200
		c.prepare(b, alone+crowd)
		began := time.Now()
		for range alone {
			c.ours(b)
			for left() > 0 {
				time.Sleep(time.Millisecond)
			}
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds())/alone, "taken-ms")
		w.Lifecycle.Left = nil
		stop()
		must(b, <-stopped)
		for range crowd {
			c.ours(b)
		}
		began = time.Now()
		done, err := w.Lifecycle.Take(b.Context())
		must(b, err)
		b.ReportMetric(float64(done)/time.Since(began).Seconds(), "taken/s")
	}
	return c
}

const createBody = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}`

const deactivateBody = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`

// contest is one kind of request, ours and the floor's.
type contest struct {
	name        string
	prepare     func(b *testing.B, count int) // what that many requests of each side need; nil: nothing
	ours, floor func(b *testing.B)
	around      func(b *testing.B, run func()) // runs it all; nil: nothing is around it
}

// run lets both sides work in turns and reports how they compare.
func (c contest) run(b *testing.B, concurrency int) {
	batch := max(8, 48/concurrency)
	var ours, floor side
	round := func(ours, floor *side) {
		if c.prepare != nil {
			c.prepare(b, concurrency*batch)
		}
		ours.work(b, concurrency, batch, c.ours)
		floor.work(b, concurrency, batch, c.floor)
	}
	if c.around != nil {
		around := c.around
		c.around = nil
		around(b, func() { c.run(b, concurrency) })
		return
	}
	round(&side{}, &side{}) // connections are opened, statements prepared, and neither counts
	for b.Loop() {
		round(&ours, &floor)
	}
	b.ReportMetric(ours.rate(), "ours/s")
	b.ReportMetric(floor.rate(), "floor/s")
	b.ReportMetric(ours.rate()/floor.rate(), "ratio")
	b.ReportMetric(ours.slow(), "ours-p99-ms")
	b.ReportMetric(floor.slow(), "floor-p99-ms")
	b.ReportMetric(ours.slow()/floor.slow(), "p99-ratio")
	if concurrency > 1 {
		return
	}
	const runs = 100
	if c.prepare != nil {
		c.prepare(b, runs+1)
	}
	b.ReportMetric(testing.AllocsPerRun(runs, func() { c.ours(b) }), "ours-allocs")
	b.ReportMetric(testing.AllocsPerRun(runs, func() { c.floor(b) }), "floor-allocs")
}

// side is what one side has done so far.
type side struct {
	took  time.Duration
	times []time.Duration
}

// work makes batch requests in each of several goroutines.
func (s *side) work(b *testing.B, concurrency, batch int, one func(b *testing.B)) {
	times := make([]time.Duration, concurrency*batch)
	var all sync.WaitGroup
	began := time.Now()
	for worker := range concurrency {
		all.Go(func() {
			for i := range batch {
				began := time.Now()
				one(b)
				times[worker*batch+i] = time.Since(began)
			}
		})
	}
	all.Wait()
	s.took += time.Since(began)
	s.times = append(s.times, times...)
}

func (s *side) rate() float64 { return float64(len(s.times)) / s.took.Seconds() }

// slow is the 99th percentile in milliseconds.
func (s *side) slow() float64 { return s.percentile(0.99) }

func (s *side) percentile(share float64) float64 {
	slices.SortFunc(s.times, cmp.Compare[time.Duration])
	return float64(s.times[int(share*float64(len(s.times)-1))]) / float64(time.Millisecond)
}

// answer sends a request to an engine and wants a status. The context is not the benchmark's: that
// one grows with each request that watches it.
func (h house) answer(b *testing.B, engine http.Handler, method, path, body string, status int) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/scim/v2"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+h.token)
	request.Header.Set("User-Agent", "Okta SCIM Client 1.0.0")
	if body != "" {
		request.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	if recorder.Code != status {
		b.Errorf("%s %s: %d %s", request.Method, request.URL, recorder.Code, recorder.Body)
	}
	return recorder
}
