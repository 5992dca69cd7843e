package transmitter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/signals"
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

// What an identity provider said of a person's own credential is told on as it was said.
func TestWhatWasSaidOfACredentialIsToldOn(t *testing.T) {
	users := []core.Target{{Kind: "user", ID: core.NewID()}, {Kind: "user", ID: core.NewID()}, {Kind: "connection", ID: core.NewID()}}
	said := func(kind signals.Kind, outcome signals.Outcome, facts ...string) []told {
		event := core.NewEvent(core.SignalAccepted, core.NewID(), core.NewCause(core.System, time.Now()), time.Now(), users...).
			With("kind", string(kind)).With("outcome", string(outcome))
		for i := 0; i < len(facts); i += 2 {
			event = event.With(facts[i], facts[i+1])
		}
		return tellings(event, false)
	}
	for _, one := range []struct {
		told                     []told
		uri, credential, changed string
	}{
		{said(signals.CredentialChanged, signals.Done, "credential_type", "fido2-roaming", "change_type", "revoke"), credentialChange, "fido2-roaming", "revoke"},
		{said(signals.CredentialChanged, signals.Done), credentialChange, "password", "update"},
		{said(signals.CredentialCompromised, signals.Done, "credential_type", "pin"), credentialCompromise, "pin", ""},
		{said(signals.CredentialChanged, signals.Duplicate, "credential_type", "pin"), "", "", ""},
		{said(signals.Logout, signals.Done), "", "", ""},
	} {
		if one.uri == "" {
			if len(one.told) != 0 {
				t.Errorf("%+v is told", one.told)
			}
			continue
		}
		if len(one.told) != 2 || one.told[0].user != users[0].ID || one.told[1].user != users[1].ID {
			t.Fatalf("%+v", one.told)
		}
		changed, _ := one.told[0].extra["change_type"].(string)
		if one.told[0].uri != one.uri || one.told[0].extra["credential_type"] != one.credential || changed != one.changed {
			t.Errorf("%+v, want %s of %s, %s", one.told[0], one.uri, one.credential, one.changed)
		}
	}
}
