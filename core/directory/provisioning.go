package directory

import (
	"strings"
	"time"

	"postern/core"
)

// The defaults of a connection's guard against deprovisioning by mistake.
const (
	DefaultGuardShare = 20 // percent of the active users
	DefaultGuardFloor = 10 // people
	GuardWindow       = time.Hour
)

// ProvisioningProfile is which departures from the RFCs a connection's SCIM requests are read with.
type ProvisioningProfile string

// The profiles. The zero one is chosen by the connection's kind, and for a generic connection by what
// it sends.
const (
	ProfileDetected ProvisioningProfile = ""
	ProfileOkta     ProvisioningProfile = "okta"
	ProfileEntra    ProvisioningProfile = "entra"
	ProfileGeneric  ProvisioningProfile = "generic" // tolerant, but without what only Okta or Entra ID mean
	ProfileStrict   ProvisioningProfile = "strict"  // the RFCs to the letter: nothing is corrected, nothing unknown kept
)

// Provisioning is how a connection's SCIM endpoint behaves. The zero value is the default.
type Provisioning struct {
	Profile ProvisioningProfile `json:"profile,omitempty"`
	// Entitlements lets the identity provider list accounts as Entitlements and Roles and grant them.
	Entitlements bool `json:"entitlements,omitempty"`
	// SecurityEvents tells in ServiceProviderConfig which events streams of Shared Signals carry (RFC 9967).
	// Off by default: clients that know RFC 7643 alone refuse what it does not name.
	SecurityEvents bool `json:"security_events,omitempty"`
	// GuardShare (percent of the active users) and GuardFloor (people) are what may leave within
	// GuardWindow before what follows waits for an administrator: more than both. Zero is the
	// default; a negative GuardFloor switches the guard off.
	GuardShare int `json:"guard_share,omitempty"`
	GuardFloor int `json:"guard_floor,omitempty"`
	// JournalDays is how many days provisioning requests are kept. Zero is the default.
	JournalDays int `json:"journal_days,omitempty"`
	// Assertion is whose client assertions are exchanged for access tokens.
	Assertion Assertion `json:"assertion,omitzero"`
}

// Assertion is what a client assertion (RFC 7523) has to say. Without an Issuer none is accepted.
type Assertion struct {
	Issuer   string `json:"issuer,omitempty"`   // iss, exactly
	Subject  string `json:"subject,omitempty"`  // sub, exactly
	Audience string `json:"audience,omitempty"` // aud has to contain it, in a spelling that Audience takes for the same
	JWKSURI  string `json:"jwks_uri,omitempty"` // empty: from the issuer's discovery document
}

// check refuses settings that mean nothing.
func (p Provisioning) check() error {
	switch p.Profile {
	case ProfileDetected, ProfileOkta, ProfileEntra, ProfileGeneric, ProfileStrict:
	default:
		return core.Invalid("provisioning.profile", "a profile is okta, entra, generic or strict, or empty to be detected")
	}
	if p.GuardShare < 0 || p.GuardShare > 100 {
		return core.Invalid("provisioning.guard_share", "a share is 1 to 100 percent")
	}
	if p.JournalDays < 0 {
		return core.Invalid("provisioning.journal_days", "requests are kept for at least one day")
	}
	a := p.Assertion
	if a.Issuer == "" {
		if a != (Assertion{}) {
			return core.Invalid("provisioning.assertion.issuer", "a value is needed")
		}
		return nil
	}
	for _, one := range []struct{ field, value string }{
		{"subject", a.Subject}, {"audience", a.Audience},
	} {
		if strings.TrimSpace(one.value) == "" {
			return core.Invalid("provisioning.assertion."+one.field, "a value is needed")
		}
	}
	for _, one := range []struct{ field, value string }{
		{"issuer", a.Issuer}, {"subject", a.Subject}, {"audience", a.Audience}, {"jwks_uri", a.JWKSURI},
	} {
		if err := short("provisioning.assertion."+one.field, one.value); err != nil {
			return err
		}
	}
	return nil
}
