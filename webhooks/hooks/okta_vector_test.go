package hooks_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"postern/webhooks/hooks"
)

// TestOktaVectors runs testdata/okta.json: what each type means, and which keys open nothing.
func TestOktaVectors(t *testing.T) {
	w := newWorld(t)
	made := w.create(t, w.acme, hooks.NewHook{Kind: hooks.Okta})
	text, err := os.ReadFile("testdata/okta.json")
	must(t, err)
	var vectors []struct {
		Name, Type, User, Login, Key, Kind string
		Expect                             int
	}
	must(t, json.Unmarshal(text, &vectors))
	keys := map[string]map[string]string{
		"right": {"Authorization": made.Secret.Reveal()}, "none": {}, "wrong": {"Authorization": "wrong"}, "bearer": {"Authorization": "Bearer " + made.Secret.Reveal()},
	}
	for i, one := range vectors {
		if one.Login == "" {
			one.Login = one.User + "@example.org"
		}
		before := len(w.Receipts(t, w.acme.workspace.ID))
		id := fmt.Sprint("v", i)
		if status := w.post(t, w.service.URL(made.Hook), oktaBody(id, oktaEvent(id, one.Type, one.User, one.Login, "00u-ben", time.Now())), keys[one.Key]); status != one.Expect {
			t.Errorf("%s: %d, want %d", one.Name, status, one.Expect)
		}
		got := w.Receipts(t, w.acme.workspace.ID)[before:]
		if one.Kind == "" && len(got) != 0 || one.Kind != "" && (len(got) != 1 || string(got[0].Kind) != one.Kind) {
			t.Errorf("%s: %+v", one.Name, got)
		}
	}
	if w.signedIn(t, w.acme, w.acme.ana) || !w.signedIn(t, w.acme, w.acme.ben) || len(w.Receipts(t, w.globex.workspace.ID)) != 0 {
		t.Error("the wrong sessions ended")
	}
}
