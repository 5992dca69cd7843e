// Package webhooks is the door for Universal Logout (Global Token Revocation in Okta's profile). Further doors for
// what identity providers tell on their own stand below it.
//
//	POST /webhooks/:connection/universal-logout
//	   │ connection (remembered) · origin not among those who send bad tokens
//	   │ token: typ · alg · iss · aud · times · jti · key · signature · sub          core/jwt
//	   │ body:  sub_id as any subject identifier                                     core/signals
//	   ▼
//	signals.Receive ── commit ──► 204, or 404 for nobody
//
// It guarantees that nothing but a token whose every claim was checked ends a session, that 204 means the sessions
// are dead and what follows is sure to, that a token works once for one body and repeats its first answer for the same
// body, that forged tokens cost neither a database query nor more than one fetch of keys per cooldown, that who sends
// many of them is slowed down at that one connection alone, and that strangers, however many, have no more than so many
// signatures looked at in vain: whoever sent a good token lately, and connections that are not attacked, are not
// refused for it.
//
// It never trusts the Host header, never looks outside the connection that was proven, and never waits for an app.
package webhooks
