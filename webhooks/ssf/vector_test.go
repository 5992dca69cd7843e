package ssf_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/signals/vectors"
	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/signals"
	"postern/webhooks/ssf"
)

// vector is a token, right or wrong, and what a receiver makes of it.
type vector struct {
	Name, Description string
	Profile           ssf.Profile
	Critical          []string
	Twin              string // who else has the person's e-mail address: somebody of another connection, or of another workspace
	SignsIn           bool   `json:"signs_in"` // the person signs in again before it
	Token             struct{ Header, Claims map[string]any }
	Payload           string // instead of claims
	Signing           string
	Expect            struct {
		Status    int
		Err       string
		Kind      signals.Kind
		Outcome   signals.Outcome
		Ends      bool // the person's sessions
		Quirks    []string
		Verified  bool
		Recorded  bool // as an event without a receipt
		Discarded bool
		Stream    ssf.Status `json:"stream_status"`
	}
	Then []vector // under the same jti
}

func TestVectors(t *testing.T) {
	var all []vector
	must(t, json.Unmarshal(vectors.SharedSignals, &all))
	w := newWorld(t)
	streams := map[string]ssf.Stream{}
	for i, v := range all {
		if v.Profile == "" {
			v.Profile = ssf.Standard
		}
		// Each has a person of its own, so that no incident is another telling of one before.
		name := fmt.Sprintf("person%03d", i)
		user := w.person(t, &w.acme, name, name+"@example.com")
		w.person(t, &w.globex, name, "other-"+name+"@example.com")
		place := string(v.Profile) + strings.Join(v.Critical, "")
		if _, there := streams[place]; !there {
			w.tx.metadata["critical_subject_members"] = v.Critical
			wanted := w.wanted(w.acme, ssf.Push)
			wanted.Profile = v.Profile
			streams[place] = w.create(t, w.acme, wanted)
		}
		stream := streams[place]
		t.Run(v.Name, func(t *testing.T) {
			at, twin := w.twin(t, v, name)
			jti := core.NewID().String()
			for _, step := range append([]vector{v}, v.Then...) {
				if step.SignsIn {
					w.signIn(t, &w.acme, user)
				}
				w.try(t, step, stream, name, user.ID, jti)
			}
			if v.Twin != "" && !w.signedIn(t, at, twin) {
				t.Error("somebody else with the same e-mail address was logged out")
			}
		})
	}
	if len(w.Receipts(t, w.globex.workspace.ID)) != 0 || !w.signedIn(t, w.globex, w.globex.ana) {
		t.Error("a token for one workspace did something in another")
	}
}

// twin is somebody else with the same e-mail address.
func (w *world) twin(t *testing.T, v vector, name string) (at house, user directory.User) {
	switch v.Twin {
	case "":
		return house{}, directory.User{}
	case "workspace":
		at = w.globex
	case "connection":
		at = house{workspace: w.acme.workspace, sessions: map[core.ID]seal.Secret{}}
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
			at.connection, err = w.Directory.CreateConnection(ctx, tx, cause(), at.workspace.ID, directory.NewConnection{Name: "Other", Kind: directory.Generic, Issuer: w.tx.issuer()})
			return err
		})
	default:
		t.Fatalf("a twin of another %s", v.Twin)
	}
	user = w.person(t, &at, name+"-twin", name+"@example.com")
	return at, user
}

func (w *world) try(t *testing.T, v vector, stream ssf.Stream, name string, user core.ID, jti string) {
	remote := w.tx.streams[stream.RemoteID]
	expand := strings.NewReplacer(
		"{{issuer}}", w.tx.issuer(), "{{audience2}}", w.tx.audience(remote.ID)+"/2", "{{audience}}", w.tx.audience(remote.ID), "{{jti}}", jti,
		"{{email}}", name+"@example.com", "{{EMAIL}}", strings.ToUpper(name)+"@Example.COM", "{{sub}}", "sub-"+name, "{{external}}", "ext-"+name,
		"{{stream}}", remote.ID, "{{stranger}}", "other-"+name+"@example.com",
	)
	claims := filled(v.Token.Claims, expand)
	if v.Payload != "" {
		claims = json.RawMessage(strings.ReplaceAll(expand.Replace(v.Payload), `"{{now}}"`, strconv.FormatInt(time.Now().Unix(), 10)))
	}
	token := w.tx.sign(filled(v.Token.Header, expand).(map[string]any), claims, v.Signing)
	before := map[core.ID]bool{}
	for _, one := range w.Receipts(t, w.acme.workspace.ID) {
		before[one.ID] = true
	}
	accepted := len(w.events(t, w.acme, core.SignalAccepted))
	status, body := pushTo(t, remote.URL, remote.Header, token)
	if status != v.Expect.Status {
		t.Fatalf("%d %s", status, body)
	}
	var fresh []signals.Kept
	for _, one := range w.Receipts(t, w.acme.workspace.ID) {
		if !before[one.ID] {
			fresh = append(fresh, one)
		}
	}
	if status != 202 {
		var said map[string]string
		must(t, json.Unmarshal([]byte(body), &said))
		if said["err"] != v.Expect.Err || said["description"] == "" || len(said) != 2 {
			t.Errorf("%s", body)
		}
		if len(fresh) != 0 || !w.signedIn(t, w.acme, directory.User{ID: user}) {
			t.Error("a refused token did something")
		}
		return
	}
	var quirks []string
	for _, one := range fresh {
		quirks = append(quirks, one.Evidence.Quirks...)
		if v.Expect.Kind != "" && one.Kind != v.Expect.Kind || v.Expect.Outcome != "" && one.Outcome != v.Expect.Outcome || one.Door != signals.SSFPush {
			t.Errorf("the receipt: %s %s by %s: %s", one.Kind, one.Outcome, one.Door, one.Note)
		}
		if one.Evidence.TokenID != jti || one.Evidence.Issuer != w.tx.issuer() || one.Evidence.Type == "" {
			t.Errorf("the evidence: %+v", one.Evidence)
		}
		if stream.Profile == ssf.Okta && time.Since(one.Occurred).Abs() > time.Hour {
			t.Errorf("occurred %v", one.Occurred)
		}
	}
	if nothing := v.Expect.Verified || v.Expect.Stream != "" || v.Expect.Recorded || v.Expect.Discarded; nothing != (len(fresh) == 0) {
		t.Errorf("%d receipts", len(fresh))
	}
	for _, quirk := range v.Expect.Quirks {
		if !slices.Contains(quirks, quirk) {
			t.Errorf("quirks %v lack %s", quirks, quirk)
		}
	}
	if stream.Profile == ssf.Standard && len(v.Expect.Quirks) == 0 && len(quirks) != 0 {
		t.Errorf("quirks %v of a token that has none", quirks)
	}
	if v.Expect.Ends == w.signedIn(t, w.acme, directory.User{ID: user}) && (v.Expect.Ends || v.Expect.Outcome == signals.Nobody) {
		t.Errorf("signed in: %v", !v.Expect.Ends)
	}
	if v.Expect.Recorded && len(w.events(t, w.acme, core.SignalAccepted)) != accepted+1 {
		t.Error("not on record")
	}
	now := w.stream(t, w.acme, stream.ID)
	if v.Expect.Verified && (now.Verified == nil || time.Since(*now.Verified) > time.Minute) {
		t.Error("not verified")
	}
	if v.Expect.Stream != "" && now.Status != v.Expect.Stream {
		t.Errorf("the stream is %s", now.Status)
	}
	// The same token again is answered the same and has no second effect.
	if status, body := pushTo(t, remote.URL, remote.Header, token); status != 202 || len(w.Receipts(t, w.acme.workspace.ID)) != len(before)+len(fresh) {
		t.Errorf("again: %d %s, %d receipts", status, body, len(w.Receipts(t, w.acme.workspace.ID))-len(before))
	}
}

// filled puts values in the place of placeholders; a time alone becomes a number.
func filled(value any, expand *strings.Replacer) any {
	switch value := value.(type) {
	case string:
		if rest, ok := strings.CutPrefix(value, "{{now"); ok {
			rest = strings.TrimSuffix(rest, "}}")
			if rest == "_ms" {
				return time.Now().UnixMilli()
			}
			offset, _ := strconv.Atoi(rest)
			return time.Now().Unix() + int64(offset)
		}
		return expand.Replace(value)
	case map[string]any:
		out := map[string]any{}
		for name := range maps.Keys(value) {
			out[expand.Replace(name)] = filled(value[name], expand)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, one := range value {
			out[i] = filled(one, expand)
		}
		return out
	}
	return value
}
