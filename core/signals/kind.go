package signals

// Kind is what a signal says happened, whatever the door called it.
type Kind string

// The kinds.
const (
	Logout                   Kind = "logout"          // signed out at the identity provider
	SessionRevoked           Kind = "session_revoked" // CAEP session-revoked, RISC sessions-revoked
	CredentialChanged        Kind = "credential_changed"
	CredentialCompromised    Kind = "credential_compromised"
	CredentialChangeRequired Kind = "credential_change_required"
	AccountDisabled          Kind = "account_disabled"
	AccountEnabled           Kind = "account_enabled"
	AccountPurged            Kind = "account_purged"
	IdentifierChanged        Kind = "identifier_changed"
	IdentifierRecycled       Kind = "identifier_recycled"
	ClaimsChanged            Kind = "claims_changed"
	AssuranceChanged         Kind = "assurance_changed"
	DeviceComplianceChanged  Kind = "device_compliance_changed"
	RiskChanged              Kind = "risk_changed"
	SessionEstablished       Kind = "session_established"
	SessionPresented         Kind = "session_presented"
	RecoveryActivated        Kind = "recovery_activated"
	RecoveryChanged          Kind = "recovery_changed"
	OptedIn                  Kind = "opted_in"
	OptOutInitiated          Kind = "opt_out_initiated"
	OptOutCancelled          Kind = "opt_out_cancelled"
	OptedOut                 Kind = "opted_out"
	Other                    Kind = "other" // verified, but nothing Postern knows
)

// Kinds are all of them, the gravest first.
var Kinds = []Kind{
	AccountPurged, AccountDisabled, CredentialCompromised, SessionRevoked, Logout, CredentialChanged, CredentialChangeRequired,
	IdentifierRecycled, IdentifierChanged, DeviceComplianceChanged, RiskChanged, AssuranceChanged, ClaimsChanged, RecoveryActivated,
	RecoveryChanged, AccountEnabled, SessionEstablished, SessionPresented, OptedIn, OptOutInitiated, OptOutCancelled, OptedOut, Other,
}

// class is what different doors call differently but mean the same by: one incident.
func (k Kind) class() string {
	switch k {
	case Logout, SessionRevoked:
		return "signed_out"
	case CredentialCompromised, CredentialChangeRequired:
		return "compromised"
	case AccountDisabled, AccountPurged:
		return "left"
	}
	return string(k)
}
