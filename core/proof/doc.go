// Package proof shows that nothing is missing from the audit log and nothing in it was changed, to somebody who has
// no database: from a file and the public key alone.
//
//	audit_log ──► Export     a file: every record, every checkpoint, and a manifest signed over its bytes
//	          └─► Prove      one event, a Merkle path of log2(n) hashes, and the signed root above it
//
//	file      ──► Verifier   an Export, an Inclusion, or a receiver's copy of the stream ──► Report
//
// A Verifier reads any number of events with the same little memory, says of each fault in which line and at which
// sequence it is, and goes on behind it. It believes a public key and nothing else: neither the gateway nor the
// database the file came from. In an Export every byte counts. In a copy of the stream an event may come twice, as it
// may after a crash, if it is the same event; and what no signed checkpoint covers yet is told as such.
//
// It never changes what is stored, and never says more than was shown: a stream that ends early is only found to, by
// something signed that came later.
package proof
