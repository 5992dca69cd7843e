// Package protocol is what connectors to apps with a protocol of their own have in common: databases,
// directories.
//
//	Verify ─► SignIn ──────────────────────────────────────► Accepted, or what the app said instead
//	Change ─► SignIn ─► Session.Change ─► release ─► request ─► Applied, Refused, or Unknown
//
// It guarantees that nothing is connected to but the app's own domains, through the guard; that a sign-in
// shares nothing with an earlier one; that the change request leaves once, and only after release returned
// nil; that an answer nobody understands is Unknown once the request has left; and that no report holds a
// password, even if the app's words do.
//
// It never generates, stores or retries a password.
package protocol
