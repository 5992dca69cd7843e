package cli

import (
	"cmp"
	"fmt"
	"strings"

	"postern/core"
	"postern/core/directory"
	"postern/core/journal"
)

// provisioning is how a connection's SCIM endpoint behaves.
type provisioning struct {
	Profile        *string `help:"Which departures from the RFCs requests are read with: detected (by the kind of connection, or by what it sends), okta, entra, generic, strict." placeholder:"PROFILE" group:"provisioning"`
	Entitlements   *bool   `help:"Let the identity provider list accounts as Entitlements and Roles, and grant them." negatable:"" group:"provisioning"`
	SecurityEvents *bool   `help:"Tell in ServiceProviderConfig of the events of Shared Signals (RFC 9967). Clients that know RFC 7643 alone refuse that." negatable:"" group:"provisioning"`
	Guard          *bool   `help:"Hold mass departures back until an administrator decides." negatable:"" group:"provisioning"`
	GuardShare     *int    `help:"Percent of the active users that may leave within an hour (default 20)." placeholder:"N" group:"provisioning"`
	GuardFloor     *int    `help:"People that may leave within an hour, however few there are (default 10)." placeholder:"N" group:"provisioning"`
	JournalDays    *int    `help:"Days the requests are kept (default 30)." placeholder:"N" group:"provisioning"`

	AssertionIssuer   *string `help:"Issuer whose client assertions are exchanged for access tokens: the identity provider then needs no secret of ours." placeholder:"URL" group:"provisioning"`
	AssertionSubject  *string `help:"Subject the assertion has to have." placeholder:"TEXT" group:"provisioning"`
	AssertionAudience *string `help:"Audience it has to contain." placeholder:"TEXT" group:"provisioning"`
	AssertionJWKSURI  *string `help:"Address of the issuer's keys, where its discovery document does not tell it." name:"assertion-jwks-uri" placeholder:"URL" group:"provisioning"`
}

// apply sets what was given. Without an issuer the rest of the assertion means nothing and goes too.
func (p provisioning) apply(to *directory.Provisioning) error {
	if p.Profile != nil {
		to.Profile = directory.ProvisioningProfile(strings.ToLower(*p.Profile))
		if to.Profile == "detected" {
			to.Profile = directory.ProfileDetected
		}
	}
	if p.Entitlements != nil {
		to.Entitlements = *p.Entitlements
	}
	if p.SecurityEvents != nil {
		to.SecurityEvents = *p.SecurityEvents
	}
	for _, one := range []struct {
		given *int
		flag  string
		most  int
		field *int
	}{
		{p.GuardShare, "--guard-share", 100, &to.GuardShare}, {p.GuardFloor, "--guard-floor", 1_000_000, &to.GuardFloor}, {p.JournalDays, "--journal-days", 3650, &to.JournalDays},
	} {
		if one.given == nil {
			continue
		}
		if *one.given < 1 || *one.given > one.most {
			return core.Invalid(one.flag, "1 to %d", one.most)
		}
		*one.field = *one.given
	}
	switch {
	case p.Guard == nil:
	case !*p.Guard:
		to.GuardFloor = -1
	case to.GuardFloor < 0:
		to.GuardFloor = 0
	}
	for _, one := range []struct {
		given *string
		field *string
	}{
		{p.AssertionIssuer, &to.Assertion.Issuer}, {p.AssertionSubject, &to.Assertion.Subject}, {p.AssertionAudience, &to.Assertion.Audience},
		{p.AssertionJWKSURI, &to.Assertion.JWKSURI},
	} {
		if one.given != nil {
			*one.field = *one.given
		}
	}
	if p.AssertionIssuer != nil && *p.AssertionIssuer == "" {
		to.Assertion = directory.Assertion{}
	}
	for name, address := range map[string]string{"--assertion-issuer": to.Assertion.Issuer, "--assertion-jwks-uri": to.Assertion.JWKSURI} {
		if address != "" && !core.SecureAddress(address) {
			return core.Invalid(name, "a https address is needed, such as https://login.microsoftonline.com/TENANT-ID/v2.0")
		}
	}
	return nil
}

// asFlag names the flag of a setting that was refused.
func asFlag(err error) error {
	if known := core.AsError(err); known != nil && strings.HasPrefix(known.Field, "provisioning.") {
		return flag(strings.NewReplacer("provisioning.", "--", "_", "-", ".", "-").Replace(known.Field), err)
	}
	return err
}

// provisioning prints the settings with their defaults.
func (s sheet) provisioning(kind directory.ConnectionKind, p directory.Provisioning) {
	profile := string(p.Profile)
	if p.Profile == directory.ProfileDetected {
		profile = map[directory.ConnectionKind]string{
			directory.Okta: "okta, by the kind of connection", directory.Entra: "entra, by the kind of connection", directory.Generic: "detected from what is sent",
		}[kind]
	}
	guard := fmt.Sprintf("%d %% and %d people within an hour", cmp.Or(p.GuardShare, directory.DefaultGuardShare), cmp.Or(p.GuardFloor, directory.DefaultGuardFloor))
	if p.GuardFloor < 0 {
		guard = "off"
	}
	s.row("profile", profile)
	s.row("may leave unasked", guard)
	s.row("requests are kept", fmt.Sprintf("%d days", cmp.Or(p.JournalDays, journal.DefaultDays)))
	s.row("entitlements", map[bool]string{true: "offered", false: "not offered"}[p.Entitlements])
	s.row("security events", map[bool]string{true: "told of", false: "not told of"}[p.SecurityEvents])
	if a := p.Assertion; a.Issuer != "" {
		s.row("assertion issuer", a.Issuer)
		s.row("assertion subject", a.Subject)
		s.row("assertion audience", a.Audience)
		if a.JWKSURI != "" {
			s.row("assertion JWKS URI", a.JWKSURI)
		}
	}
}
