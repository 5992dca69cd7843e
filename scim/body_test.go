package scim_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/scim"
)

// crew adds users to the workspace and lists them as Okta lists the members of a group.
func (h house) crew(t testing.TB, count int) string {
	t.Helper()
	var list strings.Builder
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), `
			insert into users (id, workspace_id, connection_id, user_name, active, created, updated)
			select gen_random_uuid(), @workspace, @connection, 'crew-' || n || '@example.com', true, now(), now() from generate_series(1, @count::int) n
			returning id, user_name`, pgx.StrictNamedArgs{"workspace": h.workspace, "connection": h.connection.ID, "count": count})
		if err != nil {
			return err
		}
		var id core.ID
		var name string
		_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
			if list.Len() > 0 {
				list.WriteByte(',')
			}
			_, err := fmt.Fprintf(&list, `{"value":"%s","$ref":"%s/scim/v2/Users/%s","display":"%s"}`, id, publicURL, id, name)
			return err
		})
		return err
	}))
	return list.String()
}

// Okta sends a whole group, whatever its size, with every change of it.
func TestLargeGroups(t *testing.T) {
	h := open(t, directory.Okta).acme
	crew := h.crew(t, 8_000)
	if len(crew) < 1<<20 {
		t.Fatalf("%d bytes are not many", len(crew))
	}
	group := h.call(t, "POST", "/Groups?attributes=id", `{"displayName":"All","members":[`+crew+`]}`).want(t, 201).id(t)
	_, err := h.DB.Exec(t.Context(), `analyze users, team_members`) // as PostgreSQL does by itself, a minute later
	must(t, err)
	count := func() any {
		return h.call(t, "GET", "/Groups/"+group+"/members?count=1", "").want(t, 200).at(t, "totalResults")
	}
	if got := count(); got != 8_000.0 {
		t.Errorf("%v members", got)
	}
	h.call(t, "PUT", "/Groups/"+group+"?attributes=id", `{"displayName":"Everybody","members":[`+crew+`]}`).want(t, 200)
	h.call(t, "PATCH", "/Groups/"+group, patchOperations+`[{"op":"remove","path":"members"},{"op":"add","path":"members","value":[`+crew+`]}]}`).want(t, 204)
	if got := count(); got != 8_000.0 {
		t.Errorf("%v members after they came again", got)
	}
	for _, test := range []struct{ method, path string }{{"POST", "/Users"}, {"POST", "/Bulk"}, {"POST", "/.search"}, {"POST", "/Groups/.search"}, {"PATCH", "/Users/" + group}} {
		h.call(t, test.method, test.path, `{"a":[`+crew+`]}`).wantError(t, 413, "")
	}
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"All","members":[`+strings.Repeat(crew+",", 32)+`]}`).wantError(t, 413, "")
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"All","shoes":[`+crew+`]}`).wantError(t, 400, "invalidValue") // not kept
	h.call(t, "GET", "/ServiceProviderConfig", "").is(t, float64(1<<20), "bulk", "maxPayloadSize")
	if held := h.BodyMemory(); held != 0 {
		t.Errorf("%d bytes of bodies are left", held)
	}
}

// Members may stand under the URN of their schema too.
func TestMembersUnderTheirSchema(t *testing.T) {
	h := open(t, directory.Generic).acme
	ana, bob := h.join(t, "ana"), h.join(t, "bob")
	const urn = "urn:ietf:params:scim:schemas:core:2.0:Group"
	anaAlone := `[{"value":"` + ana + `"}]`
	made := h.call(t, "POST", "/Groups", `{"`+urn+`":{"displayName":"Sales","externalId":"e","members":`+anaAlone+`}}`).want(t, 201)
	made.is(t, "Sales", "displayName")
	made.is(t, "e", "externalId")
	group := made.id(t)
	is := func(want ...string) {
		t.Helper()
		got := h.members(t, group)
		for _, id := range want {
			if !got[id] {
				t.Errorf("%s is missing in %v", id, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("members are %v", got)
		}
	}
	is(ana)
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"Sales","`+urn+`:members":[{"value":"`+bob+`"}]}`).want(t, 200).is(t, "e", "externalId")
	is(bob)
	h.call(t, "PUT", "/Groups/"+group, `{"displayName":"Sales","`+strings.ToUpper(urn)+`":{"Members":`+anaAlone+`}}`).want(t, 200)
	is(ana)
	for _, body := range []string{
		`{"displayName":"Sales","members":[],"` + urn + `":{"members":` + anaAlone + `}}`,
		`{"displayName":"Sales","` + urn + `:members":[],"` + urn + `":{"members":` + anaAlone + `}}`,
		`{"displayName":"Sales","members[value eq \"x\"]":` + anaAlone + `}`,
	} {
		h.call(t, "PUT", "/Groups/"+group, body).want(t, 400)
	}
	is(ana)
	strict := h.connect(t, "strict", directory.Generic)
	must(t, h.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := h.Directory.ChangeConnection(t.Context(), tx, h.cause(), h.workspace, strict.connection.ID, func(c *directory.Connection) { c.Provisioning.Profile = directory.ProfileStrict })
		return err
	}))
	strict.call(t, "POST", "/Groups", `{"schemas":["`+urn+`"],"displayName":"Strict","`+urn+`":{"members":[]}}`).wantError(t, 400, "invalidSyntax")
}

// trickle begins a request whose body never comes to its end, on a connection of its own.
func trickle(t *testing.T, address, method, path, token string) *bufio.Reader {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	_, err = fmt.Fprintf(connection, "%s /scim/v2%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/scim+json\r\nContent-Length: 1000\r\n\r\n{", method, path, token)
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() {
		for ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			if _, err := io.WriteString(connection, " "); err != nil {
				return
			}
		}
	}()
	return bufio.NewReader(connection)
}

// Whoever sends a body byte by byte holds no place: everybody else is answered meanwhile, and the body
// is waited for no longer than bodies are.
func TestABodyThatTrickles(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Places: 2, Arrival: 2 * time.Second}
	server, client := w.serve(t)
	address := strings.TrimPrefix(server.URL, "http://")
	user := w.acme.join(t, "ana")
	w.other.join(t, "eve")
	fresh := w.acme.connect(t, "fresh", directory.Okta) // its token was never shown before
	var slow []*bufio.Reader
	for range 10 {
		slow = append(slow,
			trickle(t, address, "POST", "/Users", w.acme.token), trickle(t, address, "PUT", "/Groups/"+user, w.acme.token),
			trickle(t, address, "PATCH", "/Users/"+user, w.other.token), trickle(t, address, "POST", "/Bulk", w.other.token),
			trickle(t, address, "POST", "/.search", fresh.token),
		)
	}
	stranger := trickle(t, address, "POST", "/Users", "pst_scim_nobody")
	var all sync.WaitGroup
	for _, h := range []house{w.acme, w.other} {
		for range 20 {
			all.Go(func() {
				if status, _, err := get(t.Context(), client, server.URL+"/scim/v2/Users", h.token); status != 200 || err != nil {
					t.Errorf("answered %d, %v", status, err)
				}
			})
		}
	}
	all.Wait()
	for _, reader := range slow {
		all.Go(func() {
			answered, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(answered.Body)
			if err != nil || answered.StatusCode != 408 || !answered.Close || answered.Header.Get("Content-Type") != "application/scim+json" || !strings.Contains(string(text), `"status":"408"`) {
				t.Errorf("answered %d %s %v", answered.StatusCode, text, err)
			}
		})
	}
	all.Wait()
	if answered, err := http.ReadResponse(stranger, nil); err != nil || answered.StatusCode != 401 {
		t.Errorf("a stranger is answered %+v, %v", answered, err)
	}
	if held := w.BodyMemory(); held != 0 {
		t.Errorf("%d bytes of bodies are left", held)
	}
	if entries := w.acme.journal(t); len(entries) != 1 {
		t.Errorf("the journal holds %v", w.acme.written(t))
	}
}

// How long a body was waited for says nothing about the next request of the same connection, nor about
// how long the request itself may take.
func TestTheNextRequestHasItsOwnTime(t *testing.T) {
	w := open(t, directory.Okta)
	w.Share = scim.Share{Arrival: 300 * time.Millisecond}
	server, _ := w.serve(t)
	connection, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	must(t, err)
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReader(connection)
	user := w.acme.join(t, "ana")
	held, letGo := w.acme.occupy(t, user)
	for _, name := range []string{"ana", "ben", "cleo"} {
		body := `{"userName":"` + name + `"}`
		_, err := fmt.Fprintf(connection, "PUT /scim/v2/Users/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", user, w.acme.token, len(body), body)
		must(t, err)
		if name == "ana" {
			held()
			time.Sleep(600 * time.Millisecond)
			letGo()
		}
		answered, err := http.ReadResponse(reader, nil)
		must(t, err)
		text, err := io.ReadAll(answered.Body)
		if err != nil || answered.StatusCode != 200 {
			t.Fatalf("answered %d %s %v", answered.StatusCode, text, err)
		}
		time.Sleep(600 * time.Millisecond)
	}
}

// Bodies have so much memory together, and a workspace half of it; who finds none is asked back.
func TestBodiesHaveTheirRoom(t *testing.T) {
	w := open(t, directory.Okta)
	w.acme.join(t, "ana")
	w.other.join(t, "eve")
	held, empty := w.FillBodyMemory(w.acme.workspace, 64<<20)
	if !held {
		t.Fatal("there is no room in the beginning")
	}
	w.acme.call(t, "GET", "/Users", "").want(t, 200)
	if refused := w.acme.call(t, "POST", "/Users", `{"userName":"bob"}`).wantError(t, 429, ""); refused.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", refused.header.Get("Retry-After"))
	}
	w.other.call(t, "POST", "/Users", `{"userName":"bob"}`).want(t, 201)
	also, emptyToo := w.FillBodyMemory(w.other.workspace, 64<<20)
	if more, _ := w.FillBodyMemory(core.NewID(), 1); !also || more {
		t.Errorf("memory for one more: %v, %v", also, more)
	}
	empty()
	w.acme.call(t, "POST", "/Users", `{"userName":"bob"}`).want(t, 201)
	emptyToo()
	if told := w.acme.events(t, core.ConnectionThrottled); len(told) != 1 {
		t.Errorf("%d told", len(told))
	}
	if held := w.BodyMemory(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

// torn is a body that ends before its end.
type torn struct{ io.Reader }

func (t torn) Read(into []byte) (int, error) {
	count, err := t.Reader.Read(into)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return count, err
}

// A client that dies in the middle of its body changes nothing, whatever came of it.
func TestABodyThatBreaksOff(t *testing.T) {
	w := open(t, directory.Okta)
	h := w.acme
	h.join(t, "ana")
	for _, size := range []int{0, 1, 40, 20_000, 900_000} {
		text := `{"userName":"bob"}` + strings.Repeat(" ", 1<<20)
		request := httptest.NewRequestWithContext(t.Context(), "POST", "/scim/v2/Users", torn{strings.NewReader(text[:size])})
		request.Header.Set("Authorization", "Bearer "+h.token)
		h.send(t, request).wantError(t, 400, "invalidSyntax")
	}
	h.call(t, "GET", "/Users", "").is(t, 1.0, "totalResults")
	if held := w.BodyMemory(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}
