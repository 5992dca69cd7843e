package hooks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"postern/conformance/signals/vectors"
	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/hooks"
)

// player plays the vectors of one kind of hook.
type player struct {
	*world
	kind    hooks.Kind
	door    signals.Door
	keys    *vectors.Keys
	issuer  string // of tokens
	graph   *double
	hook    hooks.Made
	place   string // of the hook
	secrets vectors.Secrets
	number  int
}

func TestVectors(t *testing.T) {
	for kind, one := range map[hooks.Kind]struct {
		text []byte
		door signals.Door
	}{
		hooks.Okta: {vectors.OktaEventHook, signals.OktaEventHook}, hooks.Graph: {vectors.Graph, signals.Graph},
		hooks.Standard: {vectors.StandardWebhook, signals.StandardWebhook}, hooks.Signed: {vectors.SignedWebhook, signals.SignedWebhook},
	} {
		t.Run(string(kind), func(t *testing.T) {
			all, err := vectors.Hooks(one.text)
			must(t, err)
			p := &player{world: newWorld(t), kind: kind, door: one.door}
			p.keys, err = vectors.NewKeys()
			must(t, err)
			issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(p.keys.Set()) }))
			t.Cleanup(issuer.Close)
			p.issuer = issuer.URL
			switch kind {
			case hooks.Okta:
				p.make(t, hooks.NewHook{})
				p.create(t, p.globex, hooks.NewHook{Kind: hooks.Okta})
			case hooks.Graph:
				p.graph = newDouble(t)
				p.make(t, hooks.NewHook{Settings: hooks.Settings{Access: p.graph.access()}, AccessSecret: seal.NewSecret("s3cret-of-the-app")})
				p.settle(t)
			}
			for _, v := range all {
				t.Run(v.Name, func(t *testing.T) { p.play(t, v) })
			}
			if len(p.Receipts(t, p.globex.workspace.ID)) != 0 || !p.signedIn(t, p.globex, p.globex.ana) {
				t.Error("the other workspace heard of it")
			}
		})
	}
}

func (p *player) make(t *testing.T, wanted hooks.NewHook) {
	p.number++
	wanted.Kind, wanted.Name = p.kind, fmt.Sprint("hook ", p.number)
	p.hook = p.create(t, p.acme, wanted)
	p.secrets = vectors.Secrets{Current: p.hook.Secret.Reveal()}
}

// settle lets the worker do all that is due.
func (p *player) settle(t *testing.T) {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = p.service.Work(t.Context())
		must(t, err)
	}
}

func (p *player) play(t *testing.T, v vectors.Hook) {
	p.number++
	name := fmt.Sprintf("p%03d-%s", p.number, p.kind)
	values := map[string]string{
		"id": name, "id8": fmt.Sprintf("%08x", p.number), "email": name + "@example.com", "EMAIL": strings.ToUpper(name) + "@Example.COM", "external": "00u-" + name,
		"stranger": "nobody-" + name + "@example.org", "issuer": p.issuer, "audience": "postern", "tenant": tenant,
	}
	if p.place != v.Place() && v.Settings != nil {
		p.place = v.Place()
		var settings hooks.Settings
		must(t, json.Unmarshal([]byte(replaced(string(v.Settings), values)), &settings))
		wanted, own := hooks.NewHook{Settings: settings}, vectors.Secrets{}
		if v.Secret != "" {
			var given string
			var err error
			own, given, err = vectors.Own(v.Secret)
			must(t, err)
			wanted.Secret = seal.NewSecret(given)
		}
		if p.make(t, wanted); v.Secret != "" {
			p.secrets = own
		}
	}
	if v.Rotate != nil {
		made, err := p.service.Rotate(t.Context(), cause(), p.acme.workspace.ID, p.hook.ID, seal.Secret{}, time.Duration(*v.Rotate)*time.Second)
		must(t, err)
		p.secrets = vectors.Secrets{Current: made.Secret.Reveal(), Previous: p.secrets.Current}
	}
	user := p.person(t, p.acme, name)
	now, before := time.Now(), vectors.Message{}
	for _, step := range append([]vectors.Hook{v}, v.Then...) {
		before = p.step(t, step, values, user, now, before)
	}
}

// at is the address of a message.
func (p *player) at(place string) string {
	address := p.service.URL(p.hook.Hook)
	switch place {
	case "other":
		return strings.Replace(address, p.acme.connection.ID.String(), p.globex.connection.ID.String(), 1)
	case "none":
		return strings.Replace(address, p.acme.connection.ID.String(), core.NewID().String(), 1)
	case "unknown":
		return strings.Replace(address, p.hook.ID.String(), core.NewID().String(), 1)
	}
	return address
}

func (p *player) step(t *testing.T, v vectors.Hook, values map[string]string, user directory.User, now time.Time, last vectors.Message) vectors.Message {
	t.Helper()
	if p.graph != nil {
		values["subscription"] = p.world.hook(t, p.acme, p.hook.ID).RemoteID
		p.graph.set(v, values)
	}
	message, err := v.Make(now, values, p.secrets, last, p.keys)
	must(t, err)
	before, alive := len(p.Receipts(t, p.acme.workspace.ID)), p.signedIn(t, p.acme, user)
	renewed, made := 0, 0
	if p.graph != nil {
		renewed, made = p.graph.renewed, p.graph.made
	}
	request, err := http.NewRequestWithContext(t.Context(), message.Method, p.at(v.At)+message.Query, strings.NewReader(message.Body))
	must(t, err)
	request.Header = message.Header
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	text, err := io.ReadAll(response.Body)
	must(t, err)
	must(t, response.Body.Close())
	var said map[string]any
	_ = json.Unmarshal(text, &said)
	if response.StatusCode != v.Expect.Status || v.Expect.Error != "" && said["error"] != v.Expect.Error || v.Expect.Echo != "" && string(text) != replaced(v.Expect.Echo, values) {
		t.Errorf("answered %d %s", response.StatusCode, text)
	}
	if response.Header.Get("Cache-Control") != "no-store" {
		t.Error("it may be cached")
	}
	if p.graph != nil {
		p.settle(t)
		if v.Expect.Renewed != (p.graph.renewed > renewed) || v.Expect.Subscribed != (p.graph.made > made) {
			t.Errorf("renewed %d times, made %d times", p.graph.renewed-renewed, p.graph.made-made)
		}
	}
	got := p.Receipts(t, p.acme.workspace.ID)[before:]
	if len(got) != v.Receipts() || len(got) > 0 && (string(got[0].Kind) != v.Expect.Kind || got[0].Door != p.door || v.Expect.Outcome != "" && string(got[0].Outcome) != v.Expect.Outcome) {
		t.Errorf("%d receipts: %+v", len(got), got)
	}
	if alive && p.signedIn(t, p.acme, user) == v.Expect.Ends {
		t.Errorf("signed in: %v", !v.Expect.Ends)
	}
	return message
}

func replaced(text string, values map[string]string) string {
	for name, value := range values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	return text
}

// access is how a hook gets in at the double.
func (d *double) access() hooks.Access {
	return hooks.Access{Address: d.URL, TokenEndpoint: d.URL + "/" + tenant + "/oauth2/v2.0/token", Tenant: tenant, ClientID: "app"}
}

// set has the double answer about a person as a vector says.
func (d *double) set(v vectors.Hook, values map[string]string) {
	d.lock.Lock()
	defer d.lock.Unlock()
	person := values["external"]
	values["state"], values["STATE"] = d.state, strings.ToUpper(d.state)
	d.disabled[person], d.missing[person] = v.Graph.Disabled, v.Graph.Gone
	if delete(d.sessions, person); v.Graph.Sessions {
		d.sessions[person] = time.Now()
	}
	if d.changed = []string{}; v.Graph.Delta {
		d.changed = []string{person}
	}
}
