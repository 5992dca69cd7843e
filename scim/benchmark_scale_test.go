package scim_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres/postgrestest"
)

const (
	few, many             = 1_000, 1_000_000
	smallGroup, wideGroup = 1_000, 100_000
	added                 = 100 // members by one PATCH
)

// BenchmarkScale measures whether what is asked costs what it touches, or what there is: the same
// requests in turns against a thousand people and against a million, and a hundred members added to a
// group of a thousand and to one of a hundred thousand. What counts is how much more the large one
// takes, in the median.
//
// Pages are turned by startIndex near the beginning (page), by cursor wherever one is (cursor), and by
// startIndex in the middle (deep), where the database must pass over what comes before.
func BenchmarkScale(b *testing.B) {
	server, began := postgrestest.Server(b, inUse), time.Now()
	small := openOn(b, postgrestest.Database(b, server, "small", jobs.Migrate), directory.Okta).acme
	large := openOn(b, postgrestest.Database(b, server, "large", jobs.Migrate), directory.Okta).acme
	small.populate(b, few, true)
	large.populate(b, many, false)
	narrow, wide := large.group(b, "narrow", smallGroup), large.group(b, "wide", wideGroup)
	large.settle(b)
	b.Logf("loaded in %s", time.Since(began).Round(time.Second))

	get := func(h house, count int) func(b *testing.B) {
		return func(b *testing.B) {
			h.answer(b, h.engine, "GET", "/Users/"+personID(1+rand.IntN(count)).String(), "", http.StatusOK)
		}
	}
	lookup := func(h house, count int) func(b *testing.B) {
		return func(b *testing.B) {
			h.answer(b, h.engine, "GET", "/Users"+query(`userName eq "`+personName(1+rand.IntN(count))+`"`), "", http.StatusOK)
		}
	}
	page := func(h house, first, span int) func(b *testing.B) {
		return func(b *testing.B) {
			h.answer(b, h.engine, "GET", fmt.Sprintf("/Users?startIndex=%d&count=100", first+rand.IntN(span)), "", http.StatusOK)
		}
	}
	cursor := func(h house) func(b *testing.B) {
		next := ""
		return func(b *testing.B) {
			recorder := h.answer(b, h.engine, "GET", "/Users?cursor="+next+"&count=100", "", http.StatusOK)
			var body struct {
				NextCursor string `json:"nextCursor"`
			}
			must(b, json.Unmarshal(recorder.Body.Bytes(), &body))
			next = body.NextCursor
		}
	}
	for _, one := range []struct {
		name         string
		small, large func(b *testing.B)
		after        func(b *testing.B)
	}{
		{"get", get(small, few), get(large, many), nil},
		{"lookup", lookup(small, few), lookup(large, many), nil},
		{"page", page(small, 1, few-100), page(large, 1, few-100), nil},
		{"cursor", cursor(small), cursor(large), nil},
		{"deep", page(small, few/2, 100), page(large, many/2, 100), nil},
		{"members", large.enlist(narrow), large.enlist(wide), func(b *testing.B) { large.dismiss(b, narrow, smallGroup); large.dismiss(b, wide, wideGroup) }},
	} {
		b.Run(one.name, func(b *testing.B) {
			var fewer, more side
			round := func(fewer, more *side) {
				for range 5 { // short turns: nothing slow meets one side alone
					fewer.work(b, 1, 4, one.small)
					more.work(b, 1, 4, one.large)
				}
				if one.after != nil {
					one.after(b)
				}
			}
			round(&side{}, &side{})
			for b.Loop() {
				round(&fewer, &more)
			}
			b.ReportMetric(1000*fewer.percentile(0.5), "small-µs")
			b.ReportMetric(1000*more.percentile(0.5), "large-µs")
			b.ReportMetric(more.percentile(0.5)/fewer.percentile(0.5), "ratio")
			b.ReportMetric(more.slow()/fewer.slow(), "p99-ratio")
		})
	}
}

const insertMembers = `
insert into team_members (workspace_id, team_id, user_id)
select @workspace, @team, ('01990000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid from generate_series(1, @count::bigint) n`

const deleteMembers = `
delete from team_members where workspace_id = @workspace and team_id = @team
and user_id > ('01990000-0000-7000-8000-' || lpad(to_hex(@count::bigint), 12, '0'))::uuid`

// group makes one of the first so many people.
func (h house) group(b *testing.B, name string, count int) core.ID {
	b.Helper()
	team, err := core.ParseID(h.team(b, name))
	must(b, err)
	_, err = h.DB.Exec(b.Context(), insertMembers, pgx.StrictNamedArgs{"workspace": h.workspace, "team": team, "count": count})
	must(b, err)
	return team
}

// enlist adds people to a group who are in neither.
func (h house) enlist(group core.ID) func(b *testing.B) {
	return func(b *testing.B) {
		first := wideGroup + 1 + rand.IntN(many-wideGroup-added)
		members := make([]string, added)
		for i := range members {
			members[i] = `{"value":"` + personID(first+i).String() + `"}`
		}
		body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"members","value":[` + strings.Join(members, ",") + `]}]}`
		h.answer(b, h.engine, "PATCH", "/Groups/"+group.String(), body, http.StatusNoContent)
	}
}

// dismiss takes out of a group all but its first members.
func (h house) dismiss(b *testing.B, group core.ID, count int) {
	b.Helper()
	_, err := h.DB.Exec(b.Context(), deleteMembers, pgx.StrictNamedArgs{"workspace": h.workspace, "team": group, "count": count})
	must(b, err)
}
