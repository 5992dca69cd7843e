package console_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/core/policies"
	"postern/core/rotation"
)

// TestRotationsAreToldAsTheyGo: whoever may use an account is told what its rotation does, administrators of all, and
// nobody else of anything.
func TestRotationsAreToldAsTheyGo(t *testing.T) {
	w := newWorld(t)
	id := w.rotated(t, w.wiki, rotation.StateStored)
	since := fmt.Sprint(time.Now().UnixMicro())
	wiki := "/rotations/stream?after=" + since + "&account=" + w.wiki.ID.String()
	for _, test := range []struct {
		who, path string
		status    int
	}{
		{"eve", wiki, 404}, {"ana", "/rotations/stream", 403}, {"eve", "/rotations", 403}, {"", "/rotations", 303}, {"zoe", "/rotations", 200},
		{"zoe", "/rotations/stream?account=x", 400}, {"gus", "/rotations?before=" + id.String(), 404},
	} {
		if answer, _ := w.ask(t, test.who, http.MethodGet, test.path, nil); answer.StatusCode != test.status {
			t.Errorf("%s %s: %d, want %d", test.who, test.path, answer.StatusCode, test.status)
		}
	}
	streams := map[string]func(string) string{
		"zoe": w.listen(t, "zoe", "/rotations/stream?after="+since), "ben": w.listen(t, "ben", wiki),
	}
	for _, until := range streams {
		until("retry")
	}
	w.advance(t, id, rotation.StateArmed)
	for who, until := range streams {
		if got := until("At the app"); !strings.Contains(got, "event: rotation") || strings.Contains(got, "Next password sealed") {
			t.Errorf("%s: %s", who, got)
		}
	}
	w.advance(t, id, rotation.StateDone)
	for who, until := range streams {
		if got := until("11.0 s"); !strings.Contains(got, `data-said="Wiki team-wiki: Done"`) {
			t.Errorf("%s: %s", who, got)
		}
	}
	w.expect(t, "zoe", "/rotations", 200, []string{"Nothing is under way", "team-wiki", "11.0 s"}, []string{"globex"})
	w.expect(t, "gus", "/rotations", 200, nil, []string{"team-wiki"})
}

// TestEveryTriggerHasWords: whichever policy rotated a password, its reader is told which.
func TestEveryTriggerHasWords(t *testing.T) {
	w := newWorld(t)
	id := w.rotated(t, w.wiki, rotation.StateStored)
	said := map[string]policies.Trigger{}
	for _, trigger := range policies.Triggers {
		if _, err := w.db.Exec(t.Context(), `update rotations set reason = $3 where workspace_id = $1 and id = $2`, w.acme.ID, id, string(trigger)); err != nil {
			t.Fatal(err)
		}
		words := regexp.MustCompile(`<td>([A-Z][a-z -]+)(?:<br>|</td>)`).FindStringSubmatch(w.expect(t, "zoe", "/rotations", 200, []string{"team-wiki"}, nil))
		if len(words) != 2 {
			t.Fatalf("%s has no words", trigger)
		}
		if other, same := said[words[1]]; same {
			t.Errorf("%s and %s are both %q", trigger, other, words[1])
		}
		said[words[1]] = trigger
	}
}

func TestARotationShowsWhatBecameOfThePages(t *testing.T) {
	w := newWorld(t)
	w.rotated(t, w.wiki, rotation.StateBlocked)
	w.expect(t, "zoe", "/accounts/"+w.wiki.ID.String(), 200, []string{"<del>the field user</del>", "<ins>the field who</ins>"}, nil)
}
