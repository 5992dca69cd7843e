// Package smtp hands mails to a mail server (RFC 5321).
//
//	core/mail ── Sender.Send ──► guard ──► TLS (STARTTLS, or from the first byte) ──► AUTH ──► MAIL, RCPT, DATA
//
// A mail goes through an encrypted connection to a server whose certificate is right, or not at all; in the clear only to this
// very machine. What the server refuses for good about the recipient or the mail itself is Denied; everything
// else, a wrong password of ours among it, is Unavailable: it may be set right while the mail waits. A server
// that is silent is given up within the context's time, and after half a minute. What it says is told on cut short.
//
// It never retries, never keeps a connection, and never logs a mail.
package smtp
