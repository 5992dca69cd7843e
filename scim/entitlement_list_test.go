package scim_test

import (
	"slices"
	"testing"
	"time"

	"postern/core/directory"
)

// What can be granted is sorted as people are (RFC 7644, section 3.4.2.3).
func TestEntitlementsAreSorted(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	bank := h.governed(t, "Payroll", "payments", "taxes")
	w.other.governed(t, "audit")
	for query, want := range map[string][]int{
		"":                   {0, 1, 2},
		"sortBy=displayName": {1, 0, 2},
		"sortBy=DISPLAYNAME&sortOrder=descending":                           {2, 0, 1},
		"sortBy=urn:okta:scim:schemas:core:1.0:Role:displayName":            {1, 0, 2},
		"sortBy=description&startIndex=2":                                   {0, 2},
		"sortBy=id&sortOrder=descending":                                    {2, 1, 0},
		"sortBy=meta.created&sortOrder=ascending":                           {0, 1, 2},
		"sortBy=meta.location&sortOrder=descending&count=2":                 {2, 1},
		"sortBy=nothing&sortOrder=descending":                               {0, 1, 2},
		"sortBy=displayName.part":                                           {0, 1, 2},
		`sortBy=displayName&filter=displayName+co+"pay"&startIndex=2`:       {0},
		`sortBy=displayName&sortOrder=descending&cursor=&count=10`:          {2, 0, 1},
		`sortBy=type&sortOrder=descending&filter=displayName+co+"(pay"`:     {0, 1},
		`sortBy=externalId&sortOrder=descending&startIndex=3&count=500`:     {2},
		`sortBy=meta&sortOrder=descending&startIndex=4`:                     {},
		`sortBy=schemas&filter=meta.created+gt+"2011-05-13T04:42:34Z"`:      {0, 1, 2},
		`sortBy=meta.resourceType&filter=displayName+eq+"own+bank+(taxes)"`: {2},
	} {
		r := h.call(t, "GET", "/Roles?"+query, "").want(t, 200)
		ids := []string{}
		for _, i := range want {
			ids = append(ids, bank[i].String()+"-owner")
		}
		if got := names(t, r, "id"); !slices.Equal(got, ids) {
			t.Errorf("%s gives %v, want %v of %v", query, got, want, bank)
		}
	}
	h.call(t, "GET", "/Roles?sortBy=a..b", "").wantError(t, 400, "invalidPath")
	h.call(t, "GET", "/Roles?sortBy=id&sortOrder=upwards", "").wantError(t, 400, "invalidValue")
}

// What can be granted is walked along by cursor, there and back (RFC 9865).
func TestEntitlementsHaveCursors(t *testing.T) {
	w := open(t, directory.Okta)
	now := time.Now()
	w.Now = func() time.Time { return now }
	h := w.acme
	bank := h.governed(t, "a", "b", "c", "d", "e")
	w.other.governed(t, "theirs")
	for _, order := range []string{"", "&sortBy=displayName&sortOrder=descending"} {
		want := []string{}
		for _, one := range bank {
			want = append(want, one.String()+"-collaborator")
		}
		if order != "" {
			slices.Reverse(want)
		}
		var walked []string
		var pages [][]string
		previous := ""
		for cursor, more := "", true; more; {
			r := h.call(t, "GET", "/Entitlements?count=2&cursor="+cursor+order, "").want(t, 200)
			r.is(t, 5.0, "totalResults")
			r.is(t, nil, "startIndex")
			page := names(t, r, "id")
			r.is(t, float64(len(page)), "itemsPerPage")
			walked, pages = append(walked, page...), append(pages, page)
			cursor, more = r.body["nextCursor"].(string)
			back, behind := r.body["previousCursor"].(string)
			if behind == (len(pages) == 1) {
				t.Errorf("page %d has previousCursor %q", len(pages), back)
			}
			previous = back
		}
		if !slices.Equal(walked, want) {
			t.Fatalf("%s walked over %v, want %v", order, walked, want)
		}
		for i := len(pages) - 2; i >= 0; i-- {
			r := h.call(t, "GET", "/Entitlements?count=2&cursor="+previous+order, "").want(t, 200)
			if got := names(t, r, "id"); !slices.Equal(got, pages[i]) {
				t.Errorf("%s: back on page %d are %v, want %v", order, i+1, got, pages[i])
			}
			previous, _ = r.body["previousCursor"].(string)
			if _, more := r.body["nextCursor"]; !more || (previous == "") != (i == 0) {
				t.Errorf("%s: page %d names as previous %q", order, i+1, previous)
			}
		}
	}

	first := h.call(t, "GET", "/Entitlements?count=2&cursor=", "").want(t, 200)
	next := first.at(t, "nextCursor").(string)
	for _, elsewhere := range []string{
		"/Roles?cursor=" + next, "/Entitlements?sortBy=id&cursor=" + next, `/Entitlements?filter=id+pr&cursor=` + next, "/Users?cursor=" + next, "/Entitlements?cursor=x",
	} {
		h.call(t, "GET", elsewhere, "").wantError(t, 400, "invalidCursor")
	}
	w.other.call(t, "GET", "/Entitlements?cursor="+next, "").wantError(t, 400, "invalidCursor")
	h.call(t, "GET", "/Entitlements?cursor=&count=501", "").wantError(t, 400, "invalidCount")
	now = now.Add(time.Hour)
	h.call(t, "GET", "/Entitlements?cursor="+next, "").wantError(t, 400, "expiredCursor")

	// What lies between startIndexes is counted anew.
	h.call(t, "GET", "/Entitlements?startIndex=1&count=2", "").want(t, 200)
	r := h.call(t, "GET", "/Entitlements?startIndex=3&count=2", "").want(t, 200)
	r.is(t, bank[2].String()+"-collaborator", "Resources", 0, "id")
	r.is(t, 3.0, "startIndex")
}
