package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
)

// mirrored is the world as the second workspace has it: what is made through it is globex's.
func (w *world) mirrored(t *testing.T) *world {
	t.Helper()
	other := *w
	other.acme, other.ana = directory.Workspace{ID: w.gus.Workspace}, w.gus
	other.tokens = map[string]string{"acme": w.tokens["globex"]}
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) (err error) {
		if _, err = w.token(t.Context(), tx, other.acme.ID, "credentials:use", nil); err != nil {
			return err
		}
		other.ben, err = w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: other.acme.ID, UserName: "ben", Active: true, Role: directory.RoleUser})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return &other
}

// ids are those of the things, each by the field's name.
func (th things) ids() map[string]string {
	all := map[string]string{}
	for field, value := range reflect.ValueOf(th).Fields() {
		if _, err := core.ParseID(value.String()); err == nil {
			all[field.Name] = value.String()
		}
	}
	return all
}

// reference is a place in a body or a query that takes an id.
type reference struct {
	operation operation
	// at leads to it in the body: a number is of a list. One word alone, with query, is a parameter's name.
	at    []string
	query bool
}

func (r reference) String() string {
	if r.query {
		return r.operation.OperationID + "?" + r.at[0]
	}
	return r.operation.OperationID + "#/" + strings.Join(r.at, "/")
}

// references finds every place of the document that takes an id, except those in addresses.
func (d *document) references(t *testing.T) []reference {
	t.Helper()
	var read struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(d.text, &read); err != nil {
		t.Fatal(err)
	}
	var found []reference
	var walk func(one operation, schema map[string]any, at []string)
	walk = func(one operation, schema map[string]any, at []string) {
		if name, ok := schema["$ref"].(string); ok {
			schema = read.Components.Schemas[name[strings.LastIndex(name, "/")+1:]]
		}
		if schema["format"] == "uuid" {
			found = append(found, reference{operation: one, at: slices.Clone(at)})
		}
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			walk(one, properties[name].(map[string]any), append(at, name))
		}
		if item, ok := schema["items"].(map[string]any); ok {
			walk(one, item, append(at, "0"))
		}
	}
	for _, one := range d.operations {
		for _, parameter := range one.Parameters {
			if parameter.In == "query" && parameter.Schema["format"] == "uuid" {
				found = append(found, reference{one, []string{parameter.Name}, true})
			}
		}
		if len(one.RequestBody) == 0 {
			continue
		}
		var body struct {
			Content map[string]struct {
				Schema map[string]any `json:"schema"`
			} `json:"content"`
		}
		if err := json.Unmarshal(one.RequestBody, &body); err != nil {
			t.Fatal(err)
		}
		walk(one, body.Content["application/json"].Schema, nil)
	}
	return found
}

// put sets a place of a value read from JSON, and makes the way there.
func put(value any, at []string, id string) any {
	if len(at) == 0 {
		return id
	}
	if at[0] == "0" {
		list, _ := value.([]any)
		if len(list) == 0 {
			list = []any{nil}
		}
		list[0] = put(list[0], at[1:], id)
		return list
	}
	object, _ := value.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	switch at[0] { // one or the other is named
	case "user", "team":
		delete(object, "user")
		delete(object, "team")
		delete(object, "manager")
	case "accounts":
		delete(object, "orphaned")
	case "orphaned":
		delete(object, "accounts")
	}
	object[at[0]] = put(object[at[0]], at[1:], id)
	return object
}

// with is a complete request with one id in the reference's place.
func (r reference) with(t *testing.T, own things, id string) *http.Request {
	t.Helper()
	asked := request(t, r.operation, own)
	if r.query {
		query := asked.URL.Query()
		query.Set(r.at[0], id)
		asked.URL.RawQuery = query.Encode()
		return asked
	}
	var body map[string]any
	if err := json.NewDecoder(asked.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	switch { // what the body is for says what else is in it
	case r.at[0] == "scope" && r.at[1] != "excluded" && strings.Contains(r.operation.Path, "/polic"):
		body["scope"] = map[string]any{"covers": r.at[1]}
	case r.operation.OperationID == "addServiceCredential":
		body = map[string]any{"name": "password", "kind": "password", "held": "account"}
	case r.at[0] == "from":
		delete(body, "items")
	}
	text, err := json.Marshal(put(body, r.at, id))
	if err != nil {
		t.Fatal(err)
	}
	made := httptest.NewRequest(asked.Method, asked.URL.String(), strings.NewReader(string(text)))
	made.Header = asked.Header
	return made
}

// more are things that only references name.
func (w *world) more(t *testing.T, all *things) map[string]string {
	t.Helper()
	event := items(w.must(t, 200, "GET", "/events?type=account.created&limit=1", ""))[0]["event"].(map[string]any)
	signal := w.must(t, 200, "GET", "/signals/"+all.signals, "")
	found := map[string]string{
		"correlation": event["correlation"].(string), "actor": event["actor"].(map[string]any)["id"].(string), "target": event["targets"].([]any)[0].(map[string]any)["id"].(string),
		"letter":  items(w.must(t, 200, "GET", "/sinks/"+all.sinks+"/dead-letters", ""))[0]["id"].(string),
		"message": w.must(t, 200, "POST", "/webhooks/"+all.webhooks+"/test", "")["message"].(string),

		"listCertificates?user":                w.must(t, 200, "GET", "/certificates/"+all.certificates, "")["user"].(string),
		"listProvisioningRequests?correlation": w.must(t, 200, "GET", "/provisioning-requests/"+all.requests, "")["correlation"].(string),
		"listServiceFindings?account":          items(w.must(t, 200, "GET", "/service-findings", ""))[0]["service_account"].(string),
		"listSignals?connection":               signal["connection"].(string),
		"listSignals?user":                     signal["users"].([]any)[0].(string),
	}
	connection, err := core.ParseID(all.connections)
	if err != nil {
		t.Fatal(err)
	}
	err = w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		team, err := w.directory.InsertTeam(t.Context(), tx, directory.Team{Workspace: w.acme.ID, Connection: connection, DisplayName: "Ops"})
		if err != nil {
			return err
		}
		found["team"] = team.ID.String()
		member, err := w.directory.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.ID, Connection: connection, UserName: "ops", Active: true, Role: directory.RoleUser})
		if err != nil {
			return err
		}
		found["listTeams?member"] = member.ID.String()
		_, err = w.directory.AddMembers(t.Context(), tx, w.acme.ID, team.ID, []core.ID{member.ID})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/accounts/"+all.accounts+"/grants", `{"user":"`+all.guests+`","role":"collaborator"}`)
	_, all.reviews, _ = w.reviewing(t, "open")
	asked := items(w.must(t, 200, "GET", "/reviews/"+all.reviews+"/items", ""))
	reviewed := asked[slices.IndexFunc(asked, func(item map[string]any) bool { return item["user"] == all.guests })]
	all.item = reviewed["id"].(string)
	for _, one := range []string{"listReviewItems?reviewer", "reassignReviewItems#/from"} {
		found[one] = reviewed["reviewer"].(string)
	}
	return found
}

// names is the id that belongs in a reference's place.
func (r reference) names(all things, more map[string]string) string {
	if id, special := more[r.String()]; special {
		return id
	}
	word := r.at[len(r.at)-1]
	if word == "0" {
		word = r.at[len(r.at)-2]
	}
	switch word {
	case "app", "apps":
		return all.apps
	case "account", "accounts", "excluded":
		return all.accounts
	case "partner":
		return all.partners
	case "owner", "sponsor", "user", "member", "resource", "reviewer", "from", "to":
		return all.users
	case "connection":
		return all.connections
	case "hold":
		return all.signalHolds
	case "campaign":
		return all.campaigns
	case "item", "items":
		return all.item
	case "cursor", "after": // of any list
		return all.accounts
	}
	return more[word]
}

// said is an answer without what is of one request alone.
func said(recorder *httptest.ResponseRecorder, got map[string]any, asked string) string {
	text := recorder.Body.String()
	if got != nil {
		got = maps.Clone(got)
		delete(got, "request_id")
		plain, _ := json.Marshal(got)
		text = string(plain)
	}
	return fmt.Sprint(recorder.Code, " ", strings.ReplaceAll(text, asked, "ID"))
}

// alike are references where one's own answers no otherwise here: nothing failed that could be sent again, or an attempt before it took what
// there was.
var alike = []string{
	"retryLogoutTargetDeadLetters?letter", "retryReceiverDeadLetters?letter", "retrySinkDeadLetters?letter", "listWebhookAttempts?message",
	"previewReassignment#/orphaned/app", "createReassignment#/orphaned/app", "listProvisioningRequests?resource",
	"reassignReviewItems#/from", "reassignReviewItems#/items/0", "createServiceAccount#/owners/0/user",
}

// Whatever takes an id, in a body or a query, answers to one of another workspace as it does to one nobody has; what is one's own it knows.
func TestNothingRefersToAnotherWorkspace(t *testing.T) {
	w := newWorld(t)
	theirs := w.things(t)
	moreTheirs := w.more(t, &theirs)
	mirror := w.mirrored(t)
	own := mirror.things(t)
	moreOwn := mirror.more(t, &own)
	foreign := slices.AppendSeq(slices.Collect(maps.Values(theirs.ids())), maps.Values(moreTheirs))
	events := func() int {
		return w.count(t, "select (select count(*) from audit_outbox where workspace_id = '"+w.acme.ID.String()+"') + (select count(*) from audit_log where workspace_id = '"+w.acme.ID.String()+"')")
	}
	began, passed := time.Now(), time.Duration(0)
	w.now = func() time.Time { return began.Add(passed) }
	before, found := events(), w.document.references(t)
	for _, one := range found {
		ask := func(id string) string {
			passed += 100 * time.Millisecond // below the rate of a service account
			asked := one.with(t, own, id)
			asked.Header.Set("Authorization", "Bearer "+w.tokens["globex"])
			recorder, got := w.send(t, asked)
			for _, other := range foreign {
				if other != id && strings.Contains(recorder.Body.String(), other) {
					t.Errorf("%s gives away what is another workspace's: %s", one, recorder.Body)
				}
			}
			return said(recorder, got, id)
		}
		other := ask(one.names(theirs, moreTheirs))
		if one.at[0] == "cursor" || one.at[0] == "after" || one.operation.OperationID == "tailActivity" {
			continue // an id is a place in a list to those, and the last takes its time
		}
		if unknown := ask(core.NewID().String()); other != unknown {
			t.Errorf("%s tells what another workspace has: %s\nand of what nobody has: %s", one, other, unknown)
		}
		if !one.query && other[0] != '4' && !strings.Contains(other, `"not_found"`) && one.String() != "previewReassignment#/orphaned/app" {
			t.Errorf("%s takes what is another workspace's: %s", one, other)
		}
		if mine := ask(one.names(own, moreOwn)); (mine == other) != slices.Contains(alike, one.String()) {
			t.Errorf("%s does not know what is its own: %s\nnor what another workspace has: %s", one, mine, other)
		}
	}
	if after := events(); after != before || len(found) < 100 {
		t.Errorf("%d references were tried, and %d events happened to the other workspace", len(found), after-before)
	}
}
