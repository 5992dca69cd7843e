package plugin_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// office is the app of the template.
type office struct {
	lock      sync.Mutex
	passwords map[string]string
	disabled  map[string]bool
	sessions  map[string]bool
	tokens    map[string]officeToken // by their ids
	made      int                    // tokens ever
	admin     string
	lies      string // "yes" and did not, "no" and did
}

// set is what it makes of a new password, with the status it answers.
func (o *office) set(login, password string) int {
	if o.lies != "yes" {
		o.passwords[login] = password
	}
	if o.lies == "no" {
		return http.StatusUnprocessableEntity
	}
	return http.StatusNoContent
}

type officeToken struct{ login, name, value string }

// look is what an administrator does with somebody.
func (o *office) look(w http.ResponseWriter, r *http.Request, user string) {
	login, part, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/people/"), "/")
	var body struct {
		New, Name string
		Disabled  bool
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case user != o.admin:
		w.WriteHeader(http.StatusForbidden)
		return
	case r.URL.Path == "/people":
		people := []map[string]any{}
		for one := range o.passwords {
			people = append(people, map[string]any{"login": one, "disabled": o.disabled[one]})
		}
		_ = json.NewEncoder(w).Encode(people)
		return
	case o.passwords[login] == "":
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method == http.MethodPut && part == "password":
		w.WriteHeader(o.set(login, body.New))
		return
	case r.Method == http.MethodPatch && part == "":
		o.disabled[login] = body.Disabled
	case r.Method == http.MethodDelete && part == "sessions":
		delete(o.sessions, login)
	case part == "tokens" && r.Method == http.MethodPost:
		o.made++
		id := strconv.Itoa(o.made)
		made := officeToken{login, body.Name, "Canary-token-" + id}
		o.tokens[id] = made
		_ = json.NewEncoder(w).Encode(map[string]string{"id": id, "value": made.value})
		return
	case part == "tokens":
		told := []map[string]string{}
		for id, one := range o.tokens {
			if one.login == login {
				told = append(told, map[string]string{"id": id, "name": one.name})
			}
		}
		_ = json.NewEncoder(w).Encode(told)
		return
	case r.Method == http.MethodDelete && strings.HasPrefix(part, "tokens/"):
		delete(o.tokens, strings.TrimPrefix(part, "tokens/"))
	}
	w.WriteHeader(http.StatusNoContent)
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.lock.Lock()
	defer o.lock.Unlock()
	user, password, _ := r.BasicAuth()
	switch {
	case strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		for _, one := range o.tokens {
			if r.Header.Get("Authorization") == "Bearer "+one.value && !o.disabled[one.login] {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	case o.passwords[user] == "" || o.passwords[user] != password:
		w.WriteHeader(http.StatusUnauthorized)
	case o.disabled[user]:
		w.WriteHeader(http.StatusForbidden)
	case strings.HasPrefix(r.URL.Path, "/people"):
		o.look(w, r, user)
	case r.Method == http.MethodPut && r.URL.Path == "/password":
		var body struct{ New string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || len(body.New) < 8 || body.New == password {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(o.set(user, body.New))
	case r.Method == http.MethodPost && r.URL.Path == "/session":
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}
