// Package accounts holds the apps, the shared logins in them, who may use which, and what passwords
// they have had.
//
//	user ──────────── grant (owner | collaborator, may expire) ──► account ──► app
//	user ∈ team ───── grant ─────────────────────────────────────►   │
//	                                                                 ├─► credential versions: candidate · current · previous
//	                                                                 └─► exposures: who saw which version
//
// The strongest live grant wins; guests and login-only users are collaborators at most. An inactive
// user may use nothing, whatever grants name them: who leaves has theirs until they are taken, and
// whose departure is held has them until that is decided. Who sees a password is on record before they see
// it. A credential version is never changed or deleted: labels move. Every command authorizes its
// actor, changes its rows and appends its events in one transaction. Nobody may take away an
// account's last living owner by sharing; when that owner goes in another way, the account passes to the
// first on its succession list, or the workspace's, who is alive, or else is reported as orphaned.
//
// It never talks to an app, never starts a rotation, and never gives back access that was revoked.
package accounts
