package signals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// agent is how the suite calls itself.
const agent = "Postern-Conformance/1"

// answer is what the gateway said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) members() map[string]any {
	var out map[string]any
	_ = json.Unmarshal(a.body, &out)
	return out
}

func (a answer) text(name string) string {
	text, _ := a.members()[name].(string)
	return text
}

// gateway is the one under test, as its clients reach it.
type gateway struct {
	base, token string
	client      *http.Client
	requests    int
}

// request sends one request. Where the gateway asks for patience it is shown some.
func (g *gateway) request(ctx context.Context, method, address string, header http.Header, body []byte) (answer, error) {
	for attempt := 0; ; attempt++ {
		request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return answer{}, err
		}
		request.Header = header.Clone()
		request.Header.Set("User-Agent", agent)
		g.requests++
		got, err := g.client.Do(request)
		if err != nil {
			return answer{}, err
		}
		text, err := io.ReadAll(io.LimitReader(got.Body, 4<<20))
		_ = got.Body.Close()
		if err != nil {
			return answer{}, err
		}
		wait, _ := strconv.Atoi(got.Header.Get("Retry-After"))
		if got.StatusCode != http.StatusTooManyRequests && got.StatusCode != http.StatusServiceUnavailable || attempt == 2 || wait > 30 {
			return answer{got.StatusCode, got.Header, text}, nil
		}
		timer := time.NewTimer(time.Duration(max(1, wait)) * time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer{}, ctx.Err()
		}
	}
}

// ask calls the admin API and wants it to succeed.
func (g *gateway) ask(ctx context.Context, method, path string, body any) (map[string]any, error) {
	return g.call(ctx, method, g.base+"/api/v1"+path, g.token, "application/json", body)
}

func (g *gateway) call(ctx context.Context, method, address, token, kind string, body any) (map[string]any, error) {
	header := http.Header{"Authorization": {"Bearer " + token}, "Accept": {kind}}
	var text []byte
	if body != nil {
		header.Set("Content-Type", kind)
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	got, err := g.request(ctx, method, address, header, text)
	if err != nil {
		return nil, err
	}
	if got.status >= 300 {
		return nil, fmt.Errorf("%s %s: %d %.300s", method, strings.TrimPrefix(address, g.base), got.status, got.body)
	}
	return got.members(), nil
}

// person is somebody the suite made.
type person struct{ name, userName, email, external, sub, id string }

// room is a connection to the suite's identity provider with its people.
type room struct {
	id, token string // of SCIM
	people    map[string]person
	bad       int // tokens it was sent that were not believed
	streams   map[string]string
	hooks     []string          // ids
	hook      *hook             // the latest
	witness   string            // somebody whom nothing is to happen to
	sessions  map[string]string // cookies by a name of the session
	dead      map[string]bool
}

// open makes a connection that believes the suite's identity provider.
func (s *suite) open(ctx context.Context, quirks []string) (*room, error) {
	s.rooms++
	made, err := s.ask(ctx, "POST", "/connections", map[string]any{
		"name": fmt.Sprintf("Conformance %s %d", s.run, s.rooms), "kind": "generic", "issuer": s.provider.issuer(), "client_id": clientID,
		"logout_issuers": []string{s.provider.base + "/custom"},
	})
	if err != nil {
		return nil, err
	}
	r := &room{people: map[string]person{}, streams: map[string]string{}, sessions: map[string]string{}, dead: map[string]bool{}}
	r.id, _ = made["id"].(string)
	s.opened = append(s.opened, r)
	path := "/connections/" + r.id
	if _, err := s.ask(ctx, "PUT", path+"/sign-in", map[string]any{"authentication": "none"}); err != nil {
		return nil, err
	}
	if _, err := s.ask(ctx, "PUT", path+"/provisioning", map[string]any{"guard": map[string]any{"enabled": false}}); err != nil {
		return nil, err
	}
	if len(quirks) > 0 {
		if _, err := s.ask(ctx, "PUT", path+"/logout-quirks", map[string]any{"quirks": quirks}); err != nil {
			return nil, err
		}
	}
	made, err = s.ask(ctx, "POST", path+"/tokens", map[string]any{})
	if err != nil {
		return nil, err
	}
	r.token, _ = made["token"].(string)
	return r, nil
}

// provision makes somebody by SCIM, as the identity provider would.
func (s *suite) provision(ctx context.Context, r *room, who person) error {
	body := map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": who.userName, "externalId": who.external, "displayName": who.name, "active": true,
	}
	if who.email != "" {
		body["emails"] = []any{map[string]any{"value": who.email, "type": "work", "primary": true}}
	}
	made, err := s.call(ctx, "POST", s.base+"/scim/v2/Users", r.token, "application/scim+json", body)
	if err != nil {
		return err
	}
	who.id, _ = made["id"].(string)
	r.people[who.name] = who
	return nil
}

// signIn has a person sign in, as a browser would, and gives the session's cookie.
func (s *suite) signIn(ctx context.Context, r *room, name, sid string) (string, error) {
	start := s.base + "/sso/" + r.id + "/start"
	got, err := s.request(ctx, "GET", start, http.Header{"Accept": {"text/html"}}, nil)
	if err != nil {
		return "", err
	}
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.status < 300 || got.status >= 400 || to.Host == "" {
		return "", fmt.Errorf("GET /sso/…/start answers %d and not with the way to the identity provider", got.status)
	}
	asked := to.Query()
	code := s.provider.code(s.provider.idToken(asked, r.people[name], sid))
	back, err := url.Parse(asked.Get("redirect_uri"))
	if err != nil {
		return "", errors.New("the sign-in names no redirect_uri")
	}
	back.RawQuery = url.Values{"code": {code}, "state": {asked.Get("state")}}.Encode()
	// The path counts: the gateway may be reached here by another name than its public one.
	address := s.base + back.Path + "?" + back.RawQuery
	got, err = s.request(ctx, "GET", address, http.Header{"Accept": {"text/html"}, "Cookie": {cookies(got.header)}}, nil)
	if err != nil {
		return "", err
	}
	cookie := ""
	for _, one := range (&http.Response{Header: got.header}).Cookies() {
		if one.Value != "" && one.MaxAge >= 0 && strings.HasSuffix(one.Name, "postern") {
			cookie = one.Name + "=" + one.Value
		}
	}
	if cookie == "" {
		return "", fmt.Errorf("the sign-in of %s was answered %d without a session: %.200s", name, got.status, got.body)
	}
	return cookie, nil
}

func cookies(header http.Header) string {
	var all []string
	for _, one := range (&http.Response{Header: header}).Cookies() {
		if one.Value != "" {
			all = append(all, one.Name+"="+one.Value)
		}
	}
	return strings.Join(all, "; ")
}

// alive asks a page with a session's cookie.
func (s *suite) alive(ctx context.Context, cookie string) (bool, error) {
	got, err := s.request(ctx, "GET", s.base+"/sessions", http.Header{"Accept": {"text/html"}, "Cookie": {cookie}}, nil)
	return err == nil && got.status == http.StatusOK, err
}

// receipts are those of a connection, the newest first.
func (s *suite) receipts(ctx context.Context, r *room, door string) ([]map[string]any, error) {
	got, err := s.ask(ctx, "GET", "/signals?limit=20&connection="+r.id+"&door="+door, nil)
	if err != nil {
		return nil, err
	}
	var out []map[string]any
	items, _ := got["items"].([]any)
	for _, one := range items {
		if receipt, ok := one.(map[string]any); ok {
			out = append(out, receipt)
		}
	}
	return out, nil
}

// remove takes away what was made, and what was loosened. What cannot be taken away is said; connections cannot, for
// what they did is on record.
func (s *suite) remove(ctx context.Context) []string {
	var left []string
	note := func(err error) {
		if err != nil {
			left = append(left, err.Error())
		}
	}
	for _, r := range s.opened {
		for _, id := range r.streams {
			_, err := s.ask(ctx, "DELETE", "/streams/"+id+"?force=true", nil)
			note(err)
		}
		for _, id := range r.hooks {
			_, err := s.ask(ctx, "DELETE", "/hooks/"+id, nil)
			note(err)
		}
		for _, who := range r.people {
			_, err := s.call(ctx, "DELETE", s.base+"/scim/v2/Users/"+who.id, r.token, "application/scim+json", nil)
			note(err)
		}
		_, err := s.ask(ctx, "DELETE", "/connections/"+r.id+"/sign-in", nil)
		note(err)
		_, err = s.ask(ctx, "PUT", "/connections/"+r.id+"/logout-quirks", map[string]any{"quirks": []string{}})
		note(err)
		_, err = s.ask(ctx, "PUT", "/connections/"+r.id+"/provisioning", map[string]any{})
		note(err)
		found, err := s.ask(ctx, "GET", "/connections/"+r.id+"/tokens", nil)
		note(err)
		items, _ := found["items"].([]any)
		for _, one := range items {
			if token, ok := one.(map[string]any); ok {
				_, err := s.ask(ctx, "DELETE", fmt.Sprintf("/connections/%s/tokens/%v", r.id, token["id"]), nil)
				note(err)
			}
		}
	}
	return left
}
