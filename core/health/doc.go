// Package health finds out whether stored passwords still let somebody in, says what is wrong where they do
// not, and gives access back once a sign-in has proved one.
//
//	time, with jitter ─────────────────┐             one sign-in         core/accounts: one table of findings
//	reactivated · given back · owner   ├─► check ──► by the Connector ─► ┌ validated ──► access, a stuck rotation goes on
//	or admin changed · rotation stuck  │   (a job)   (budget, pace)      ├ desync_suspected ──► made sure of a little later
//	two people's reports ──────────────┤                                 └ desynced · app_disabled ──► closed, with the next step
//	a person: check, re-sync, password ┘
//
// It guarantees one check for each due time, however many processes there are and whenever they are killed; that no
// sign-in is made beyond the lockout budget that rotations keep too; that what once worked is refused twice before it is
// taken for wrong; that a password somebody gives becomes the current one by an accepted sign-in and in no other way;
// that what the app said is kept, without secrets, for as long as the workspace wants; and that an account's owners, or the workspace's
// administrators, are mailed once when it comes to need a person.
//
// It never changes a password at an app, never tries what nobody stored, and never opens an account by itself
// without a sign-in.
package health
