// Package inbox takes e-mail for accounts, by SMTP (RFC 5321), and hands it to core/mailbox.
//
//	MAIL ─► RCPT ── mailbox.Expected: 550 nobody's · 452 too many this hour
//	     ─► DATA ── 552 too large ─► SPF, DKIM ─► parts of MIME ─► mailbox.Receive ── commit ─► 250
//
// A message is accepted once it is committed: a client that was told 250 need not keep it, and one that was told 4xx, as
// when the database is away, comes again. One that comes twice is kept once. Each message has one recipient. Whatever is
// wrong with a message's MIME or its charsets, what can be read of it is kept; attachments are not. SPF (RFC 7208) and DKIM
// (RFC 6376) are recorded and refuse nothing: who reads a message sees what came of them. STARTTLS is offered where there
// is a certificate.
//
// So many connections are held at a time, of them so many of one address, each for so long; what is beyond that is told
// 421 and closed. A flood to one account costs the others their place among the connections at most.
//
// It relays nothing, sends nothing and answers no sender but in the dialogue itself.
package inbox
