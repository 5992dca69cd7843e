package scim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// shape changes the house's connection.
func (h house) shape(t testing.TB, change func(c *directory.Connection)) {
	t.Helper()
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Directory.ChangeConnection(t.Context(), tx, core.NewCause(core.System, time.Now()), h.workspace, h.connection.ID, change)
		return err
	}))
}

// Where a page ended is remembered for a while, and a cursor goes stale (RFC 9865, section 2).
func TestPagesAreForgotten(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	for i := range 12 {
		h.join(t, fmt.Sprintf("u%02d", i))
	}
	now := time.Now()
	w.Now = func() time.Time { return now }
	first := h.call(t, "GET", "/Users?count=5", "")
	next := h.call(t, "GET", "/Users?cursor=&count=5", "").at(t, "nextCursor").(string)
	h.call(t, "DELETE", "/Users/"+first.at(t, "Resources", 0, "id").(string), "").want(t, 204)
	now = now.Add(119 * time.Second)
	h.wantNames(t, "/Users?startIndex=6&count=2", "u05", "u06")
	now = now.Add(2 * time.Second)
	h.wantNames(t, "/Users?startIndex=6&count=2", "u06", "u07") // counted anew
	now = now.Add(57 * time.Minute)
	h.wantNames(t, "/Users?count=2&cursor="+next, "u05", "u06")
	now = now.Add(2 * time.Minute)
	h.call(t, "GET", "/Users?count=2&cursor="+next, "").wantError(t, 400, "expiredCursor")
	h.call(t, "GET", "/Users?count=501&cursor=", "").wantError(t, 400, "invalidCount")
}

const insertMany = `
with made as (
	insert into users (id, workspace_id, connection_id, user_name)
	select gen_random_uuid(), @workspace, @connection, 'member' || n from generate_series(1, @count::int) n returning id
)
insert into team_members (workspace_id, team_id, user_id) select @workspace, @team, id from made`

// A page of groups has so many members and no more, but a group is never cut in two, and walking on
// finds every group.
func TestLargeGroupsShortenAPage(t *testing.T) {
	h := open(t, directory.Okta).acme
	ana := h.join(t, "ana")
	var all []string
	for i := range 3 {
		name := fmt.Sprint("Group ", i)
		id, err := core.ParseID(h.team(t, name, ana))
		must(t, err)
		all = append(all, name)
		if i == 1 {
			_, err = h.DB.Exec(t.Context(), insertMany, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection.ID, "team": id, "count": 20_000})
			must(t, err)
		}
	}
	groups := func(path string) (shown []string, members []int) {
		t.Helper()
		r := h.call(t, "GET", path, "").want(t, 200)
		r.is(t, 3.0, "totalResults")
		r.is(t, float64(len(names(t, r, "displayName"))), "itemsPerPage")
		for i := range names(t, r, "displayName") {
			list, _ := r.at(t, "Resources", i).(map[string]any)["members"].([]any)
			members = append(members, len(list))
		}
		return names(t, r, "displayName"), members
	}
	// Members are shown when a client names them.
	for _, c := range []struct {
		path    string
		shown   []string
		members []int
	}{
		{"/Groups?attributes=displayName,members", all[:1], []int{1}},
		{"/Groups?attributes=displayName,members&startIndex=2", all[1:2], []int{20_001}},
		{"/Groups?attributes=displayName,members&startIndex=3", all[2:], []int{1}},
		{"/Groups?attributes=displayName&startIndex=1", all, []int{0, 0, 0}},
		{"/Groups?excludedAttributes=members", all, []int{0, 0, 0}},
	} {
		if shown, members := groups(c.path); !slices.Equal(shown, c.shown) || !slices.Equal(members, c.members) {
			t.Errorf("%s: %v with %v members", c.path, shown, members)
		}
	}
	var walked []string
	for cursor, more := "", true; more; {
		r := h.call(t, "GET", "/Groups?attributes=displayName,members&cursor="+cursor, "").want(t, 200)
		walked = append(walked, names(t, r, "displayName")...)
		cursor, more = r.body["nextCursor"].(string)
	}
	if !slices.Equal(walked, all) {
		t.Errorf("walked over %v", walked)
	}
}
