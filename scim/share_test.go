package scim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/scim"
)

// serve puts the endpoint on a socket.
func (w *world) serve(t *testing.T) (*httptest.Server, *http.Client) {
	t.Helper()
	server := httptest.NewServer(w.engine)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200, MaxConnsPerHost: 0}}
	t.Cleanup(func() { client.CloseIdleConnections(); server.Close() })
	return server, client
}

// get sends a GET and reads the answer to its end.
func get(ctx context.Context, client *http.Client, address, token string) (status int, retry string, err error) {
	return ask(ctx, client, http.MethodGet, address, "", token)
}

// ask sends a request and reads the answer to its end.
func ask(ctx context.Context, client *http.Client, method, address, body, token string) (status int, retry string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answered, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answered.Body.Close() }()
	_, err = io.Copy(io.Discard, answered.Body)
	return answered.StatusCode, answered.Header.Get("Retry-After"), err
}

// crowd adds users to a workspace without asking the endpoint.
func (h house) crowd(t *testing.T, count int) {
	t.Helper()
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		for number := range count {
			_, err := h.Directory.InsertUser(t.Context(), tx, directory.User{
				Workspace: h.workspace, Connection: h.connection.ID, UserName: fmt.Sprintf("user-%d", number), Active: true,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// flood asks from many connections, as fast as answers come and whatever they say, until ctx ends. It
// returns how many answers there were of each status.
func flood(ctx context.Context, t *testing.T, client *http.Client, token func() string, addresses ...string) (wait func() map[int]int) {
	t.Helper()
	var all sync.WaitGroup
	var lock sync.Mutex
	answered := map[int]int{}
	for number := range 64 {
		all.Go(func() {
			for ctx.Err() == nil {
				status, retry, err := get(ctx, client, addresses[number%len(addresses)], token())
				if err != nil {
					continue
				}
				if seconds, err := strconv.Atoi(retry); status == 429 && (err != nil || seconds < 1 || seconds > 30) {
					t.Errorf("Retry-After is %q", retry)
				}
				lock.Lock()
				answered[status]++
				lock.Unlock()
			}
		})
	}
	return func() map[int]int { all.Wait(); return answered }
}

// calmly sends 25 requests a second for some seconds, no more than eight at once as identity providers do, and returns
// how many answers there were of each status.
func calmly(t *testing.T, client *http.Client, seconds int, address, token string) map[int]int {
	t.Helper()
	var all sync.WaitGroup
	var lock sync.Mutex
	answered := map[int]int{}
	ticker := time.NewTicker(40 * time.Millisecond)
	defer ticker.Stop()
	inside := make(chan struct{}, 8)
	for range 25 * seconds {
		<-ticker.C
		inside <- struct{}{}
		all.Go(func() {
			defer func() { <-inside }()
			status, _, err := get(t.Context(), client, address, token)
			if err != nil {
				t.Error(err)
			}
			lock.Lock()
			answered[status]++
			lock.Unlock()
		})
	}
	all.Wait()
	return answered
}

func TestAFloodOfOneWorkspaceLeavesTheOtherItsShare(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Places: 4, Queue: 16}
	w.acme.crowd(t, 300)
	user := w.other.join(t, "eve")
	server, client := w.serve(t)
	base := server.URL + "/scim/v2"
	ctx, stop := context.WithCancel(t.Context())
	flooded := flood(ctx, t, client, func() string { return w.acme.token }, base+"/Users?count=200", base+"/ServiceProviderConfig", base+"/Schemas", base+"/Groups")
	const seconds = 3
	answered := calmly(t, client, seconds, base+"/Users/"+user, w.other.token)
	stop()
	loud := flooded()
	if answered[200] != 25*seconds {
		t.Errorf("the quiet workspace was answered %v", answered)
	}
	if loud[200] == 0 || loud[429] == 0 {
		t.Errorf("the loud one was answered %v", loud)
	}
	told := w.acme.events(t, core.ConnectionThrottled)
	if len(told) != 1 || told[0].Outcome != core.Failure || told[0].Actor.ID != w.acme.connection.ID || told[0].Targets[0].ID != w.acme.connection.ID {
		t.Errorf("told %+v", told)
	}
	if n := len(w.other.events(t, core.ConnectionThrottled)); n != 0 {
		t.Errorf("%d told of the quiet one", n)
	}
}

// Forged tokens from the very address of an identity provider: what was good before stays good, and
// the database is asked about a bounded number of forgeries.
func TestForgedTokensPushNobodyAside(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Places: 4}
	now := time.Now()
	w.Service.Now = func() time.Time { return now }
	user := w.other.join(t, "eve")
	server, client := w.serve(t)
	base := server.URL + "/scim/v2"
	if status, _, err := get(t.Context(), client, base+"/Users/"+user, w.other.token); err != nil || status != 200 { // now it is known there
		t.Fatal(status, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var number atomic.Int64
	flooded := flood(ctx, t, client, func() string { return fmt.Sprintf("pst_scim_%043d", number.Add(1)) }, base+"/Users", base+"/Bulk")
	answered := calmly(t, client, 2, base+"/Users/"+user, w.other.token)
	stop()
	forged := flooded()
	if answered[200] != 50 {
		t.Errorf("the workspace was answered %v", answered)
	}
	// A request or two may be inside when the last one of the allowance fails.
	if forged[401] < 90 || forged[401] > 104 || forged[429] == 0 || len(forged) != 2 {
		t.Errorf("the forgeries were answered %v", forged)
	}
	// The address is mistrusted, the tokens of others from there are not, if they are known.
	if status, _, err := get(t.Context(), client, base+"/Users", w.acme.token); err != nil || status != 429 {
		t.Errorf("an unknown token from there: %d, %v", status, err)
	}
	now = now.Add(time.Second)
	if status, _, err := get(t.Context(), client, base+"/Users", w.acme.token); err != nil || status != 200 {
		t.Errorf("an unknown token from there a second later: %d, %v", status, err)
	}
}

// A whole crowd begins at once with a token nobody has seen yet: it waits, and nobody is refused.
func TestATokenBecomesKnownByItsFirstRequest(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Places: 4}
	server, client := w.serve(t)
	var all sync.WaitGroup
	var lock sync.Mutex
	answered := map[int]int{}
	for range 100 {
		all.Go(func() {
			status, _, err := get(t.Context(), client, server.URL+"/scim/v2/Users", w.acme.token)
			if err != nil {
				t.Error(err)
			}
			lock.Lock()
			answered[status]++
			lock.Unlock()
		})
	}
	all.Wait()
	if answered[200] != 100 {
		t.Errorf("answered %v", answered)
	}
}

// occupy makes the next request about a user hold its place until it is let go.
func (h house) occupy(t *testing.T, user string) (held func(), letGo func()) {
	t.Helper()
	id, err := core.ParseID(user)
	must(t, err)
	locked, until, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- h.DB.Tx(context.WithoutCancel(t.Context()), func(tx pgx.Tx) error {
			_, err := h.Directory.LockUser(context.WithoutCancel(t.Context()), tx, h.workspace, id)
			close(locked)
			<-until
			return err
		})
	}()
	<-locked
	held = func() {
		t.Helper()
		for waiting := 0; waiting == 0; {
			must(t, h.DB.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting))
		}
	}
	return held, func() { close(until); must(t, <-ended) }
}

// What is over the share is refused with an Error a client can act on, and who goes away while waiting
// leaves nothing behind.
func TestOverTheShare(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Places: 1, Queue: 2, Wait: time.Minute}
	h := w.acme
	user := h.join(t, "ana")
	held, letGo := h.occupy(t, user)
	var all sync.WaitGroup
	begin := func(ctx context.Context, method, path, body string, want int) {
		all.Go(func() {
			got := reply{status: 429}
			for got.status == 429 { // somebody else is where this one belongs
				got = h.send(t, h.request(t, method, path, body).WithContext(ctx))
			}
			if got.status != want {
				t.Errorf("%s answered %d, want %d", method, got.status, want)
			}
		})
	}
	over := func() (refused reply) {
		for range 500 { // until the ones before are where they belong
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			refused = h.send(t, h.request(t, "GET", "/Users", "").WithContext(ctx))
			cancel()
			if refused.status == 429 {
				return refused
			}
		}
		t.Fatal("nobody was refused")
		return refused
	}
	begin(t.Context(), "PUT", "/Users/"+user, `{"userName":"ana"}`, 200)
	held()
	gone, leave := context.WithCancel(t.Context())
	begin(gone, "GET", "/Users", "", 503)
	begin(gone, "GET", "/Users", "", 503)
	refused := over().wantError(t, 429, "")
	if seconds, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 30 {
		t.Errorf("Retry-After is %q", refused.header.Get("Retry-After"))
	}
	last := 0
	for range 60 { // the more are sent away, the later they are asked to come back
		seconds, _ := strconv.Atoi(over().header.Get("Retry-After"))
		if seconds < last {
			t.Errorf("Retry-After fell from %d to %d", last, seconds)
		}
		last = seconds
	}
	if last < 3 {
		t.Errorf("the last of sixty is asked back after %d seconds", last)
	}
	if strings.Contains(refused.text, h.token) {
		t.Error("the token is repeated")
	}
	leave()
	letGo()
	all.Wait()
	h.call(t, "GET", "/Users", "").want(t, 200)
	if told := h.events(t, core.ConnectionThrottled); len(told) != 1 {
		t.Errorf("%d told", len(told))
	}
}
