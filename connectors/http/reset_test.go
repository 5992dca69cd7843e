package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/connectors/connectortest"
	connector "postern/connectors/http"
	"postern/core/rotation"
	"postern/core/seal"
)

// quays is a definition with everything an administrator does.
const quays = `
name: Quays
sign_in:
  - method: POST
    path: /session
    json: {login: "{username}", password: "{password}"}
    failures:
      - {status: [401], at: error, is: [disabled], outcome: disabled, detail: The account is disabled.}
      - {status: [401], outcome: rejected, detail: The login or the password is wrong.}
    success: {status: [200]}
    keep: {token: token}
change:
  - method: PUT
    path: /me/password
    headers: {Authorization: "Bearer {token}"}
    json: {new: "{new}"}
    failures:
      - {status: [422], outcome: refused, detail: The new password is too simple.}
    success: {status: [204]}
reset:
  - method: GET
    path: /people
    query: {login: "{account}"}
    headers: {Authorization: "Bearer {token}"}
    failures:
      - {status: [403], outcome: admin_denied, detail: Only administrators see people.}
      - {status: [404], outcome: rejected, detail: There is nobody of this login.}
    success: {status: [200], at: people.0.id}
    keep: {id: people.0.id}
  - method: PUT
    path: /people/{id}/password
    headers: {Authorization: "Bearer {token}"}
    json: {new: "{new}"}
    failures:
      - {status: [403], outcome: admin_denied, detail: Only administrators set passwords.}
      - {status: [422], outcome: refused, detail: The new password is too simple.}
    success: {status: [204]}
disable:
  - method: PATCH
    path: /people/{account}
    headers: {Authorization: "Bearer {token}"}
    json: {disabled: true}
    failures:
      - {status: [403], outcome: admin_denied, detail: Only administrators do this.}
      - {status: [404], outcome: rejected, detail: There is nobody of this login.}
    success: {status: [204]}
enable:
  - method: PATCH
    path: /people/{account}
    headers: {Authorization: "Bearer {token}"}
    json: {disabled: false}
    failures:
      - {status: [403], outcome: admin_denied, detail: Only administrators do this.}
      - {status: [404], outcome: rejected, detail: There is nobody of this login.}
    success: {status: [204]}
end_sessions:
  - method: DELETE
    path: /people/{account}/sessions
    headers: {Authorization: "Bearer {token}"}
    failures:
      - {status: [403], outcome: admin_denied, detail: Only administrators do this.}
      - {status: [404], outcome: rejected, detail: There is nobody of this login.}
    success: {status: [204]}
users:
  method: GET
  path: /everybody
  query: {page_size: "2"}
  headers: {Authorization: "Bearer {token}"}
  failures:
    - {status: [403], outcome: admin_denied, detail: Only administrators see people.}
  success: {status: [200]}
  each: data.people
  username: login
  disabled: {at: disabled, is: ["true"]}
  next: data.cursor
  more: {after: "{next}"}
tokens:
  create:
    - method: POST
      path: /people/{account}/tokens
      headers: {Authorization: "Bearer {token}"}
      json: {name: "{issued_name}"}
      failures:
        - {status: [403], outcome: admin_denied, detail: Only administrators do this.}
      success: {status: [201]}
      keep: {issued: value, issued_id: id}
  list:
    method: GET
    path: /people/{account}/tokens
    headers: {Authorization: "Bearer {token}"}
    success: {status: [200]}
    id: id
    named: name
  end:
    - method: DELETE
      path: /people/{account}/tokens/{issued_id}
      headers: {Authorization: "Bearer {token}"}
      success: {status: [204]}
  try:
    - method: GET
      path: /me
      headers: {Authorization: "Bearer {password}"}
      failures:
        - {status: [401], outcome: rejected, detail: There is no such token.}
      success: {status: [200]}
`

// harbourmaster is an app with an API like many: sessions, a password one changes, and people whom administrators look after.
type harbourmaster struct {
	lock     sync.Mutex
	people   []person
	sessions map[string]int
	tokens   map[string]issued // by their ids
	number   int
	lies     string // "yes" and did not, "no" and did
}

type issued struct{ login, name, value string }

type person struct {
	login, password string
	admin, disabled bool
}

func (h *harbourmaster) add(one person) int {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.people = append(h.people, one)
	return len(h.people) - 1
}

func (h *harbourmaster) handler() http.Handler {
	mux := http.NewServeMux()
	said := func(w http.ResponseWriter, status int, body any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	// as has who is signed in do something.
	as := func(admin bool, act func(w http.ResponseWriter, r *http.Request, who int)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			h.lock.Lock()
			defer h.lock.Unlock()
			who, known := h.sessions[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
			switch {
			case !known:
				said(w, 401, map[string]string{"error": "session"})
			case admin && !h.people[who].admin:
				said(w, 403, map[string]string{"error": "forbidden"})
			default:
				act(w, r, who)
			}
		}
	}
	set := func(w http.ResponseWriter, r *http.Request, who int) {
		var body struct{ New string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.New) < 8 {
			said(w, 422, map[string]string{"error": "weak"})
			return
		}
		if h.lies != "yes" {
			h.people[who].password = body.New
		}
		if h.lies == "no" {
			said(w, 422, map[string]string{"error": "weak"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("POST /session", func(w http.ResponseWriter, r *http.Request) {
		h.lock.Lock()
		defer h.lock.Unlock()
		var body struct{ Login, Password string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		who := slices.IndexFunc(h.people, func(p person) bool { return p.login == body.Login && p.password == body.Password })
		switch {
		case who < 0:
			said(w, 401, map[string]string{"error": "wrong"})
		case h.people[who].disabled:
			said(w, 401, map[string]string{"error": "disabled"})
		default:
			h.number++
			token := fmt.Sprintf("t-%d", h.number)
			h.sessions[token] = who
			said(w, 200, map[string]string{"token": token})
		}
	})
	mux.HandleFunc("PUT /me/password", as(false, set))
	mux.HandleFunc("GET /people", as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
		who := slices.IndexFunc(h.people, func(p person) bool { return p.login == r.URL.Query().Get("login") })
		if who < 0 {
			said(w, 404, map[string]string{"error": "nobody"})
			return
		}
		said(w, 200, map[string]any{"people": []any{map[string]any{"id": who, "login": h.people[who].login}}})
	}))
	mux.HandleFunc("GET /everybody", as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
		var size, from int
		_, _ = fmt.Sscan(r.URL.Query().Get("page_size"), &size)
		_, _ = fmt.Sscan(r.URL.Query().Get("after"), &from)
		page, data := []any{}, map[string]any{}
		for _, one := range h.people[from:min(from+size, len(h.people))] {
			page = append(page, map[string]any{"login": one.login, "disabled": one.disabled})
		}
		if data["people"] = page; from+size < len(h.people) {
			data["cursor"] = from + size
		}
		said(w, 200, map[string]any{"data": data})
	}))
	// known has an administrator do something with somebody, by their login.
	known := func(act func(r *http.Request, who int)) http.HandlerFunc {
		return as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
			who := slices.IndexFunc(h.people, func(p person) bool { return p.login == r.PathValue("login") })
			if who < 0 {
				said(w, 404, map[string]string{"error": "nobody"})
				return
			}
			act(r, who)
			w.WriteHeader(http.StatusNoContent)
		})
	}
	mux.HandleFunc("PATCH /people/{login}", known(func(r *http.Request, who int) {
		var body struct{ Disabled bool }
		_ = json.NewDecoder(r.Body).Decode(&body)
		h.people[who].disabled = body.Disabled
	}))
	mux.HandleFunc("DELETE /people/{login}/sessions", known(func(_ *http.Request, who int) {
		maps.DeleteFunc(h.sessions, func(_ string, of int) bool { return of == who })
	}))
	mux.HandleFunc("POST /people/{login}/tokens", as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
		var body struct{ Name string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		h.number++
		id, made := fmt.Sprint(h.number), issued{r.PathValue("login"), body.Name, fmt.Sprintf("Canary-token-%d", h.number)}
		h.tokens[id] = made
		said(w, 201, map[string]string{"id": id, "value": made.value})
	}))
	mux.HandleFunc("GET /people/{login}/tokens", as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
		list := []map[string]string{}
		for id, one := range h.tokens {
			if one.login == r.PathValue("login") {
				list = append(list, map[string]string{"id": id, "name": one.name})
			}
		}
		said(w, 200, list)
	}))
	mux.HandleFunc("DELETE /people/{login}/tokens/{id}", as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
		delete(h.tokens, r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		h.lock.Lock()
		defer h.lock.Unlock()
		for _, one := range h.tokens {
			if r.Header.Get("Authorization") == "Bearer "+one.value {
				said(w, 200, map[string]string{"login": one.login})
				return
			}
		}
		said(w, 401, map[string]string{"error": "token"})
	})
	mux.HandleFunc("PUT /people/{id}/password", as(true, func(w http.ResponseWriter, r *http.Request, _ int) {
		var who int
		if _, err := fmt.Sscan(r.PathValue("id"), &who); err != nil || who < 0 || who >= len(h.people) {
			said(w, 404, map[string]string{"error": "nobody"})
			return
		}
		set(w, r, who)
	}))
	return mux
}

func at(t *testing.T, definition string) func(address string) rotation.Target {
	t.Helper()
	settings, err := json.Marshal(connector.Settings{Definition: definition})
	if err != nil {
		t.Fatal(err)
	}
	return func(address string) rotation.Target {
		return rotation.Target{AppName: "Quays", Domains: []string{"127.0.0.1"}, SignInURL: "http://" + address, AllowPrivate: true, Settings: settings}
	}
}

func TestAnAdministratorsContract(t *testing.T) {
	h := &harbourmaster{sessions: map[string]int{}, tokens: map[string]issued{}}
	server := httptest.NewServer(h.handler())
	t.Cleanup(server.Close)
	boss := credential("boss", "Administrator-1")
	h.add(person{login: boss.Username, password: boss.Password.Reveal(), admin: true})
	var number int
	connectortest.App{
		Connector: connector.New(false), Address: strings.TrimPrefix(server.URL, "http://"), At: at(t, quays), Disabled: rotation.Disabled, Unrecorded: true,
		Account: func(*testing.T) rotation.Credential {
			number++
			made := credential(fmt.Sprintf("shared & a=%d", number), seal.GeneratePassword(seal.PasswordPolicy{}).Reveal())
			h.add(person{login: made.Username, password: made.Password.Reveal()})
			return made
		},
		Disable: func(_ *testing.T, account rotation.Credential) {
			h.lock.Lock()
			defer h.lock.Unlock()
			for i := range h.people {
				h.people[i].disabled = h.people[i].disabled || h.people[i].login == account.Username
			}
		},
		Set: func(_ *testing.T, account rotation.Credential) {
			h.lock.Lock()
			defer h.lock.Unlock()
			at := slices.IndexFunc(h.people, func(p person) bool { return p.login == account.Username })
			h.people[at].password = account.Password.Reveal()
		},
		Lie: func(t *testing.T, done bool) {
			say := func(what string) {
				h.lock.Lock()
				defer h.lock.Unlock()
				h.lies = what
			}
			say(map[bool]string{false: "yes", true: "no"}[done])
			t.Cleanup(func() { say("") })
		},
		Administrator: func(*testing.T) rotation.Credential { return boss },
		Session: func(_ *testing.T, account rotation.Credential) func() bool {
			h.lock.Lock()
			defer h.lock.Unlock()
			token := "held by " + account.Username
			h.sessions[token] = slices.IndexFunc(h.people, func(p person) bool { return p.login == account.Username })
			return func() bool {
				h.lock.Lock()
				defer h.lock.Unlock()
				_, alive := h.sessions[token]
				return alive
			}
		},
	}.Run(t)
}

// An app whose definition says nothing of it has nobody who resets, and is not asked.
func TestNoReset(t *testing.T) {
	target := target(t, answer(200, `{"session":{"token":"t-1"}}`))
	made := connector.New(false)
	report := made.Reset(t.Context(), target, credential("boss", "Administrator-1"), "shared", seal.NewSecret("Next-Canary-1"), func(context.Context) error {
		t.Error("asked to release")
		return nil
	})
	if report.Outcome != rotation.AdminDenied || !strings.Contains(report.Detail, "definition") {
		t.Errorf("%+v", report)
	}
	for settings, want := range map[string]bool{string(target.Settings): false, string(at(t, quays)("x").Settings): true, `{}`: false, `[`: false} {
		if can := slices.Contains(rotation.Capabilities(made, json.RawMessage(settings)), rotation.CanReset); can != want {
			t.Errorf("%s: %t", settings, can)
		}
	}
	if can := rotation.Capabilities(made, nil); !slices.Contains(can, rotation.CanReset) {
		t.Errorf("in some app: %v", can)
	}
}

// What is wrong with a reset is told with its line.
func TestFaultsOfAReset(t *testing.T) {
	if _, err := connector.Parse([]byte(quays)); err != nil {
		t.Fatal(err)
	}
	for old, test := range map[string]struct{ new, want string }{
		`query: {login: "{account}"}`:                {"", "by {account} to whom it is done"},
		"path: /people/{id}/password":                {"path: /people/{new}/password", "does not belong into an address"},
		"keep: {id: people.0.id}":                    {"keep: {account: people.0.id}", "give it another name"},
		"is: [disabled], outcome: disabled":          {"is: [disabled], outcome: admin_denied", "write one of"},
		`headers: {Authorization: "Bearer {token}"}`: {`headers: {Authorization: "Bearer {account}"}`, "nothing gives {account}"},
	} {
		if _, err := connector.Parse([]byte(strings.Replace(quays, old, test.new, 1))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.new, err, test.want)
		}
	}
}

// A record is of an account, and says who is disabled.
func TestFaultsOfARecord(t *testing.T) {
	const record = "record:\n  method: GET\n  path: /people/{account}\n  headers: {Authorization: \"Bearer {token}\"}\n  success: {status: [200]}\n  disabled: {at: disabled, is: [\"true\"]}\n"
	if _, err := connector.Parse([]byte(quays + record)); err != nil {
		t.Fatal(err)
	}
	for old, test := range map[string]struct{ new, want string }{
		"{account}":                      {"all", "by {account} whose record is read"},
		"{at: disabled, is: [\"true\"]}": {"{status: [200]}", "in disabled where it says"},
		"Bearer {token}":                 {"Bearer {new}", "{new}"},
		"method: GET":                    {"method: LOOK", "write GET"},
	} {
		if _, err := connector.Parse([]byte(quays + strings.Replace(record, old, test.new, 1))); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.new, err, test.want)
		}
	}
}
