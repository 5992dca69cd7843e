// Package posture says how well a workspace keeps its shared accounts, and what to do about it.
//
//	accounts · grants · rotations · versions · tokens ──► findings: one table of kinds, each an indexed query
//	        (read, never copied)             │       └──► milestones: five steps, per account and over all
//	                                         ▼
//	                         score, of which everybody can see how it is made up ──► a row a day, a chart
//
//	orphans ──► Reassign: rows of a plan ──► one transaction an account: its new owners, an event, the row's outcome
//
// It guarantees that what it tells is true at that moment: nothing is cached. A page of findings costs what it shows,
// a count what is found, the overview O(accounts + live grants) of index entries, without opening a password. A day has
// one row, however many processes there are. A reassignment goes on where it was when a process dies, gives each account
// its owners once, and says of each what became of it. Days, and reports of reassignments, are kept for 400 days.
//
// Weak and reused passwords are found without opening one. When a version is stored, core/accounts writes beside it a
// keyed fingerprint (HMAC-SHA256 under a key derived from the workspace's, which a KMS or key file guards) and one of
// three strengths; both go when the version is current no more. The price, told openly: whoever reads the database alone
// learns which accounts of a workspace have the same password, and which passwords are weak, but has nothing to test
// guesses with; whoever has the workspace's key too could open the passwords themselves. Whoever may add accounts and
// see findings could test a guess by adding an account with it, one at a time and on record: so findings are for
// administrators alone, and an owner is not told that a password of theirs is used elsewhere. Of a finding neither the
// fingerprint nor the password is ever told, only how many share it and the name of one.
//
// It never opens a password to show it, never changes what a slice below owns but by that slice's commands, and never
// counts against a workspace what its Postern cannot do, such as addresses where no e-mail is received.
package posture
