// Package guard is the way out: the dialer and the HTTP client everything uses that follows an
// address somebody else chose.
//
//	name ─► resolve once ─► every address public? ─► dial the checked address ─► capped body
//	                              │ no
//	                              ▼
//	                           Denied
//
// It guarantees that no connection reaches a private, loopback, link-local, multicast or metadata
// address unless AllowPrivate says so, also not through a redirect, a name that resolves to two
// addresses, a name that changes its mind between check and use, or an address in disguise. Answers
// are capped in size and time. Its errors are *core.Error and hold no query and no credential.
//
// It never follows a redirect away from HTTPS, never reads proxy settings from the environment and
// never retries by itself.
package guard
