// Package posterntest serves Postern's SCIM endpoint on this machine, over a real PostgreSQL, for tests
// that ask it what any client can ask.
//
//	Start(t) ─► http://127.0.0.1:…/scim/v2 ─► one token per kind of connection
//
// It is for tests alone and never linked into the binary.
package posterntest
