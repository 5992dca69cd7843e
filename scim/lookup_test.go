package scim_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"postern/core/directory"
)

// asked is how often a request goes to the database.
func (h house) asked(t testing.TB, request func()) int64 {
	t.Helper()
	before := h.DB.Stat().AcquireCount()
	request()
	return h.DB.Stat().AcquireCount() - before
}

// What is looked up with the token is what a search finds.
func TestALookupIsASearch(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	user := h.call(t, "POST", "/Users", `{"userName":"Ana.Ödegård@example.com","externalId":"X1","title":"Chief"}`).want(t, 201).id(t)
	h.team(t, "Sales", user)
	h.call(t, "POST", "/Users", `{"userName":"gone","externalId":"gone"}`).want(t, 201)
	gone := names(t, h.call(t, "GET", "/Users"+query(`userName eq "gone"`), ""), "id")[0]
	h.call(t, "DELETE", "/Users/"+gone, "").want(t, 204)
	w.other.call(t, "POST", "/Users", `{"userName":"theirs","externalId":"Y1"}`).want(t, 201)
	h.connect(t, "second", directory.Okta).call(t, "POST", "/Users", `{"userName":"second","externalId":"Z1"}`).want(t, 201)
	found := 0
	for _, name := range []string{"userName", "USERNAME", "externalId", "id", "emails.value", "title", "urn:ietf:params:scim:schemas:core:2.0:User:userName"} {
		for _, value := range []string{"Ana.Ödegård@example.com", "ANA.ÖDEGÅRD@EXAMPLE.COM", "X1", "x1", user, strings.ToUpper(user), "gone", gone, "theirs", "Y1", "second", "Z1", "", "%", `\"`, "Chief", " X1"} {
			for _, more := range []string{"", "&startIndex=1&count=100", "&count=0", "&startIndex=2", "&attributes=userName", "&excludedAttributes=groups,meta", "&attributes=groups"} {
				filter := name + ` eq "` + value + `"`
				list := h.call(t, "GET", "/Users?filter="+url.QueryEscape(filter)+more, "").want(t, 200)
				same := h.call(t, "GET", "/Users?filter="+url.QueryEscape("("+filter+")")+more, "").want(t, 200)
				if list.text != same.text {
					t.Fatalf("%s%s\n%s\n%s", filter, more, list.text, same.text)
				}
				if list.body["totalResults"] == 1.0 {
					found++
				}
			}
		}
	}
	if found < 28 {
		t.Errorf("only %d found", found)
	}
}

// What identity providers send before every create and every change is one question to the database,
// whether there is somebody or not.
func TestALookupIsOneRoundTrip(t *testing.T) {
	h := open(t, directory.Okta).acme
	user := h.call(t, "POST", "/Users", `{"userName":"ana","externalId":"X1"}`).want(t, 201).id(t)
	h.team(t, "Sales", user)
	for _, path := range []string{
		"/Users/" + user, "/Users/01990000-0000-7000-8000-000000000000", "/Users" + query(`userName eq "ana"`), "/Users" + query(`userName eq "nobody"`),
		"/Users" + query(`externalId eq "X1"`) + "&startIndex=1&count=1", "/Users" + query(`id eq "`+user+`"`),
	} {
		if asked := h.asked(t, func() { h.call(t, "GET", path, "") }); asked != 1 {
			t.Errorf("GET %s asks %d times", path, asked)
		}
	}
}

// However a filter is made, it is a bounded number of questions, or refused before the first.
func TestHostileFilters(t *testing.T) {
	h := open(t, directory.Okta).acme
	for i := range 20 {
		h.join(t, fmt.Sprint("user", i))
	}
	repeat := func(count int, one, word string) string {
		return strings.TrimSuffix(strings.Repeat(one+word, count), word)
	}
	for name, c := range map[string]struct {
		filter string
		status int
		most   int64
	}{
		"few enough ors":     {repeat(500, `userName eq "user1"`, " or "), 200, 3},
		"too many ors":       {repeat(501, `userName eq "user1"`, " or "), 400, 1},
		"16 KiB of ors":      {repeat(16<<10/14, `title eq "x"`, " or "), 400, 1},
		"ands of extensions": {repeat(200, `urn:x:y:z.a co "%"`, " and "), 200, 4},
		"nots":               {strings.Repeat("not (", 30) + `title pr` + strings.Repeat(")", 30), 200, 4},
		"too many brackets":  {strings.Repeat("(", 5000) + `title pr` + strings.Repeat(")", 5000), 400, 1},
		"value paths":        {repeat(100, `emails[type eq "work" and value co "x"]`, " or "), 200, 4},
		"members of groups":  {repeat(100, `groups.display co "x"`, " or "), 200, 4},
		"too long":           {`userName eq "` + strings.Repeat("x", 64<<10) + `"`, 400, 1},
	} {
		body := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":%q}`, c.filter)
		var got reply
		asked := h.asked(t, func() { got = h.call(t, "POST", "/Users/.search", body) })
		if got.status != c.status {
			t.Errorf("%s: %d %.200s", name, got.status, got.text)
		}
		if c.status == 400 {
			got.wantError(t, 400, "invalidFilter")
		}
		if c.status == 200 && asked > c.most {
			t.Errorf("%s asks %d times", name, asked)
		}
	}
}

// A strict connection is told of what a tolerant one finds nobody by.
func TestStrictFilters(t *testing.T) {
	w := open(t, directory.Generic)
	h := w.acme
	h.join(t, "ana")
	strict := h.connect(t, "strict", directory.Generic)
	strict.shape(t, func(c *directory.Connection) { c.Provisioning.Profile = directory.ProfileStrict })
	for filter, want := range map[string]int{
		`userName eq "ana"`: 200, `nothing eq "x"`: 400, `name.nothing eq "x"`: 400, `urn:x:y:attribute pr`: 400, `userName eq ana`: 400,
		`emails[nothing pr]`: 400, `active gt true`: 400, `meta.lastModified gt "2020-01-01T00:00:00Z"`: 200, `title pr or nothing pr`: 400,
	} {
		got := strict.call(t, "GET", "/Users"+query(filter), "")
		if got.status != want {
			t.Errorf("strict, %s: %d %s", filter, got.status, got.text)
		}
		if want == 400 {
			got.wantError(t, 400, "invalidFilter")
		}
		if tolerant := h.call(t, "GET", "/Users"+query(filter), ""); filter != `active gt true` && tolerant.status != 200 {
			t.Errorf("tolerant, %s: %d %s", filter, tolerant.status, tolerant.text)
		}
	}
}
