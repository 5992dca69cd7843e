package scim

import (
	"net/http"
	"strings"

	"postern/core/directory"
	"postern/scim/resource"
)

// oktaAgent begins what Okta's provisioning calls itself: "Okta SCIM Client 1.0.0".
const oktaAgent = "Okta SCIM Client"

// entraFlags begin the feature flags Entra ID carries from the tenant URL into every request:
// aadOptscim062020, AzureAdScimPatch2017.
var entraFlags = []string{"aadOptscim", "AzureAdScimPatch"}

// profileOf is how a request may depart from the RFCs: as the connection says, else as its kind of
// identity provider does, else as whoever this one looks to come from does. Nothing is remembered for
// the next request. The rules of the profile are fresh. Its name is final only when the body has been
// read; see resource.Profile.Named.
func profileOf(connection directory.Connection, r *http.Request) resource.Profile {
	chosen := connection.Provisioning.Profile
	if chosen == directory.ProfileDetected {
		switch connection.Kind {
		case directory.Okta:
			chosen = directory.ProfileOkta
		case directory.Entra:
			chosen = directory.ProfileEntra
		}
	}
	profile := resource.Profile{BareValues: true, Rules: &resource.Rules{}}
	switch chosen {
	case directory.ProfileOkta:
		profile.Name, profile.ReplaceCreates = resource.Okta, true
	case directory.ProfileEntra:
		profile.Name, profile.ReplaceCreates = resource.Entra, true
	case directory.ProfileStrict:
		profile.Name, profile.BareValues, profile.Strict = resource.Strict, false, true
	case directory.ProfileGeneric:
		profile.Name = resource.Generic
	default:
		profile.Name, profile.Guessed = detected(r), true
		profile.ReplaceCreates = profile.Name != resource.Generic
	}
	return profile
}

// detected is whose request this looks to be before its body is read. Entra ID often sends no
// User-Agent at all, so that its absence tells nothing.
func detected(r *http.Request) string {
	if agent := r.UserAgent(); len(agent) >= len(oktaAgent) && strings.EqualFold(agent[:len(oktaAgent)], oktaAgent) {
		return resource.Okta
	}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		for _, flag := range entraFlags {
			if len(part) >= len(flag) && strings.EqualFold(part[:len(flag)], flag) {
				return resource.Entra
			}
		}
	}
	return resource.Generic
}
