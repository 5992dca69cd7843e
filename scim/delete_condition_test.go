package scim_test

import (
	"sync"
	"testing"

	"postern/core/directory"
)

// A change and a deletion that go by the same version, at the same time: one gets through.
func TestDeletingWhatChangesMeanwhile(t *testing.T) {
	h := open(t, directory.Okta).acme
	for range 10 {
		for path, body := range map[string]string{
			"/Users/" + h.join(t, "ana"):  `{"Operations":[{"op":"replace","path":"title","value":"Dr"}]}`,
			"/Groups/" + h.team(t, "Ops"): `{"Operations":[{"op":"replace","path":"displayName","value":"Op"}]}`,
		} {
			change := h.request(t, "PATCH", path, body, "If-Match", `W/"1"`)
			removal := h.request(t, "DELETE", path, "", "If-Match", `W/"1"`)
			var changed, removed int
			var both sync.WaitGroup
			both.Go(func() { changed = record(h, change).Code })
			both.Go(func() { removed = record(h, removal).Code })
			both.Wait()
			if (changed < 300) == (removed < 300) {
				t.Errorf("%s: the change was answered %d, the deletion %d", path, changed, removed)
			}
			if removed != 204 {
				h.call(t, "DELETE", path, "").want(t, 204)
			}
		}
	}
}
