package scim_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/core"
	"postern/core/directory"
)

// Whatever belongs to another workspace, or to another connection of the same one, does not exist.
func TestNobodySeesWhatIsNotTheirs(t *testing.T) {
	w := open(t, directory.Okta)
	mine := w.acme
	user := mine.join(t, "ana")
	group := mine.team(t, "Sales", user)
	before := mine.stored(t)
	for name, stranger := range map[string]house{"another workspace": w.other, "another connection": mine.connect(t, "Entra", directory.Entra)} {
		t.Run(name, func(t *testing.T) {
			const operations = `{"Operations":[{"op":"replace","path":"externalId","value":"stolen"}]}`
			for _, request := range []struct{ method, path, body string }{
				{"GET", "/Users/" + user, ""}, {"HEAD", "/Users/" + user, ""}, {"PUT", "/Users/" + user, `{"userName":"stolen"}`},
				{"PATCH", "/Users/" + user, operations}, {"DELETE", "/Users/" + user, ""},
				{"GET", "/Groups/" + group, ""}, {"HEAD", "/Groups/" + group, ""}, {"PUT", "/Groups/" + group, `{"displayName":"stolen"}`},
				{"PATCH", "/Groups/" + group, operations}, {"DELETE", "/Groups/" + group, ""},
			} {
				stranger.call(t, request.method, request.path, request.body).want(t, 404)
				nobody := strings.NewReplacer(user, core.NewID().String(), group, core.NewID().String()).Replace(request.path)
				if known, unknown := stranger.call(t, request.method, request.path, request.body), stranger.call(t, request.method, nobody, request.body); known.text != unknown.text {
					t.Errorf("%s %s can be told from nobody: %s and %s", request.method, request.path, known.text, unknown.text)
				}
			}
			for _, path := range []string{
				"/Users", "/Groups", "/Users" + query(`userName eq "ana"`), "/Users" + query(`externalId eq "ext-ana"`), "/Users" + query(`id eq "`+user+`"`),
				"/Users" + query(`emails.value eq "ana@example.com"`), "/Users" + query(`active eq true`),
				"/Groups" + query(`displayName eq "Sales"`), "/Groups" + query(`id eq "`+group+`"`), "/Groups" + query(`members eq "`+user+`"`),
				"/Groups" + query(`id eq "`+group+`" and members eq "`+user+`"`),
			} {
				stranger.call(t, "GET", path, "").want(t, 200).is(t, 0.0, "totalResults")
			}
		})
	}
	if after := mine.stored(t); strings.Count(after, "stolen") > 0 || len(mine.members(t, group)) != 1 || strings.Count(after, "ext-ana") != strings.Count(before, "ext-ana") {
		t.Errorf("something was changed: %s", after)
	}
	// An id of another workspace as a member is refused like an id of nobody, and nothing is done.
	stranger := w.other
	own := stranger.join(t, "eve")
	theirs := stranger.team(t, "Sales", own)
	answers := map[string]bool{}
	for _, member := range []string{user, core.NewID().String(), "nonsense"} {
		refused := stranger.call(t, "PATCH", "/Groups/"+theirs, `{"Operations":[{"op":"add","path":"members","value":[{"value":"`+member+`"}]}]}`).wantError(t, 400, "invalidValue")
		answers[refused.text] = true
		stranger.call(t, "PUT", "/Groups/"+theirs, `{"displayName":"Sales","members":[{"value":"`+member+`"}]}`).wantError(t, 400, "invalidValue")
		stranger.call(t, "POST", "/Groups", `{"displayName":"New","members":[{"value":"`+member+`"}]}`).wantError(t, 400, "invalidValue")
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %v", answers)
	}
	if got := stranger.members(t, theirs); len(got) != 1 || !got[own] {
		t.Errorf("members are %v", got)
	}
	stranger.call(t, "GET", "/Groups"+query(`displayName eq "New"`), "").want(t, 200).is(t, 0.0, "totalResults")
	// The same names and external ids live beside each other.
	if stranger.join(t, "ana") == user {
		t.Error("one person in two workspaces")
	}
}

// Two identity providers of one workspace share nothing: neither can put the other's people into its
// groups, and both may have a group of one name.
func TestConnectionsOfOneWorkspaceAreApart(t *testing.T) {
	mine := open(t, directory.Okta).acme
	theirs := mine.connect(t, "Entra", directory.Entra)
	ana, eve := mine.join(t, "ana"), theirs.join(t, "eve")
	group := mine.team(t, "Sales", ana)
	twin := theirs.team(t, "sales", eve)
	for member, owner := range map[string]house{ana: theirs, eve: mine} {
		at := map[bool]string{true: group, false: twin}[owner.connection.ID == mine.connection.ID]
		foreign := owner.call(t, "PATCH", "/Groups/"+at, `{"Operations":[{"op":"add","path":"members","value":[{"value":"`+member+`"}]}]}`).wantError(t, 400, "invalidValue")
		nobody := owner.call(t, "PATCH", "/Groups/"+at, `{"Operations":[{"op":"add","path":"members","value":[{"value":"`+core.NewID().String()+`"}]}]}`)
		if foreign.text != nobody.text {
			t.Errorf("somebody else's user can be told from nobody: %s and %s", foreign.text, nobody.text)
		}
		owner.call(t, "PUT", "/Groups/"+at, `{"displayName":"Sales","members":[{"value":"`+member+`"}]}`).wantError(t, 400, "invalidValue")
		owner.call(t, "POST", "/Groups", `{"displayName":"New","members":[{"value":"`+member+`"}]}`).wantError(t, 400, "invalidValue")
	}
	if got := mine.members(t, group); len(got) != 1 || !got[ana] {
		t.Errorf("members are %v", got)
	}
	if got := theirs.members(t, twin); len(got) != 1 || !got[eve] {
		t.Errorf("members are %v", got)
	}
	// Within one connection a name stays unique.
	mine.call(t, "POST", "/Groups", `{"displayName":"SALES"}`).wantError(t, 409, "uniqueness")
	theirs.call(t, "PATCH", "/Groups/"+theirs.team(t, "Support"), `{"Operations":[{"op":"replace","path":"displayName","value":"Sales"}]}`).wantError(t, 409, "uniqueness")
}

func TestCreatedTwice(t *testing.T) {
	h := open(t, directory.Okta).acme
	body := file(t, "okta/create-user.json")
	user := h.call(t, "POST", "/Users", body).want(t, 201).id(t)
	h.call(t, "PATCH", "/Users/"+user, `{"Operations":[{"op":"add","path":"title","value":"Chief"}]}`).want(t, 200)
	group := h.team(t, "Sales", user)
	h.call(t, "POST", "/Users", body).wantError(t, 409, "uniqueness")
	h.call(t, "POST", "/Users", strings.Replace(body, "test.user@okta.local\",\"name", "another\",\"name", 1)).wantError(t, 409, "uniqueness")
	h.call(t, "POST", "/Users", strings.Replace(body, "00ujl29u0le5T6Aj10h7", "another", 1)).wantError(t, 409, "uniqueness")
	kept := h.call(t, "GET", "/Users/"+user, "").want(t, 200)
	kept.is(t, "Chief", "title")
	kept.is(t, `W/"2"`, "meta", "version")
	if got := h.members(t, group); !got[user] {
		t.Error("the membership was wiped")
	}
	taken := h.join(t, "other")
	h.call(t, "PATCH", "/Users/"+taken, `{"Operations":[{"op":"replace","path":"userName","value":"TEST.USER@okta.local"}]}`).wantError(t, 409, "uniqueness")
	h.call(t, "PUT", "/Users/"+taken, body).wantError(t, 409, "uniqueness")

	// Ten at once, as after a timeout: one is made.
	answers := make(chan int, 10)
	for range 10 {
		request := h.request(t, "POST", "/Users", `{"userName":"race","externalId":"race"}`)
		go func() { answers <- h.send(t, request).status }()
	}
	count := map[int]int{}
	for range 10 {
		count[<-answers]++
	}
	if count[201] != 1 || count[409] != 9 {
		t.Errorf("answers %v", count)
	}
	h.call(t, "GET", "/Users"+query(`userName eq "race"`), "").want(t, 200).is(t, 1.0, "totalResults")
}

// Changes of one group at the same time lose nothing.
func TestGroupPatchedInParallel(t *testing.T) {
	h := open(t, directory.Okta).acme
	const people = 24
	var all []string
	for i := range people {
		all = append(all, h.join(t, fmt.Sprint("user", i)))
	}
	group := h.team(t, "Everybody", all[:people/2]...)
	done := make(chan reply, people)
	for i, user := range all {
		operation := `{"op":"add","path":"members","value":[{"value":"` + user + `"}]}`
		if i < people/2 {
			operation = `{"op":"remove","path":"members[value eq \"` + user + `\"]"}`
		}
		request := h.request(t, "PATCH", "/Groups/"+group, `{"Operations":[`+operation+`,{"op":"replace","value":{"id":"`+group+`","displayName":"Everybody"}}]}`)
		go func() { done <- h.send(t, request) }()
	}
	for range people {
		(<-done).want(t, 204)
	}
	got := h.members(t, group)
	for i, user := range all {
		if got[user] != (i >= people/2) {
			t.Errorf("user %d is a member: %t", i, got[user])
		}
	}
}

// The operations of one PATCH on members count in their order.
func TestMembersInOrder(t *testing.T) {
	h := open(t, directory.Okta).acme
	a, b, c := h.join(t, "a"), h.join(t, "b"), h.join(t, "c")
	names := map[string]string{a: "a", b: "b", c: "c"}
	for i, test := range []struct{ operations, want string }{
		{`[{"op":"add","path":"members","value":[{"value":"A"}]},{"op":"remove","path":"members[value eq \"A\"]"}]`, "b"},
		{`[{"op":"remove","path":"members[value eq \"B\"]"},{"op":"add","path":"members","value":{"value":"B"}}]`, "b"},
		{`[{"op":"add","path":"members","value":[{"value":"A"}]},{"op":"replace","path":"members","value":[{"value":"C"}]}]`, "c"},
		{`[{"op":"replace","path":"members","value":[{"value":"C"}]},{"op":"add","path":"members","value":["A"]},{"op":"remove","path":"members","value":[{"value":"C"}]}]`, "a"},
		{`[{"op":"remove","path":"members"},{"op":"add","value":{"members":[{"$ref":"https://x/scim/v2/Users/A"}]}}]`, "a"},
		{`[{"op":"remove","path":"members"}]`, ""},
		{`[{"op":"replace","path":"members","value":null}]`, ""},
		{`[{"op":"replace","path":"members","value":[]}]`, ""},
		{`[{"op":"add","path":"members","value":[]}]`, "b"},
		{`[{"op":"remove","path":"members","value":[]}]`, "b"},
		{`[{"op":"remove","path":"members[value eq \"A\" or value eq \"B\"]"}]`, ""},
		{`[{"op":"remove","path":"members[value eq \"nobody\"]"}]`, "b"},
		{`[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:Group:members","value":[{"value":"C"},{"value":"C"}]}]`, "bc"},
		{`[{"op":"replace","value":{"displayName":"new","members":[{"value":"A"},{"value":"C"}]}}]`, "ac"},
	} {
		group := h.team(t, fmt.Sprint("team", i), b)
		operations := strings.NewReplacer(`"A\"`, `"`+a+`\"`, `"B\"`, `"`+b+`\"`, `"A"`, `"`+a+`"`, `"B"`, `"`+b+`"`, `"C"`, `"`+c+`"`, "/Users/A", "/Users/"+a).Replace(test.operations)
		h.call(t, "PATCH", "/Groups/"+group, `{"Operations":`+operations+`}`).want(t, 204)
		got := ""
		members := h.members(t, group)
		for _, user := range []string{a, b, c} {
			if members[user] {
				got += names[user]
			}
		}
		if got != test.want {
			t.Errorf("%s leaves %q, want %q", test.operations, got, test.want)
		}
	}
}
