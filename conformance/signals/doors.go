package signals

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// revoked plays a step of Universal Logout.
func (p *play) revoked(ctx context.Context, v vector) error {
	sids := map[string]string{}
	for name := range p.room.people {
		// Each sign-in costs four requests: of those who are not meant one witness is enough.
		if name == "ana" || name == "ben" || slices.Contains(v.ends(), name) {
			sids[name] = "sid-" + name
		}
	}
	sessions, err := p.stable(ctx, sids, true)
	if err != nil {
		return err
	}
	address := func(id string) string { return p.base + "/webhooks/" + id + "/universal-logout" }
	at := map[string]string{"": p.room.id, "other": p.shared.id, "none": "0191aaaa-0000-7000-8000-00000000dead"}[v.At]
	if !v.Same {
		p.number++
	}
	values := p.values(map[string]string{
		"audience": address(p.room.id), "other-audience": address(p.shared.id), "public": p.base,
		"email-upper": "ANA.ITO@EXAMPLE.COM", "email-shared": "shared@example.com", "email-nobody": "nobody@example.com", "email-as-name": "noe@example.com",
		"email-other": "carl@example.com", "external-upper": "00UANA", "id": p.room.people["ana"].id, "other-id": p.shared.people["carl"].id,
		"their-id": "0191aaaa-0000-7000-8000-00000000beef", "large": `{"sub_id":{"format":"email","email":"ana.ito@example.com"},"pad":"` + strings.Repeat("a", 64<<10) + `"}`,
	})
	switch {
	case v.Authorization != nil:
		p.token = strings.TrimPrefix(*v.Authorization, "Bearer ")
	case !v.Same:
		if p.token, err = p.mint(v, "global-token-revocation+jwt", values, `{"jti":"{{jti}}","iss":"{{issuer}}","sub":"{{client}}","aud":"{{audience}}","exp":"{{now+300}}","nbf":"{{now-300}}","iat":"{{now}}"}`); err != nil {
			return err
		}
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if v.ContentType != nil {
		header.Set("Content-Type", *v.ContentType)
	}
	if p.token != "" {
		header.Set("Authorization", "Bearer "+p.token)
	}
	got, err := p.request(ctx, "POST", address(at)+v.Query, header, []byte(expand(v.Body, values)))
	if err != nil {
		return err
	}
	p.status(got, "error", v.Expect.Status, v.Expect.Error)
	if v.Expect.Status == http.StatusUnauthorized || v.Expect.Status == http.StatusForbidden {
		p.room.bad++
		if challenge := got.header.Get("WWW-Authenticate"); v.Expect.Status == http.StatusUnauthorized && !strings.HasPrefix(challenge, "Bearer ") {
			p.fault("WWW-Authenticate is %q", challenge)
		}
	}
	if err := p.judge(ctx, sessions, v.ends()); err != nil {
		return err
	}
	return p.receipt(ctx, v, "logout", v.Expect.Status == http.StatusNoContent && !v.Same && len(v.ends()) > 0)
}

// arrives is how long a receipt may take: the sender is answered before.
const arrives = 10 * time.Second

// receipt wants one where something was done, and none where nothing was believed.
func (p *play) receipt(ctx context.Context, v vector, kind string, wanted bool) error {
	jti := claim(p.token, "jti")
	if jti == "" || v.At != "" || v.Same {
		return nil
	}
	found, err := p.receiptOf(ctx, jti)
	for began := time.Now(); wanted && found == nil && err == nil && time.Since(began) < arrives; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
			found, err = p.receiptOf(ctx, jti)
		}
	}
	if err != nil {
		return err
	}
	switch {
	case wanted && found == nil:
		p.fault("there is no receipt of it")
	case wanted && found["kind"] != kind:
		p.fault("its receipt says %v, and should say %s", found["kind"], kind)
	case !wanted && found != nil && v.Expect.Status >= 400 && v.Expect.Status != http.StatusNotFound && v.Expect.Stage != "replayed":
		p.fault("it was refused, and there is a receipt of it")
	}
	return nil
}

// loggedOut plays a step of back-channel logout.
func (p *play) loggedOut(ctx context.Context, v vector, first bool) error {
	sessions, err := p.stable(ctx, map[string]string{"ana-1": "sid-1", "ana-2": "sid-2", "ben": "sid-3"}, first || v.SignsIn)
	if err != nil {
		return err
	}
	if !v.Same { // {{jti}} is one per vector here: another token may have the same
		if p.token, err = p.mint(v, "logout+jwt", p.values(map[string]string{"sid": "sid-1"}), `{}`); err != nil {
			return err
		}
	}
	form := url.Values{"logout_token": {p.token}}
	for name, value := range v.Form {
		if form.Del(name); value != nil {
			form.Set(name, *value)
		}
	}
	got, err := p.request(ctx, "POST", p.base+"/sso/"+p.room.id+"/backchannel-logout", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
	if err != nil {
		return err
	}
	p.status(got, "error", v.Expect.Status, v.Expect.Error)
	if err := p.judge(ctx, sessions, v.ends()); err != nil {
		return err
	}
	return p.receipt(ctx, v, "logout", first && v.Expect.Status == http.StatusOK && len(v.ends()) > 0)
}

// framed plays a step of front-channel logout.
func (p *play) framed(ctx context.Context, v vector, first bool) error {
	sessions, err := p.stable(ctx, map[string]string{"ana-1": "sid-1", "ana-2": "sid-2", "ben": "sid-3"}, first)
	if err != nil {
		return err
	}
	// Another connection has somebody with the first sid, too.
	if p.shared.sessions["other"] == "" || p.room.dead["other"] {
		if p.shared.sessions["other"], err = p.signIn(ctx, p.shared, "carl", "sid-1"); p.prepared(err) != nil {
			return err
		}
	}
	sessions["other"] = p.shared.sessions["other"]
	at := map[string]string{"": p.room.id, "other": p.shared.id, "none": "0191aaaa-0000-7000-8000-00000000dead"}[v.At]
	query := expand(v.Query, p.values(map[string]string{"issuer-escaped": url.QueryEscape(p.provider.issuer())}))
	got, err := p.request(ctx, "GET", p.base+"/sso/"+at+"/frontchannel-logout?"+query, http.Header{"Accept": {"text/html"}}, nil)
	if err != nil {
		return err
	}
	p.status(got, "", v.Expect.Status, "")
	if origin, _, _ := strings.Cut(p.provider.base, p.provider.run); v.Expect.Status == http.StatusOK {
		policy, refused := got.header.Get("Content-Security-Policy"), got.header.Get("X-Frame-Options")
		if _, framers, _ := strings.Cut(policy, "frame-ancestors "); framers != origin || refused != "" {
			p.fault("Content-Security-Policy is %q, X-Frame-Options %q: pages of %s alone should show it in a frame", policy, refused, origin)
		}
	}
	return p.judge(ctx, sessions, v.ends())
}

// somebody provisions a person of a vector's own and signs them in.
func (p *play) somebody(ctx context.Context) (person, map[string]string, error) {
	p.done++
	name := fmt.Sprintf("person%d", p.done)
	who := person{name, name, name + "@example.com", "ext-" + p.run + "-" + name, "sub-" + name, ""}
	if err := p.prepared(p.provision(ctx, p.room, who)); err != nil {
		return person{}, nil, err
	}
	sessions, err := p.stable(ctx, map[string]string{name: "sid-" + name}, true)
	return who, sessions, err
}

// told plays a security event token, and what follows it under the same jti.
func (p *play) told(ctx context.Context, v vector) error {
	if v.Profile == "" {
		v.Profile = "standard"
	}
	who, _, err := p.somebody(ctx)
	if err != nil {
		return err
	}
	twin := ""
	if v.Twin != "" {
		if twin, err = p.twin(ctx, who); p.prepared(err) != nil {
			return err
		}
	}
	remote, id, err := p.streamOf(ctx, v)
	if p.prepared(err) != nil {
		return err
	}
	p.number++
	values := p.values(map[string]string{
		"audience2": audience(remote) + "/2", "audience": audience(remote), "email": who.email, "EMAIL": strings.ToUpper(who.name) + "@Example.COM", "sub": who.sub,
		"external": who.external, "stream": remote, "stranger": "nobody-" + who.name + "@example.com",
	})
	if err := p.tell(ctx, v, who.name, remote, id, values); err != nil {
		return err
	}
	for _, step := range v.Then {
		before, err := p.newest(ctx)
		if p.prepared(err) != nil {
			return err
		}
		if err := p.tell(ctx, step, who.name, remote, "", values); err != nil {
			return err
		}
		if after, err := p.newest(ctx); p.prepared(err) != nil {
			return err
		} else if after != before {
			p.fault("a jti that was used before has a second effect")
		}
	}
	if twin == "" {
		return nil
	}
	lives, err := p.alive(ctx, twin)
	if err == nil && !lives {
		p.fault("the session of somebody else with the same e-mail address is dead, and should be alive")
	}
	return err
}

// twin signs in somebody of the other connection who has a person's e-mail address, and gives their cookie.
func (p *play) twin(ctx context.Context, of person) (string, error) {
	name := of.name + "-twin"
	if err := p.provision(ctx, p.shared, person{name, name, of.email, of.external + "-twin", "sub-" + name, ""}); err != nil {
		return "", err
	}
	return p.signIn(ctx, p.shared, name, "sid-"+name)
}

// tell delivers a token about somebody, and looks at what it does; without a stream's id, at what it does to them.
func (p *play) tell(ctx context.Context, v vector, name, remote, id string, values map[string]string) error {
	sessions, err := p.stable(ctx, map[string]string{name: "sid-" + name}, v.SignsIn)
	if err != nil {
		return err
	}
	v.Header, v.Claims = v.Token.Header, v.Token.Claims
	if p.token, err = p.mint(v, "", values, `{}`); err != nil {
		return err
	}
	deliver := func() (answer, error) {
		address, authorization := p.provider.delivery(remote)
		to, err := url.Parse(address)
		if err != nil {
			return answer{}, err
		}
		return p.request(ctx, "POST", p.base+to.Path, http.Header{
			"Content-Type": {"application/secevent+jwt"}, "Accept": {"application/json"}, "Authorization": {authorization},
		}, []byte(p.token))
	}
	if p.door == "ssf_poll" {
		deliver = func() (answer, error) { return p.polled(ctx, v, remote) }
	}
	before := p.room.dead[name]
	got, err := deliver()
	if err != nil {
		return err
	}
	if got.status == 0 { // it waits for the key, as it should
		return p.judge(ctx, sessions, nil)
	}
	p.status(got, "err", v.Expect.Status, v.Expect.Err)
	var ends bool
	_ = json.Unmarshal(v.Expect.Ends, &ends)
	dead := []string{}
	if ends || before {
		dead = append(dead, name)
	}
	if ends || v.Expect.Status != http.StatusAccepted || v.Expect.Outcome == "nobody" {
		if err := p.judge(ctx, sessions, dead); err != nil {
			return err
		}
	}
	if id == "" {
		return nil
	}
	return p.afterwards(ctx, v, id, deliver)
}

// afterwards looks at what a token did, and delivers it once more.
func (p *play) afterwards(ctx context.Context, v vector, stream string, deliver func() (answer, error)) error {
	jti := claim(p.token, "jti")
	receipt, err := p.receiptOf(ctx, jti)
	if err != nil {
		return err
	}
	silent := v.Expect.Status != http.StatusAccepted || v.Expect.Verified || v.Expect.Recorded || v.Expect.Discarded || v.Expect.Stream != ""
	switch {
	case jti == "":
	case silent && receipt != nil:
		p.fault("there is a receipt (%v), and should be none", receipt["outcome"])
	case !silent && receipt == nil:
		p.fault("there is no receipt of it")
	case !silent && v.Expect.Kind != "" && receipt["kind"] != v.Expect.Kind:
		p.fault("its receipt says %v, and should say %s", receipt["kind"], v.Expect.Kind)
	case !silent && v.Expect.Outcome != "" && receipt["outcome"] != v.Expect.Outcome:
		p.fault("its outcome is %v, and should be %s", receipt["outcome"], v.Expect.Outcome)
	}
	if v.Expect.Stream != "" {
		found, err := p.ask(ctx, "GET", "/streams/"+stream, nil)
		if p.prepared(err) != nil {
			return err
		}
		if found["status"] != v.Expect.Stream {
			p.fault("the stream is %v, and should be %s", found["status"], v.Expect.Stream)
		}
	}
	if v.Expect.Status != http.StatusAccepted {
		return nil
	}
	before, err := p.receipts(ctx, p.room, p.door)
	if p.prepared(err) != nil {
		return err
	}
	got, err := deliver()
	if err != nil {
		return err
	}
	after, err := p.receipts(ctx, p.room, p.door)
	if p.prepared(err) != nil {
		return err
	}
	if got.status != http.StatusAccepted || len(before) > 0 && (len(after) == 0 || after[0]["id"] != before[0]["id"]) {
		p.fault("the same token again is answered %d, or has a second effect", got.status)
	}
	return nil
}

// streamOf gives a stream of a profile, as the transmitter and as the gateway call it.
func (p *play) streamOf(ctx context.Context, v vector) (remote, id string, err error) {
	place := v.Profile + strings.Join(v.Critical, "")
	if known := p.room.streams[place]; known != "" {
		found, err := p.ask(ctx, "GET", "/streams/"+known, nil)
		remote, _ = found["stream_id"].(string)
		return remote, known, err
	}
	p.provider.lock.Lock()
	p.provider.critical = v.Critical
	p.provider.lock.Unlock()
	made, err := p.ask(ctx, "POST", "/connections/"+p.room.id+"/streams", map[string]any{
		"delivery": strings.TrimPrefix(p.door, "ssf_"), "profile": v.Profile, "issuer": p.provider.issuer(), "access": map[string]any{"method": "bearer", "secret": p.provider.secret},
	})
	if err != nil {
		return "", "", err
	}
	remote, _ = made["stream_id"].(string)
	id, _ = made["id"].(string)
	p.room.streams[place] = id
	return remote, id, nil
}

// values are what every door's placeholders stand for.
func (p *play) values(more map[string]string) map[string]string {
	all := map[string]string{
		"jti": fmt.Sprintf("%s-%d-%s", p.run, len(p.results), strconv.Itoa(p.number)), "issuer": p.provider.issuer(), "alias": p.provider.base + "/custom", "client": clientID, "kid": "rsa-1",
		"email": "ana.ito@example.com", "sub": "sub-ana", "external": "00uana",
	}
	for name, value := range more {
		all[name] = value
	}
	return all
}
