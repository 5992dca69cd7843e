package transmitter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
)

// What is told by a SCIM event has the form of RFC 9967 §2.4: exactly one of attributes and data where the type ends
// with notice, and nothing where it does not.
func TestSCIMEventsHaveTheirPayload(t *testing.T) {
	user := core.Target{Kind: "user", ID: core.NewID(), Name: "ana"}
	seen := map[string]bool{}
	for _, kind := range followed() {
		event := core.NewEvent(kind, core.NewID(), core.NewCause(core.System, time.Now()), time.Now(), user).With("changed", "userName,name.familyName,role,attributes")
		for _, one := range tellings(event, false) {
			if !strings.HasPrefix(one.uri, provisioning) {
				continue
			}
			seen[one.uri] = true
			body := one.body(event)
			names, listed := body["attributes"].([]string)
			if strings.HasSuffix(one.uri, ":notice") != listed || listed && (len(names) == 0 || len(body) != 1) || !listed && len(body) != 0 {
				t.Errorf("%s: %v", kind, body)
			}
		}
	}
	for _, uri := range SCIMEvents() {
		if !seen[uri] || !slices.Contains(Supported(), uri) {
			t.Errorf("%s is never told", uri)
		}
	}
	if len(seen) != len(SCIMEvents()) {
		t.Errorf("%v", seen)
	}
}
