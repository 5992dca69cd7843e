package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/conformance/partstest"
	"postern/scim/replay"
)

func text(t *testing.T, report replay.Report) string {
	t.Helper()
	var written bytes.Buffer
	must(t, report.WriteText(&written))
	return written.String()
}

func TestWhatHappenedHappensAgain(t *testing.T) {
	partstest.Long(t, "hundreds of requests, twice") // of those refused alike in a row the journal keeps a sample
	w := open(t)
	w.other.traffic(t, 50)
	w.acme.traffic(t, 1000)
	before := w.count(t)
	progress := 0
	report := w.acme.replay(t, func(o *replay.Options) {
		o.Progress = func(done, total int) {
			if progress++; done != progress || total < 800 {
				t.Errorf("%d of %d", done, total)
			}
		}
	})
	if !report.Same() || report.Played < 750 || len(report.Seeded) != 0 || report.Statuses["201"] == 0 || report.Statuses["409"] == 0 || report.Statuses["404"] == 0 {
		t.Errorf("%s", text(t, report))
	}
	for _, skipped := range report.Skipped {
		if skipped.Status != 400 && skipped.Status != 412 {
			t.Errorf("skipped %+v", skipped)
		}
	}
	if after := w.count(t); after != before {
		t.Errorf("the live tables had %s rows and have %s", before, after)
	}
	again := w.acme.replay(t, func(o *replay.Options) { o.To = report.To })
	if diff := cmp.Diff(report, again); diff != "" {
		t.Error(diff)
	}
	var written bytes.Buffer
	must(t, report.WriteJSON(&written))
	var back replay.Report
	must(t, json.Unmarshal(written.Bytes(), &back))
	if !strings.Contains(text(t, report), "no difference") || back.Played != report.Played {
		t.Errorf("%s", text(t, report))
	}
}

func TestWhatWasAlteredByHandShows(t *testing.T) {
	w := open(t)
	h := &w.acme
	_, ana := h.send(t, "POST", "/Users", `{"userName":"ana","title":"Chief"}`)
	_, eve := h.send(t, "POST", "/Users", `{"userName":"eve"}`)
	_, bob := h.send(t, "POST", "/Users", `{"userName":"bob"}`)
	_, sales := h.send(t, "POST", "/Groups", `{"displayName":"Sales","members":[{"value":"`+ana+`"},{"value":"`+bob+`"}]}`)
	_, empty := h.send(t, "POST", "/Groups", `{"displayName":"Empty"}`)
	if report := h.replay(t); !report.Same() {
		t.Fatalf("%s", text(t, report))
	}
	w.execute(t, `update users set display_name = 'Ana', attributes = jsonb_set(attributes, '{title}', '"Boss"') where id = $1`, ana)
	w.execute(t, `update users set deleted = now(), active = false where id = $1`, eve)
	w.execute(t, `delete from team_members where team_id = $1 and user_id = $2`, sales, bob)
	w.execute(t, `insert into team_members (workspace_id, team_id, user_id) values ($1, $2, $3)`, h.workspace, empty, bob)
	w.execute(t, `update teams set display_name = 'Nothing' where id = $1`, empty)
	report := h.replay(t)
	want := []replay.Difference{
		{Kind: "user", ID: id(t, ana), Name: "ana", Field: "displayName", Live: "Ana", Replayed: ""},
		{Kind: "user", ID: id(t, ana), Name: "ana", Field: "title", Live: `"Boss"`, Replayed: `"Chief"`},
		{Kind: "user", ID: id(t, eve), Name: "eve", Live: "missing", Replayed: "there"},
		{Kind: "group", ID: id(t, empty), Name: "Nothing", Field: "displayName", Live: "Nothing", Replayed: "Empty"},
		{Kind: "member", ID: id(t, sales), Name: "Sales", Field: bob, Live: "missing", Replayed: "there"},
		{Kind: "member", ID: id(t, empty), Name: "Nothing", Field: bob, Live: "there", Replayed: "missing"},
	}
	if diff := cmp.Diff(want, report.Differences); diff != "" || len(report.Answers) != 0 {
		t.Errorf("%s\n%s", diff, text(t, report))
	}
}

func TestAChangedRuleShowsAsOtherAnswers(t *testing.T) {
	w := open(t)
	h := &w.acme
	_, ana := h.send(t, "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ana"}`)
	h.send(t, "PATCH", "/Users/"+ana, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)
	w.execute(t, `update connections set provisioning = '{"profile": "strict"}' where id = $1`, h.connection.ID)
	report := h.replay(t)
	if len(report.Answers) != 1 || report.Answers[0].Then != 200 || report.Answers[0].Now != 400 || report.Answers[0].Address != "/Users/"+ana || report.Answers[0].Detail == "" {
		t.Errorf("%s", text(t, report))
	}
	if len(report.Differences) != 1 || report.Differences[0].Field != "active" {
		t.Errorf("%s", text(t, report))
	}
	// What is refused then and made now has no live id: the request that made it names it.
	w.execute(t, `update connections set provisioning = '{}' where id = $1`, h.connection.ID)
	h.send(t, "POST", "/Users", `{"userName":"eve"}`)
	w.execute(t, `update provisioning_requests set status = 409, resource_id = null where workspace_id = $1 and body like '%eve%'`, h.workspace)
	first, second := h.replay(t), h.replay(t)
	if len(first.Answers) != 1 || len(first.Differences) != 1 || first.Differences[0].Replayed != "there" || first.Differences[0].ID != first.Answers[0].Entry {
		t.Errorf("%s", text(t, first))
	}
	second.To = first.To
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
}

// A stretch in the middle is played on what the journal tells of the time before it, and on what is
// older than the journal; what came later is not held against it.
func TestAStretchInTheMiddle(t *testing.T) {
	partstest.Long(t, "hundreds of requests, twice") // of those refused alike in a row the journal keeps a sample
	w := open(t)
	h := &w.acme
	h.traffic(t, 100)
	_, old := h.send(t, "POST", "/Users", `{"userName":"old","title":"Old"}`)
	_, sales := h.send(t, "POST", "/Groups", `{"displayName":"Sales","members":[{"value":"`+old+`"}]}`)
	_, gone := h.send(t, "POST", "/Users", `{"userName":"gone"}`)
	w.execute(t, `delete from provisioning_requests where workspace_id = $1`, h.workspace)
	h.traffic(t, 100)
	from := time.Now()
	h.send(t, "PATCH", "/Users/"+old, `{"Operations":[{"op":"replace","path":"title","value":"New"}]}`)
	_, ana := h.send(t, "POST", "/Users", `{"userName":"ana"}`)
	h.send(t, "PATCH", "/Groups/"+sales, `{"Operations":[{"op":"add","path":"members","value":[{"value":"`+ana+`"}]}]}`)
	h.send(t, "DELETE", "/Users/"+gone, "")
	h.send(t, "POST", "/Users", `{"userName":"gone"}`)
	h.traffic(t, 50)
	to := time.Now()
	h.send(t, "PATCH", "/Users/"+ana, `{"Operations":[{"op":"replace","path":"title","value":"Later"}]}`)
	h.traffic(t, 50)

	report := h.replay(t, func(o *replay.Options) { o.From, o.To, o.Connection = from, to, h.connection.ID.String() })
	if !report.Same() || report.Baseline == 0 || report.Played < 40 || report.ChangedAfterward == 0 {
		t.Errorf("%s", text(t, report))
	}
	names := map[string]bool{}
	for _, seeded := range report.Seeded {
		names[seeded.Name] = true
	}
	if !names["old"] || !names["gone"] || !names["Sales"] || names["ana"] {
		t.Errorf("%s", text(t, report))
	}
}

func TestAnInterruptLeavesNothingBehind(t *testing.T) {
	partstest.Long(t, "hundreds of requests, twice") // of those refused alike in a row the journal keeps a sample
	w := open(t)
	w.acme.traffic(t, 40)
	before := w.count(t)
	for _, at := range []int{1, 20} {
		ctx, interrupt := context.WithCancel(t.Context())
		_, err := replay.Run(ctx, replay.Options{Database: w.url, Workspace: "acme", Connection: "IdP", Progress: func(done, _ int) {
			if done == at {
				interrupt()
			}
		}})
		interrupt()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		w.clean(t)
	}
	if after := w.count(t); after != before {
		t.Errorf("the live tables had %s rows and have %s", before, after)
	}
	// What a killed process left goes with the next replay.
	w.execute(t, `create schema postern_replay_left`)
	w.execute(t, `create table postern_replay_left.users (id uuid)`)
	w.acme.replay(t)
}

func TestWhatCannotBePlayed(t *testing.T) {
	w := open(t)
	for name, options := range map[string]replay.Options{
		"no such workspace":    {Database: w.url, Workspace: "nobody", Connection: "IdP"},
		"no such connection":   {Database: w.url, Workspace: "acme", Connection: "nobody"},
		"somebody else's":      {Database: w.url, Workspace: "acme", Connection: w.other.connection.ID.String()},
		"backwards":            {Database: w.url, Workspace: "acme", Connection: "IdP", From: time.Now(), To: time.Now().Add(-time.Hour)},
		"no database":          {Database: "postgres://127.0.0.1:1/x", Workspace: "acme", Connection: "IdP"},
		"no address at all":    {Database: "\x00", Workspace: "acme", Connection: "IdP"},
		"a database elsewhere": {Database: strings.Replace(w.url, "/test_", "/none_", 1), Workspace: "acme", Connection: "IdP"},
	} {
		t.Run(name, func(t *testing.T) {
			if report, err := replay.Run(t.Context(), options); err == nil {
				t.Errorf("%s", text(t, report))
			}
		})
	}
	if report := w.acme.replay(t); !report.Same() || report.Played != 0 {
		t.Errorf("an empty journal: %s", text(t, report))
	}
}
