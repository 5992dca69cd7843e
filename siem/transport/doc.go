// Package transport makes the connections that receivers of the siem wing send over.
//
//	dial (guarded) ── TLS: authorities · server name · client certificate ──► Ask ── Reply ──► sink.Answer
//
// Connections go where the guarded dialer lets them. The receiver's certificate is always verified: by the
// system's authorities or by those given, for the address's host or for the name given. Redirects are not
// followed, answers are read up to 64 kB, and a secret is asked for whenever it is needed, so that one that was
// changed is used from the next connection or request on.
//
// It does not retry, does not log, and lets no URL, token or key into an error.
package transport
