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
// to do, and shows the requests and answers; no token or secret is ever in it.
//
// Given a token of another tenant it asks that neither sees the other, given a client of a token
// endpoint it asks that for tokens; without them it skips, and the report says so too.
//
// It never reaches into a server's insides, touches a resource it did not create, or waits by the
// clock for something to be true, but for the end of a cursor's life, as long as Options let it.
package scim
