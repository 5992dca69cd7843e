// Package scim asks a SCIM 2.0 server what the RFCs, Okta and Microsoft Entra ID ask of it, over HTTP
// and nothing else, and reports what it answered.
//
//	          ┌─ rfc    RFC 7643, 7644 and 9865, clause by clause
//	Run ──────┼─ okta   Okta's own test suite, and every shape Okta sends   ─► Report ─► text, JSON,
//	any URL   └─ entra  Microsoft's validation cases, every shape Entra sends            JUnit, HTML
//
// A check creates what it needs under names nobody can guess, and deletes it. Checks run side by side
// and need nothing of each other. What the server's ServiceProviderConfig claims must work; what it
// does not claim is skipped, and the report says so. A failure says what was expected, what came, what
// to do, and shows the requests and answers; the token is never in it.
//
// It never reaches into a server's insides, touches a resource it did not create, or waits by the
// clock for something to be true.
package scim
