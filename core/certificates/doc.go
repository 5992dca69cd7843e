// Package certificates proves what became of every password somebody knew when they left.
//
//	departure ──► one row, in its own transaction: which passwords they saw, which they could have seen
//	                                   │
//	rotations · exposures · links    ──┼──► what is true now ──► signed when the last one is dead,
//	     (read, never copied)          │                         or when the deadline has passed
//	audit log ── something happened ───┘                    ──► signed anew when that changes:
//	                                                             number 2 supersedes 1, and names its digest
//
// It guarantees that everybody from whom everything was taken has a certificate; that each password they
// were given, or could have looked at, is in it exactly once, with the proof that it is dead or the
// reason why it is not and what to do about it; that nothing is called dead which the app was not seen to
// refuse, or whose account it was not seen to have disabled; that each account that was theirs alone and that
// its app is to disable is in it, with what proved that; that each link a leaver had made is in it, with
// when it ended, and each TOTP secret and backup code they entered or were given, and each secret of a service account; that issues are numbered without a gap, whoever is killed when; and that anybody with the
// workspace's public keys can verify one, offline, for ever.
//
// It never changes an issue, never starts a rotation, and never holds a password.
package certificates
