package gateway

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/rotation"
)

// Every connector has a check of its settings, which refuses what it has no setting for.
func TestEveryConnectorChecksItsSettings(t *testing.T) {
	g := &Gateway{config: Config{Roles: []string{RoleWorker}}}
	made, err := g.connectors()
	partstest.Need(t, "browser", err)
	if known, checked := slices.Sorted(maps.Keys(made)), slices.Sorted(maps.Keys(settings)); !slices.Equal(known, checked) || len(kinds) != len(made) {
		t.Errorf("connectors %v, settings of %v, %d kinds", known, checked, len(kinds))
	}
	for name, one := range made {
		if want, got := rotation.Capabilities(one, nil), rotation.Capabilities(kinds[name], nil); !slices.Equal(want, got) {
			t.Errorf("%s can %v, and is said to %v", name, want, got)
		}
	}
	for name, check := range settings {
		if err := check(json.RawMessage(`{"misspelt": 1}`)); core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != "settings" {
			t.Errorf("%s: %v", name, err)
		}
		if err := check(json.RawMessage(`{}`)); err != nil && name != "http" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
