package signals

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/conformance/signals/vectors"
)

// tenant is the directory the suite's Microsoft Graph is of.
const tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"

// graph is as much of Microsoft Graph as a gateway needs.
type graph struct {
	state, subscription   string // of the subscription there is
	made, renewed, grants int
	disabled, missing     map[string]bool
	revoked               map[string]time.Time // signInSessionsValidFromDateTime
	changed               []string             // whom the next look at changes tells of
	wrong                 string               // with the gateway's subscription
}

// microsoft answers what a gateway asks of Microsoft Graph and of its authority.
func (p *provider) microsoft(w http.ResponseWriter, r *http.Request, path string) {
	if path == "token" {
		if r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("client_id") != clientID || r.PostFormValue("client_secret") != p.secret {
			say(w, 401, map[string]string{"error": "invalid_client"})
			return
		}
		p.lock.Lock()
		p.graph.grants++
		p.lock.Unlock()
		say(w, 200, map[string]any{"access_token": p.secret, "token_type": "Bearer", "expires_in": 3599})
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+p.secret {
		say(w, 401, map[string]any{"error": map[string]string{"code": "InvalidAuthenticationToken"}})
		return
	}
	path = strings.TrimPrefix(path, "v1.0/")
	switch id := path[strings.LastIndex(path, "/")+1:]; {
	case path == "subscriptions":
		p.subscribe(w, r)
	case strings.HasPrefix(path, "subscriptions/"):
		p.lock.Lock()
		defer p.lock.Unlock()
		if r.Method == http.MethodDelete {
			w.WriteHeader(204)
			return
		}
		p.graph.renewed++
		say(w, 200, map[string]any{"id": id, "expirationDateTime": time.Now().Add(28 * 24 * time.Hour).UTC()})
	case path == "users/delta":
		p.lock.Lock()
		defer p.lock.Unlock()
		value := []any{}
		if r.URL.Query().Get("$deltatoken") != "latest" {
			for _, person := range p.graph.changed {
				value = append(value, map[string]any{"id": person, "accountEnabled": false})
			}
			p.graph.changed = nil
		}
		say(w, 200, map[string]any{"value": value, "@odata.deltaLink": p.base + "/graph/v1.0/users/delta?$deltatoken=next"})
	case strings.HasPrefix(path, "users/"):
		p.lock.Lock()
		defer p.lock.Unlock()
		if p.graph.missing[id] {
			say(w, 404, map[string]any{"error": map[string]string{"code": "Request_ResourceNotFound"}})
			return
		}
		found := map[string]any{"id": id, "accountEnabled": !p.graph.disabled[id]}
		if at, there := p.graph.revoked[id]; there {
			found["signInSessionsValidFromDateTime"] = at
		}
		say(w, 200, found)
	default:
		http.NotFound(w, r)
	}
}

// subscribe proves the address of a new subscription, as Microsoft does, and makes it.
func (p *provider) subscribe(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		State string `json:"clientState"`
		URL   string `json:"notificationUrl"`
		Life  string `json:"lifecycleNotificationUrl"`
	}
	wrong := ""
	if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.State == "" || len(asked.State) > 128 || asked.Life == "" {
		wrong = "it asks for no subscription with a clientState of at most 128 characters and a lifecycleNotificationUrl"
	} else {
		const token = "Validation: Testing client application reachability for subscription Request-Id: 1+2"
		got, err := p.gateway.request(r.Context(), http.MethodPost, asked.URL+"?validationToken="+url.QueryEscape(token), http.Header{"Content-Type": {"text/plain"}}, nil)
		switch {
		case err != nil:
			wrong = "its notificationUrl cannot be reached: " + err.Error()
		case got.status != 200 || string(got.body) != token || !strings.HasPrefix(got.header.Get("Content-Type"), "text/plain"):
			wrong = fmt.Sprintf("its notificationUrl answers the validation %d %.100s", got.status, got.body)
		}
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.graph.wrong = wrong; wrong != "" {
		say(w, 400, map[string]any{"error": map[string]string{"message": wrong}})
		return
	}
	p.graph.made++
	p.graph.state, p.graph.subscription = asked.State, fmt.Sprintf("00000000-0000-4000-8000-%012d", p.graph.made)
	say(w, 201, map[string]any{"id": p.graph.subscription, "expirationDateTime": time.Now().Add(28 * 24 * time.Hour).UTC()})
}

// expect has Microsoft Graph answer about a person as a vector says.
func (p *provider) expect(v vectors.Hook, person string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	g := &p.graph
	if g.disabled == nil {
		g.disabled, g.missing, g.revoked = map[string]bool{}, map[string]bool{}, map[string]time.Time{}
	}
	g.disabled[person], g.missing[person] = v.Graph.Disabled, v.Graph.Gone
	if delete(g.revoked, person); v.Graph.Sessions {
		g.revoked[person] = time.Now().UTC()
	}
	if g.changed = nil; v.Graph.Delta {
		g.changed = []string{person}
	}
}

// seen is what the gateway did so far.
func (p *provider) seen() graph {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.graph
}
