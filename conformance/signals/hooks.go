package signals

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/conformance/signals/vectors"
)

// hook is one that the suite made at the gateway.
type hook struct {
	id, path, place string
	secrets         vectors.Secrets
}

// kinds are what the gateway calls a door's hooks.
var kinds = map[string]string{"okta_event_hook": "okta", "graph": "graph", "standard_webhook": "standard", "signed_webhook": "signed"}

// hooked plays a message of a sender of hooks, and what follows it.
func (p *play) hooked(ctx context.Context, v vectors.Hook) error {
	var err error
	if p.room, err = p.enter(ctx, nil); p.prepared(err) != nil {
		return err
	}
	who, sessions, err := p.whom(ctx, v)
	if err != nil {
		return err
	}
	values := map[string]string{
		"id": fmt.Sprintf("%s-%d", p.run, len(p.results)), "id8": fmt.Sprintf("%08x", len(p.results)), "email": who.email, "EMAIL": strings.ToUpper(who.email),
		"external": who.external, "stranger": "nobody-" + p.run + "@example.org", "issuer": p.provider.issuer(), "audience": "postern", "tenant": tenant,
	}
	if known := p.room.hook; known == nil || known.place != v.Place() {
		if p.room.hook, err = p.makeHook(ctx, v, values); p.prepared(err) != nil {
			return err
		}
	}
	if v.Rotate != nil {
		made, err := p.ask(ctx, "POST", "/hooks/"+p.room.hook.id+"/secret", map[string]any{"overlap_seconds": *v.Rotate})
		if p.prepared(err) != nil {
			return err
		}
		fresh, _ := made["secret"].(string)
		p.room.hook.secrets = vectors.Secrets{Current: fresh, Previous: p.room.hook.secrets.Current}
	}
	now, message := time.Now(), vectors.Message{}
	for _, step := range append([]vectors.Hook{v}, v.Then...) {
		if message, err = p.send(ctx, step, values, who, sessions, now, message); err != nil {
			return err
		}
	}
	return nil
}

// whom gives somebody of a vector's own, or the one whom nothing is to happen to.
func (p *play) whom(ctx context.Context, v vectors.Hook) (person, map[string]string, error) {
	if !v.Touches() && p.room.witness != "" {
		who := p.room.people[p.room.witness]
		sessions, err := p.stable(ctx, map[string]string{who.name: "sid-" + who.name}, true)
		return who, sessions, err
	}
	who, sessions, err := p.somebody(ctx)
	if err == nil && !v.Touches() {
		p.room.witness = who.name
	}
	return who, sessions, err
}

// makeHook makes the hook of a vector. Of Microsoft Graph the gateway then makes the subscription, in its own time.
func (p *play) makeHook(ctx context.Context, v vectors.Hook, values map[string]string) (*hook, error) {
	body := map[string]any{}
	text := string(v.Settings)
	for name, value := range values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			return nil, err
		}
	}
	made := &hook{place: v.Place()}
	body["kind"], body["name"] = kinds[p.door], fmt.Sprintf("Conformance %s %d", p.run, len(p.results))
	if v.Secret != "" {
		secrets, given, err := vectors.Own(v.Secret)
		if err != nil {
			return nil, err
		}
		made.secrets, body["secret"] = secrets, given
	}
	if p.door == "graph" {
		at := p.provider.base + "/graph"
		body["access"] = map[string]any{"address": at, "token_endpoint": at + "/token", "tenant": tenant, "client_id": clientID, "secret": p.provider.secret}
	}
	if p.door == "okta_event_hook" && len(p.shared.hooks) == 0 {
		other, err := p.ask(ctx, "POST", "/connections/"+p.shared.id+"/hooks", body)
		if err != nil {
			return nil, err
		}
		p.shared.hooks = append(p.shared.hooks, fmt.Sprint(other["id"]))
	}
	before := p.provider.seen()
	said, err := p.ask(ctx, "POST", "/connections/"+p.room.id+"/hooks", body)
	if err != nil {
		return nil, err
	}
	made.id, _ = said["id"].(string)
	p.room.hooks = append(p.room.hooks, made.id)
	address, _ := said["url"].(string)
	to, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	made.path = to.Path
	if secret, _ := said["secret"].(string); secret != "" {
		made.secrets = vectors.Secrets{Current: secret}
	}
	if p.door != "graph" {
		return made, nil
	}
	err = p.until(ctx, func() (bool, error) { return p.provider.seen().made > before.made, nil })
	if wrong := p.provider.seen().wrong; err != nil && wrong != "" {
		return nil, fmt.Errorf("no subscription could be made: %s", wrong)
	} else if err != nil {
		return nil, fmt.Errorf("no subscription was made: does a worker run, and does it reach %s? %w", p.provider.base, err)
	}
	return made, nil
}

// until waits for what the gateway does in its own time.
func (s *suite) until(ctx context.Context, met func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Patience)
	defer cancel()
	for {
		if done, err := met(); done || err != nil {
			return err
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// send sends one message and looks at what it did.
func (p *play) send(ctx context.Context, v vectors.Hook, values map[string]string, who person, sessions map[string]string, now time.Time, last vectors.Message) (vectors.Message, error) {
	h := p.room.hook
	graphic := p.door == "graph"
	p.provider.expect(v, who.external)
	before := p.provider.seen()
	values["state"], values["STATE"], values["subscription"] = before.state, strings.ToUpper(before.state), before.subscription
	message, err := v.Make(now, values, h.secrets, last, p.provider.keys)
	if p.prepared(err) != nil {
		return message, err
	}
	newest, err := p.newest(ctx)
	if p.prepared(err) != nil {
		return message, err
	}
	got, err := p.request(ctx, message.Method, p.base+p.place(v.At)+message.Query, message.Header, []byte(message.Body))
	if err != nil {
		return message, err
	}
	p.status(got, "error", v.Expect.Status, v.Expect.Error)
	if echo := v.Expect.Echo; echo != "" {
		for name, value := range values {
			echo = strings.ReplaceAll(echo, "{{"+name+"}}", value)
		}
		if string(got.body) != echo {
			p.fault("it answers %.200q, and should answer %q", got.body, echo)
		}
	}
	if graphic && got.status == http.StatusAccepted && len(p.faults) == 0 {
		if err := p.worked(ctx, v, before, newest, values); err != nil {
			return message, err
		}
	}
	fresh, err := p.since(ctx, newest)
	if p.prepared(err) != nil {
		return message, err
	}
	switch wanted := v.Receipts(); {
	case len(fresh) != wanted:
		p.fault("there are %d receipts of it, and should be %d", len(fresh), wanted)
	case wanted > 0 && fresh[wanted-1]["kind"] != v.Expect.Kind:
		p.fault("its receipt says %v, and should say %s", fresh[wanted-1]["kind"], v.Expect.Kind)
	case wanted > 0 && v.Expect.Outcome != "" && fresh[wanted-1]["outcome"] != v.Expect.Outcome:
		p.fault("its outcome is %v, and should be %s", fresh[wanted-1]["outcome"], v.Expect.Outcome)
	}
	dead := []string{}
	if v.Expect.Ends || p.room.dead[who.name] {
		dead = append(dead, who.name)
	}
	return message, p.judge(ctx, sessions, dead)
}

// place is the path of a door.
func (p *play) place(at string) string {
	path := p.room.hook.path
	switch at {
	case "other":
		return strings.Replace(path, p.room.id, p.shared.id, 1)
	case "none":
		return strings.Replace(path, p.room.id, "0191aaaa-0000-7000-8000-00000000dead", 1)
	case "unknown":
		return strings.Replace(path, p.room.hook.id, "0191aaaa-0000-7000-8000-00000000dead", 1)
	}
	return path
}

// newest is the id of the door's latest receipt.
func (p *play) newest(ctx context.Context) (any, error) {
	found, err := p.receipts(ctx, p.room, p.door)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0]["id"], nil
}

// since are the receipts after one, the newest first.
func (p *play) since(ctx context.Context, id any) ([]map[string]any, error) {
	found, err := p.receipts(ctx, p.room, p.door)
	for i, one := range found {
		if one["id"] == id {
			return found[:i], err
		}
	}
	return found, err
}

// worked waits until the gateway has looked at what Microsoft Graph told it. Where nothing is to follow, that is when
// two more rounds of work have begun: they come one after the other.
func (p *play) worked(ctx context.Context, v vectors.Hook, before graph, newest any, values map[string]string) error {
	var err error
	switch {
	case v.Receipts() > 0:
		err = p.until(ctx, func() (bool, error) {
			fresh, err := p.since(ctx, newest)
			return len(fresh) >= v.Receipts(), p.prepared(err)
		})
	case v.Expect.Renewed:
		err = p.until(ctx, func() (bool, error) { return p.provider.seen().renewed > before.renewed, nil })
	case v.Expect.Subscribed:
		err = p.until(ctx, func() (bool, error) { return p.provider.seen().made > before.made, nil })
	default:
		for round := 1; round <= 2 && err == nil; round++ {
			err = p.until(ctx, func() (bool, error) { return p.provider.seen().grants >= before.grants+round, nil })
			if err == nil && round == 1 {
				nudge := fmt.Sprintf(`{"value":[{"subscriptionId":%q,"clientState":%q,"lifecycleEvent":"none"}]}`, values["subscription"], values["state"])
				_, err = p.request(ctx, http.MethodPost, p.base+p.room.hook.path, http.Header{"Content-Type": {"application/json"}}, []byte(nudge))
			}
		}
	}
	if err != nil && p.setup == nil && ctx.Err() == nil {
		p.fault("it was acknowledged, and nothing came of it within %s", p.options.Patience)
		return nil
	}
	return err
}
