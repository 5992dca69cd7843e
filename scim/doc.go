// Package scim is the SCIM 2.0 endpoint (RFC 7643, RFC 7644) identity providers push people and teams
// to.
//
//	Okta, Entra ID ── HTTP ──► /scim/v2 ──► token ► connection ► document ► command ──► core/lifecycle
//	                              ◄── resource, list or SCIM Error ◄── core.Error ◄──────────┘
//
// It guarantees that a request is answered only when its effect is durable and that it happens whole
// or not at all; that a connection sees and changes only what it provisioned itself, and everything
// else does not exist for it; that every error, 401 and 405 included, is a SCIM Error whose text
// never repeats a value that was sent; that attributes it does not know are kept and returned; and
// that a request refused as unusable leaves an event.
//
// The shapes real identity providers send are understood without configuration (see resource). It
// never stores or returns a password, never creates a resource by PUT, and a create sent twice is a
// conflict, never an overwrite.
package scim
