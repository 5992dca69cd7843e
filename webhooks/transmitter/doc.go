// Package transmitter tells others what happens to people here: a Shared Signals transmitter that meets the CAEP
// Interoperability Profile, with the events of CAEP, RISC and SCIM (RFC 9967).
//
//	receiver ─► /.well-known/ssf-configuration/ssf/:workspace ─► /ssf/:workspace/token ─► stream · status · subjects · verify
//
//	audit log ─► Hear ─► a token's claims per stream and event ─► delivery ─► push (RFC 8935)
//	                                                                       └► poll (RFC 8936)
//
// It guarantees that a stream is told of an event once, under one jti however often it is sent, in the order of
// the log; that each token holds one event, is signed with RS256 by the workspace's own key, and says why in
// reason_admin; that a receiver reaches nothing but its own stream; and that what a receiver refuses stays on
// record with its answer.
//
// It never says of a person more than the subject the receiver knows them by, never sends anything secret, and
// never goes to a private address unless the gateway may.
package transmitter
