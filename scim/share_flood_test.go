package scim_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/core"
	"postern/core/directory"
	"postern/scim"
)

// shot is a request of a flood, or of somebody who keeps calm.
type shot struct{ kind, method, path, body, token string }

// tally counts answers by the kind of request and the status.
type tally struct {
	lock   sync.Mutex
	counts map[string]int // "bulk 429"
}

func (a *tally) add(kind string, status int) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	a.counts[kind+" "+strconv.Itoa(status)]++
}

// loud are the requests with which a connection can cost the most: bulk requests, searches that no index
// helps, groups that are written whole, long lists.
func (h house) loud(t *testing.T) func(number int) shot {
	t.Helper()
	var members []string
	for number := range 20 {
		members = append(members, `{"value":"`+h.join(t, fmt.Sprintf("%s-%d", h.connection.Name, number))+`"}`)
	}
	group := h.call(t, "POST", "/Groups", `{"displayName":"Loud `+h.connection.Name+`"}`).want(t, 201).id(t)
	return func(number int) shot {
		switch number % 5 {
		case 0:
			var operations []string
			for one := range 30 {
				operations = append(operations, fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":"b%d","data":{"userName":"%s-%d-%d"}}`, one, h.connection.Name, number, one))
			}
			return shot{"bulk", "POST", "/Bulk", `{"Operations":[` + strings.Join(operations, ",") + `]}`, h.token}
		case 1:
			return shot{"filter", "GET", "/Users" + query(fmt.Sprintf(`title co "x%d" or name.familyName ew "y" and not (emails.value co "z")`, number)) + "&sortBy=displayName&count=500", "", h.token}
		case 2:
			some := members[number%len(members)/2:]
			return shot{"group", "PUT", "/Groups/" + group, `{"displayName":"Loud ` + h.connection.Name + `","members":[` + strings.Join(some, ",") + `]}`, h.token}
		case 3:
			return shot{"search", "POST", "/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"meta.created gt \"2020-01-01T00:00:00Z\"","count":200}`, h.token}
		}
		return shot{"list", "GET", "/Users?count=500", "", h.token}
	}
}

// However one workspace floods, by as many connections as it has and with whatever costs most, another
// that sends 25 requests a second is never sent away.
func TestAFloodOfEveryKindLeavesTheOtherItsShare(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Places: 4, Queue: 16}
	loud := []func(int) shot{w.acme.loud(t)}
	for _, name := range []string{"second", "third"} {
		loud = append(loud, w.acme.connect(t, name, directory.Entra).loud(t))
	}
	calm := []string{w.other.join(t, "eve"), w.other.join(t, "ben"), w.other.join(t, "max")}
	server, client := w.serve(t)
	base := server.URL + "/scim/v2"
	ctx, stop := context.WithCancel(t.Context())
	var shouting sync.WaitGroup
	var flooded, answered tally
	for worker := range 60 {
		shouting.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				one := loud[worker%len(loud)](worker + 60*round + round)
				if status, _, err := ask(ctx, client, one.method, base+one.path, one.body, one.token); err == nil {
					flooded.add(one.kind, status)
				}
			}
		})
	}
	const seconds = 4
	ticker := time.NewTicker(40 * time.Millisecond)
	defer ticker.Stop()
	inside := make(chan struct{}, 8) // at once, as identity providers do
	var speaking sync.WaitGroup
	for number := range 25 * seconds {
		<-ticker.C
		inside <- struct{}{}
		user := "/Users/" + calm[number%len(calm)]
		one := []shot{
			{method: "POST", path: "/Users", body: fmt.Sprintf(`{"userName":"calm-%d"}`, number)},
			{method: "GET", path: user},
			{method: "PATCH", path: user, body: patchOperations + fmt.Sprintf(`[{"op":"replace","path":"title","value":"T%d"}]}`, number)},
			{method: "GET", path: "/Users" + query(`userName eq "eve"`)},
		}[number%4]
		speaking.Go(func() {
			defer func() { <-inside }()
			status, _, err := ask(t.Context(), client, one.method, base+one.path, one.body, w.other.token)
			if err != nil {
				t.Error(err)
			}
			answered.add(one.method, status)
		})
	}
	speaking.Wait()
	stop()
	shouting.Wait()
	t.Logf("the flood was answered %v", flooded.counts)
	if got := answered.counts; got["POST 201"] != 25*seconds/4 || got["GET 200"] != 25*seconds/2 || got["PATCH 200"] != 25*seconds/4 {
		t.Errorf("the quiet workspace was answered %v", got)
	}
	sentAway := 0
	for _, kind := range []string{"bulk", "filter", "group", "search", "list"} {
		sentAway += flooded.counts[kind+" 429"]
		if flooded.counts[kind+" 200"] == 0 {
			t.Errorf("no %s was let in: this is no flood of them", kind)
		}
	}
	if sentAway == 0 {
		t.Error("nobody was sent away: this is no flood")
	}
	if n := len(w.other.events(t, core.ConnectionThrottled)); n != 0 {
		t.Errorf("%d told of the quiet one", n)
	}
}
