// Package webhooks is the door for what identity providers tell on their own: Universal Logout
// today (Global Token Revocation in Okta's profile).
//
//	POST /webhooks/:connection/universal-logout
//	   │ token: type · algorithm · issuer · key · signature · audience · subject · times · single use
//	   │ body:  sub_id as email, iss_sub or opaque
//	   ▼
//	lifecycle.Logout ── commit ──► 204
//
// It guarantees that nothing but a token whose every claim was checked ends a session, that 204
// means the sessions are dead and the rotations queued, that a token works once for one body and
// repeats its first answer for the same body, and that a refusal leaves an event without letting a
// stranger flood the log.
//
// It never trusts the Host header, never looks outside the connection's workspace, and never waits
// for an app.
package webhooks
