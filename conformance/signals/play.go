package signals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/conformance/signals/vectors"
)

// mostBad is how many wrong tokens a connection is sent: beyond, a gateway may rightly slow a pest down.
const mostBad = 20

var errSkip = errors.New("skipped")

// play is one vector under way.
type play struct {
	*suite
	door   string
	room   *room
	faults []string
	reason string
	setup  error
	token  string // of the step before
	number int
}

func (p *play) fault(format string, arguments ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, arguments...))
}

// prepared passes on an error that is the suite's own.
func (p *play) prepared(err error) error {
	if err != nil && p.setup == nil {
		p.setup = err
	}
	return err
}

func (p *play) vector(ctx context.Context, v vector) error {
	if v.At == "theirs" || v.Twin == "workspace" {
		p.reason = "it needs a second workspace, which one token does not reach"
		return errSkip
	}
	if v.Kind != "" {
		p.reason = "people sign in through a connection of its kind at its own provider alone"
		return errSkip
	}
	var err error
	if p.room, err = p.enter(ctx, v.Quirks); p.prepared(err) != nil {
		return err
	}
	if p.door == "ssf_push" || p.door == "ssf_poll" {
		return p.told(ctx, v)
	}
	for number, step := range append([]vector{v}, v.Then...) {
		switch p.door {
		case "universal_logout":
			err = p.revoked(ctx, step)
		case "front_channel_logout":
			err = p.framed(ctx, step, number == 0)
		default:
			err = p.loggedOut(ctx, step, number == 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enter gives a connection with its people, a fresh one when the last was sent many wrong tokens.
func (p *play) enter(ctx context.Context, quirks []string) (*room, error) {
	place := p.door + " " + strings.Join(quirks, " ")
	if known := p.current[place]; known != nil && known.bad < mostBad {
		return known, nil
	}
	made, err := p.open(ctx, quirks)
	if err != nil {
		return nil, err
	}
	p.current[place] = made
	people := []person{{"ana", "ana@example.com", "Ana.Ito@Example.com", "00uana", "sub-ana", ""}, {"ben", "ben", "shared@example.com", "00uben", "sub-ben", ""}}
	if p.door == "universal_logout" {
		people = append(people, person{"bea", "bea", "shared@example.com", "00ubea", "sub-bea", ""}, person{"noe", "noe@example.com", "", "00unoe", "sub-noe", ""})
	}
	if !strings.HasSuffix(p.door, "_logout") {
		people = nil // each vector has one of its own
	}
	for _, who := range people {
		who.userName = strings.TrimSuffix(who.userName, "@example.com") + map[bool]string{true: "@example.com"}[strings.Contains(who.userName, "@")]
		if err := p.provision(ctx, made, who); err != nil {
			return nil, err
		}
	}
	if p.door != "back_channel_logout" && p.shared == nil {
		other, err := p.open(ctx, nil)
		if err != nil {
			return nil, err
		}
		if err := p.provision(ctx, other, person{"carl", "carl", "carl@example.com", "00ucarl", "sub-carl", ""}); err != nil {
			return nil, err
		}
		p.shared = other
	}
	return made, nil
}

// stable signs everybody in who never was, or again who is no longer, and gives their cookies by name.
func (p *play) stable(ctx context.Context, sids map[string]string, again bool) (map[string]string, error) {
	all := map[string]string{}
	for session, sid := range sids {
		if p.room.sessions[session] == "" || p.room.dead[session] && again {
			name, _, _ := strings.Cut(session, "-")
			cookie, err := p.signIn(ctx, p.room, name, sid)
			if p.prepared(err) != nil {
				return nil, err
			}
			p.room.sessions[session], p.room.dead[session] = cookie, false
		}
		all[session] = p.room.sessions[session]
	}
	return all, nil
}

// judge compares whose sessions died with whose should have.
func (p *play) judge(ctx context.Context, sessions map[string]string, ends []string) error {
	for session, cookie := range sessions {
		lives, err := p.alive(ctx, cookie)
		if err != nil {
			return err
		}
		p.room.dead[session] = !lives
		if should := !slices.Contains(ends, session); lives != should {
			p.fault("the session of %s is %s, and should be %s", session, word(lives), word(should))
		}
	}
	return nil
}

func word(lives bool) string {
	if lives {
		return "alive"
	}
	return "dead"
}

// status compares an answer's status and what it is called.
func (p *play) status(got answer, member string, status int, name string) {
	if got.status != status {
		p.fault("answered %d, and should be %d (%.200s)", got.status, status, got.body)
	} else if name != "" && got.text(member) != name {
		p.fault("%s is %q, and should be %q", member, got.text(member), name)
	}
	if got.header.Get("Cache-Control") != "no-store" {
		p.fault("Cache-Control is %q, and should be no-store", got.header.Get("Cache-Control"))
	}
}

// receiptOf looks for the receipt of a token.
func (p *play) receiptOf(ctx context.Context, jti string) (map[string]any, error) {
	found, err := p.receipts(ctx, p.room, p.door)
	if p.prepared(err) != nil {
		return nil, err
	}
	for _, one := range found {
		if one["token_id"] == jti {
			return one, nil
		}
	}
	return nil, nil
}

// mint makes the token of a vector; claims are those of one that has none.
func (p *play) mint(v vector, kind string, values map[string]string, claims string) (string, error) {
	header := map[string]any{}
	if kind != "" {
		header["typ"] = kind
	}
	for name, value := range expandAll(v.Header, values) {
		header[name] = value
	}
	payload := v.Payload
	if payload == "" {
		if payload = string(v.Claims); payload == "" {
			payload = claims
		}
	}
	return p.provider.keys.Sign(vectors.Token{
		Signing: v.Signing, Header: header, RawHeader: expand(v.RawHeader, values), Payload: expand(payload, values), Tamper: v.Tamper,
	})
}

// claim reads a claim of a token without judging it.
func claim(compact, name string) string {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := decode(parts[1])
	if err != nil {
		return ""
	}
	var claims map[string]any
	_ = json.Unmarshal(text, &claims)
	value, _ := claims[name].(string)
	return value
}
