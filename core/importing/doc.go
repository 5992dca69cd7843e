// Package importing adds accounts from the files other password managers write.
//
//	file ── Read ──► rows ── Plan ──► what each would do (planned) ── Commit ──► job: each row in a transaction of its own
//	                          │                                                  created · duplicate · refused, row by row
//	                          └─ passwords sealed under the import's own key, erased with the last row or after an hour
//
// Reading refuses what is too large, encrypted, or not what it says it is, and never quotes what is in the file. An
// app is known by its site, an account by app and username: what is there already is never touched. A row is done
// whole or not at all; whoever sends the same file again under the same key goes on with the same import, and a
// commit goes on where a killed process left off. What an account has no place for is told, row by row, for 90 days.
//
// It never writes a password outside of the vault's keys, changes an account that is there, or asks an app anything:
// a sign-in that proves each password is queued with it.
package importing
