// Package syslog sends events by syslog (RFC 5424) over TLS (RFC 5425), or over plain TCP (RFC 6587, octet counting).
//
//	[]stream.Event ──► LENGTH <PRI>1 TIME HOST postern - TYPE [postern@… id workspace sequence …] document
//	                                                                            │ close_notify
//	                   Accepted ◄── the receiver has read it all, and closes too ┘
//
// Syslog has no acknowledgement. What comes nearest is the end of a connection: each batch has one, which Postern ends
// once everything is written; a receiver that ends it in turn has read all of it (RFC 5425, section 4.4), and only then
// is a batch accepted. That it was also kept, nobody says: a receiver that dies with events in memory has lost them.
// With keep_open connections are reused and even this is not known: what was under way when one broke may be lost.
// A batch whose end was not seen is sent again, with the same ids.
//
// It does not retry and logs nothing.
package syslog
