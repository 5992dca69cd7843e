package line

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/deploy/local/demo"
	"postern/gateway/api"
	"postern/oidc/devidp/push"
)

// TestBadInput sends every door what it must not take. Each refusal has the door's own shape, changes
// nothing, and leaves an event where somebody known sent it.
func TestBadInput(t *testing.T) {
	s := open(t, worldOptions{}, demo.Login{Username: "billing", Password: "First-voyage-1912-billing"})
	ana := s.resident(t, "ana.lima@acme.example")
	stranger := s.stranger(t)
	t.Run("SCIM", func(t *testing.T) { s.scimRefuses(t, ana) })
	t.Run("API", func(t *testing.T) { s.apiRefuses(t) })
	t.Run("Universal Logout", func(t *testing.T) { s.logoutRefuses(t, ana, stranger) })
	t.Run("another workspace", func(t *testing.T) { s.strangerSeesNothing(t, ana, stranger) })
	t.Run("an app in trouble", func(t *testing.T) { s.appsInTrouble(t) })
	t.Run("the receiver's copies", func(t *testing.T) {
		s.proven(t, s.workspace(t), s.API)
		s.proven(t, stranger.workspace, stranger.API)
	})
	t.Run("no secret anywhere", func(t *testing.T) { s.clean(t, "billing") })
	if log := s.log.String(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "panic") {
		for line := range strings.Lines(log) {
			if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "panic") {
				t.Errorf("bad input is our fault, says the log: %s", line)
			}
		}
	}
	s.stop()
}

// resident is somebody who is there all the time, signed in, and should not notice anything.
type resident struct {
	*guest
	email   string
	user    core.ID
	team    core.ID
	account core.ID
}

func (s *stage) resident(t *testing.T, userName string) resident {
	t.Helper()
	known, err := s.People.Person(userName)
	if err != nil {
		t.Fatal(err)
	}
	client := s.idp("okta", push.Okta)
	result, err := client.PushUser(t.Context(), push.User{
		ID: known.ID, UserName: userName, GivenName: known.GivenName, FamilyName: known.FamilyName, DisplayName: known.DisplayName, Email: known.Email,
	})
	user := answered(t, result, err).ID
	result, err = client.PushTeam(t.Context(), push.Team{DisplayName: "Residents"}, []push.Member{{ID: user, UserName: userName}})
	team := answered(t, result, err).ID
	r := resident{email: known.Email, account: s.account(t, "billing").ID}
	if r.user, err = core.ParseID(user); err != nil {
		t.Fatal(err)
	}
	if r.team, err = core.ParseID(team); err != nil {
		t.Fatal(err)
	}
	tell[any](t, s.API, "/accounts/"+r.account.String()+"/grants", map[string]any{"team": team, "role": "collaborator"})
	r.guest = s.inside(t, "okta", userName)
	r.filled(t, r.account)
	return r
}

const (
	scimType = "application/scim+json"
	jsonType = "application/json"
	patchOps = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":`
	kibi     = 1 << 10
)

// What stands in bad input: canary is a secret that must be neither kept nor said back, word a value
// that is not said back. What an identity provider asked for is kept.
const (
	canary = "Canary-in-bad-input-7Zk3"
	word   = "Word-in-bad-input-4Qz9"
)

func (s *stage) scimRefuses(t *testing.T, ana resident) {
	s.secrets.plant("a password in bad input", canary)
	token := s.Stack.SCIM["okta"].Token
	user, group := "/scim/v2/Users/"+ana.user.String(), "/scim/v2/Groups/"+ana.team.String()
	before := s.facts(t, s.API)
	for name, test := range map[string]struct {
		sent
		status int
		kind   string
	}{
		"nothing":                    {sent{Path: "/scim/v2/Users"}, 400, "invalidSyntax"},
		"half of a document":         {sent{Path: "/scim/v2/Users", Body: `{"userName":"` + word}, 400, "invalidSyntax"},
		"no document":                {sent{Path: "/scim/v2/Users", Body: `<user/>`}, 400, "invalidSyntax"},
		"a list":                     {sent{Path: "/scim/v2/Users", Body: `["` + word + `"]`}, 400, "invalidSyntax"},
		"two documents":              {sent{Path: "/scim/v2/Users", Body: `{"userName":"a"}{"userName":"b"}`}, 400, "invalidSyntax"},
		"a member twice":             {sent{Path: "/scim/v2/Users", Body: `{"userName":"a","userName":"b"}`}, 400, "invalidSyntax"},
		"a member in other letters":  {sent{Path: "/scim/v2/Users", Body: `{"active":true,"userName":"a","ACTIVE":false}`}, 400, "invalidSyntax"},
		"not UTF-8":                  {sent{Path: "/scim/v2/Users", Body: "{\"userName\":\"\xff\xfe\"}"}, 400, "invalidSyntax"},
		"a zero character":           {sent{Path: "/scim/v2/Users", Body: `{"userName":"a\u0000"}`}, 400, "invalidSyntax"},
		"deep":                       {sent{Path: "/scim/v2/Users", Body: nested(500)}, 400, "invalidSyntax"},
		"deeper than any stack":      {sent{Path: "/scim/v2/Users", Body: `{"a":` + strings.Repeat("[", 500*kibi)}, 400, "invalidSyntax"},
		"deep in a PATCH":            {sent{Method: "PATCH", Path: user, Body: patchOps + `[{"op":"replace","value":` + nested(500) + `}]}`}, 400, "invalidSyntax"},
		"large":                      {sent{Path: "/scim/v2/Users", Body: large(1025 * kibi)}, 413, ""},
		"large, its length not told": {sent{Path: "/scim/v2/Users", Body: large(1025 * kibi), Chunked: true}, 413, ""},
		"large PUT":                  {sent{Method: "PUT", Path: user, Body: large(1025 * kibi)}, 413, ""},
		"large PATCH, not told":      {sent{Method: "PATCH", Path: user, Body: large(1025 * kibi), Chunked: true}, 413, ""},
		"larger than any group":      {sent{Method: "PATCH", Path: group, Body: large(33 << 10 * kibi), Chunked: true}, 413, ""},
		"a form":                     {sent{Path: "/scim/v2/Users", Type: "application/x-www-form-urlencoded", Body: "userName=a"}, 415, ""},
		"text":                       {sent{Path: "/scim/v2/Users", Type: "text/plain", Body: `{"userName":"a"}`}, 415, ""},
		"XML":                        {sent{Method: "PATCH", Path: user, Type: "application/xml", Body: `{}`}, 415, ""},
		"compressed":                 {sent{Path: "/scim/v2/Users", Body: "\x1f\x8b", Header: map[string]string{"Content-Encoding": "gzip"}}, 415, ""},
		"no userName":                {sent{Path: "/scim/v2/Users", Body: `{"displayName":"a"}`}, 400, "invalidValue"},
		"active is a word":           {sent{Path: "/scim/v2/Users", Body: `{"userName":"a","active":"` + word + `"}`}, 400, "invalidValue"},
		"a password beside a fault":  {sent{Path: "/scim/v2/Users", Body: `{"userName":"a","password":"` + canary + `","active":"` + word + `"}`}, 400, "invalidValue"},
		"a password by its path":     {sent{Method: "PATCH", Path: user, Body: patchOps + `[{"op":"replace","path":"password","value":"` + canary + `"},{"op":"drop"}]}`}, 400, "invalidSyntax"},
		"taken":                      {sent{Path: "/scim/v2/Users", Body: `{"userName":"ANA.LIMA@acme.example"}`}, 409, "uniqueness"},
		"half of a PATCH is wrong":   {sent{Method: "PATCH", Path: user, Body: patchOps + `[{"op":"replace","path":"title","value":"T"},{"op":"replace","path":"active","value":"` + word + `"}]}`}, 400, "invalidValue"},
		"an unknown operation":       {sent{Method: "PATCH", Path: user, Body: patchOps + `[{"op":"drop","path":"active"}]}`}, 400, "invalidSyntax"},
		"a path that is none":        {sent{Method: "PATCH", Path: user, Body: patchOps + `[{"op":"replace","path":"emails[type eq \"work","value":"a"}]}`}, 400, "invalidPath"},
		"another's id":               {sent{Method: "PATCH", Path: user, Body: patchOps + `[{"op":"replace","path":"id","value":"a"}]}`}, 400, "mutability"},
		"a member who is nobody":     {sent{Method: "PATCH", Path: group, Body: patchOps + `[{"op":"add","path":"members","value":[{"value":"` + core.NewID().String() + `"}]}]}`}, 400, "invalidValue"},
		"a filter that is none":      {sent{Method: "GET", Path: "/scim/v2/Users?filter=userName+eq"}, 400, "invalidFilter"},
		"nobody":                     {sent{Method: "GET", Path: "/scim/v2/Users/" + core.NewID().String()}, 404, ""},
		"no id":                      {sent{Method: "DELETE", Path: "/scim/v2/Users/ana"}, 404, ""},
		"no such page":               {sent{Method: "GET", Path: "/scim/v2/Printers"}, 404, ""},
		"no such method":             {sent{Method: "DELETE", Path: "/scim/v2/Users"}, 405, ""},
		"no token":                   {sent{Path: "/scim/v2/Users", Token: "-", Body: `{"userName":"a"}`}, 401, ""},
		"an unknown token":           {sent{Path: "/scim/v2/Users", Token: "pst_scim_" + strings.Repeat("a", 43), Body: `{"userName":"a"}`}, 401, ""},
		"the API's token":            {sent{Path: "/scim/v2/Users", Token: s.Stack.APIToken, Body: `{"userName":"a"}`}, 401, ""},
		"no token, and large":        {sent{Path: "/scim/v2/Users", Token: "-", Body: large(1025 * kibi)}, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, since := test.sent, last(t, s.API)
			switch out.Token {
			case "":
				out.Token = token
			case "-":
				out.Token = ""
			}
			if out.Type == "" && out.Method != http.MethodGet {
				out.Type = scimType
			}
			got := s.send(t, out)
			detail := got.scimError(t, test.status, test.kind)
			if strings.Contains(detail, canary) || strings.Contains(detail, word) {
				t.Errorf("the answer repeats what was sent: %s", detail)
			}
			s.unchanged(t, s.API, before)
			switch test.status {
			case 400, 409, 413, 415:
				event := s.toldSince(t, s.API, core.RequestRefused, since, 1)[0]
				if event.Correlation.String() != got.header.Get("X-Correlation-Id") || event.Outcome != core.Failure || event.Reason == "" ||
					event.Data["status"] != fmt.Sprint(test.status) || event.Actor.Kind != core.ActorConnection {
					t.Errorf("the event is %+v", event)
				}
			}
		})
	}
	t.Run("a length that never comes", func(t *testing.T) {
		status, kind := s.promise(t, "POST", "/scim/v2/Users", token, 10<<30)
		if status != http.StatusRequestEntityTooLarge || kind != scimType {
			t.Errorf("answered %d as %s", status, kind)
		}
		s.unchanged(t, s.API, before)
	})
	t.Run("unknown attributes are kept and harmless", func(t *testing.T) {
		client := s.send(t, sent{
			Path: "/scim/v2/Users", Token: token, Type: scimType,
			Body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:x:User"],"userName":"odd@acme.example","shoeSize":44.5,"role":"owner","workspace":"` + core.NewID().String() + `","urn:x:User":{"a":[{"b":null}]}}`,
		})
		if client.status != http.StatusCreated || !strings.Contains(client.text, `"shoeSize":44.5`) {
			t.Fatalf("answered %d %s", client.status, client.text)
		}
		if made := ask[struct{ Role string }](t, s.API, "/users/"+s.user(t, "okta", "odd@acme.example").ID.String()); made.Role != "user" {
			t.Errorf("the IdP made a %s by an unknown attribute", made.Role)
		}
	})
	if !ana.alive(t, ana.account) {
		t.Error("a resident was signed out by bad input")
	}
}

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + `"` + canary + `"` + strings.Repeat(`}`, depth)
}

func large(size int) string {
	return `{"userName":"large@acme.example","title":"` + strings.Repeat("a", size) + `"}`
}

// promise sends the head of a request whose body never comes, and reads the head of the answer.
func (s *stage) promise(t *testing.T, method, path, token string, length int64) (int, string) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.Stack.Gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintf(connection, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", method, path, token, length)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("Content-Type")
}

func (s *stage) apiRefuses(t *testing.T) {
	account := "/api/v1/accounts/" + s.account(t, "billing").ID.String()
	app := ask[listed[struct{ ID core.ID }]](t, s.API, "/apps").Items[0].ID.String()
	newAccount := func(rest string) string {
		return `{"app":"` + app + `","username":"x","owner":"` + s.owner.String() + `"` + rest + `}`
	}
	newApp := func(rest string) string {
		return `{"name":"Wiki","domains":["wiki.example.com"],"sign_in_url":"https://wiki.example.com/"` + rest + `}`
	}
	// The same values without the fault are taken: see the adding of apps and accounts elsewhere.
	since := last(t, s.API)
	poor := s.poorToken(t)
	s.toldSince(t, s.API, core.ServiceAccountFindingOpened, since, 1) // that nobody owns it
	before := s.facts(t, s.API)
	for name, test := range map[string]struct {
		sent
		status int
		code   string
		at     string // where the problem points; "" is nowhere
	}{
		"nothing":                       {sent{Path: "/api/v1/accounts"}, 400, "invalid", ""},
		"half of a document":            {sent{Path: "/api/v1/accounts", Body: `{"password":"` + canary}, 400, "invalid", "#"},
		"a list":                        {sent{Path: "/api/v1/accounts", Body: `["` + canary + `"]`}, 400, "invalid", "#"},
		"two documents":                 {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"a"`) + "{}"}, 400, "invalid", "#"},
		"an unknown attribute":          {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"` + canary + `","vault":"a"`)}, 400, "invalid", "#/vault"},
		"a member twice":                {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"` + canary + `","password":"b"`)}, 400, "invalid", "#"},
		"a member missing":              {sent{Path: "/api/v1/accounts", Body: newAccount("")}, 400, "invalid", "#/password"},
		"a wrong type":                  {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":{"a":"` + canary + `"}`)}, 400, "invalid", "#/password"},
		"an id that is none":            {sent{Path: "/api/v1/accounts", Body: `{"app":"` + canary + `","username":"x","owner":"` + s.owner.String() + `","password":"` + canary + `"}`}, 400, "invalid", "#/app"},
		"an empty password":             {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":""`)}, 400, "invalid", "#/password"},
		"a password with a line end":    {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"` + canary + `\n"`)}, 400, "invalid", "#/password"},
		"a zero character":              {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"` + canary + `\u0000"`)}, 400, "invalid", "#/password"},
		"not UTF-8":                     {sent{Path: "/api/v1/accounts", Body: newAccount(",\"password\":\"" + canary + "\xff\"")}, 400, "invalid", "#"},
		"half a character":              {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"\ud800` + canary + `"`)}, 400, "invalid", "#"},
		"a password beyond all":         {sent{Path: "/api/v1/accounts", Body: newAccount(`,"password":"` + strings.Repeat("a", 2000) + `"`)}, 400, "invalid", "#/password"},
		"an app that is nobody's":       {sent{Path: "/api/v1/accounts", Body: `{"app":"` + core.NewID().String() + `","username":"x","owner":"` + s.owner.String() + `","password":"a"}`}, 400, "invalid", "#/app"},
		"taken":                         {sent{Path: "/api/v1/accounts", Body: `{"app":"` + app + `","username":"billing","owner":"` + s.owner.String() + `","password":"` + canary + `"}`}, 409, "account_username", "#/username"},
		"a page at another domain":      {sent{Path: "/api/v1/apps", Body: `{"name":"Wiki","domains":["wiki.example.com"],"sign_in_url":"https://evil.example.net/"}`}, 400, "invalid", "#/sign_in_url"},
		"a page that is a script":       {sent{Path: "/api/v1/apps", Body: `{"name":"Wiki","domains":["wiki.example.com"],"sign_in_url":"javascript:alert(1)"}`}, 400, "invalid", "#/sign_in_url"},
		"every domain":                  {sent{Path: "/api/v1/apps", Body: `{"name":"Wiki","domains":["*"],"sign_in_url":"https://wiki.example.com/"}`}, 400, "invalid", "#/domains"},
		"a name with a zero character":  {sent{Path: "/api/v1/apps", Body: `{"name":"Wi\u0000ki","domains":["wiki.example.com"],"sign_in_url":"https://wiki.example.com/"}`}, 400, "invalid", "#/name"},
		"settings that are none":        {sent{Path: "/api/v1/apps", Body: newApp(`,"settings":[1]`)}, 400, "invalid", "#/settings"},
		"settings with a zero":          {sent{Path: "/api/v1/apps", Body: newApp(`,"settings":{"a":"\u0000"}`)}, 400, "invalid", "#/settings"},
		"deep settings":                 {sent{Path: "/api/v1/apps", Body: newApp(`,"settings":` + nested(9000))}, 400, "invalid", "#/settings"},
		"deeper than any stack":         {sent{Path: "/api/v1/apps", Body: newApp(`,"settings":` + strings.Repeat("[", 200*kibi))}, 400, "invalid", "#"},
		"a role twice":                  {sent{Path: account + "/grants", Body: `{"user":"` + s.owner.String() + `","role":"collaborator","Role":"owner"}`}, 400, "invalid", "#"},
		"a role that is none":           {sent{Path: account + "/grants", Body: `{"user":"` + s.owner.String() + `","role":"king"}`}, 400, "invalid", "#/role"},
		"a grant to nobody":             {sent{Path: account + "/grants", Body: `{"user":"` + core.NewID().String() + `","role":"collaborator"}`}, 400, "invalid", "#/user"},
		"large":                         {sent{Path: "/api/v1/accounts", Body: large(300 * kibi)}, 413, "too_large", ""},
		"large, its length not told":    {sent{Path: "/api/v1/accounts", Body: large(300 * kibi), Chunked: true}, 413, "too_large", ""},
		"larger than anything":          {sent{Path: "/api/v1/accounts", Body: large(1100 * kibi)}, 413, "too_large", ""},
		"larger, its length not told":   {sent{Path: "/api/v1/accounts", Body: large(1100 * kibi), Chunked: true}, 413, "too_large", ""},
		"text":                          {sent{Path: "/api/v1/accounts", Type: "text/plain", Body: newAccount(`,"password":"a"`)}, 415, "unsupported_media_type", ""},
		"a form":                        {sent{Path: "/api/v1/accounts", Type: "application/x-www-form-urlencoded", Body: "password=" + canary}, 415, "unsupported_media_type", ""},
		"a page that is no number":      {sent{Method: "GET", Path: "/api/v1/accounts?limit=all"}, 400, "invalid", "limit"},
		"a page beyond all":             {sent{Method: "GET", Path: "/api/v1/accounts?limit=1000000"}, 400, "invalid", "limit"},
		"an unknown parameter":          {sent{Method: "GET", Path: "/api/v1/accounts?password=" + canary}, 400, "invalid", "password"},
		"an account that is none":       {sent{Method: "GET", Path: "/api/v1/accounts/" + core.NewID().String()}, 404, "not_found", ""},
		"an id in the path that's none": {sent{Method: "GET", Path: "/api/v1/accounts/billing"}, 400, "invalid", "id"},
		"a rotation of nothing":         {sent{Path: "/api/v1/accounts/" + core.NewID().String() + "/rotations"}, 404, "not_found", ""},
		"no such page":                  {sent{Method: "GET", Path: "/api/v1/passwords"}, 404, "not_found", ""},
		"no such method":                {sent{Method: "DELETE", Path: "/api/v1/accounts"}, 405, "method_not_allowed", ""},
		"no token":                      {sent{Path: account + "/rotations", Token: "-"}, 401, "unauthenticated", ""},
		"an unknown token":              {sent{Path: account + "/rotations", Token: "pst_api_" + strings.Repeat("a", 43)}, 401, "unauthenticated", ""},
		"SCIM's token":                  {sent{Path: account + "/rotations", Token: s.Stack.SCIM["okta"].Token}, 401, "unauthenticated", ""},
		"a token that may not":          {sent{Path: account + "/rotations", Token: poor}, 403, "missing_scope", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := test.sent
			switch out.Token {
			case "":
				out.Token = s.Stack.APIToken
			case "-":
				out.Token = ""
			}
			if out.Type == "" && out.Body != "" {
				out.Type = jsonType
			}
			got := s.send(t, out)
			places := got.problem(t, test.status, test.code)
			if strings.Contains(got.text, canary) {
				t.Errorf("the answer repeats what was sent: %s", got.text)
			}
			if found := strings.Join(places, " "); found != test.at {
				t.Errorf("the problem points at %q, want %q: %s", found, test.at, got.text)
			}
			s.unchanged(t, s.API, before)
		})
	}
	t.Run("a length that never comes", func(t *testing.T) {
		if status, kind := s.promise(t, "POST", "/api/v1/accounts", s.Stack.APIToken, 10<<30); status != http.StatusRequestEntityTooLarge || kind != "application/problem+json" {
			t.Errorf("answered %d as %s", status, kind)
		}
		s.unchanged(t, s.API, before)
	})
}

// poorToken is a token of a service account that may read apps and nothing else.
func (s *stage) poorToken(t *testing.T) string {
	t.Helper()
	people := &directory.Directory{DB: s.DB}
	workspace, cause := s.workspace(t), core.NewCause(core.System, time.Now())
	var token seal.Secret
	err := s.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		ctx := context.WithoutCancel(t.Context())
		account, err := people.CreateServiceAccount(ctx, tx, cause, workspace, "poor", []string{api.AppsRead})
		if err != nil {
			return err
		}
		token, err = people.CreateServiceAccountToken(ctx, tx, cause, workspace, account.ID, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.secrets.plant("a poor token", token.Reveal())
	return token.Reveal()
}
