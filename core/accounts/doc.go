// Package accounts holds the apps, the shared logins in them, who may use which, and what passwords
// they have had.
//
//	user ──────────── grant (owner | collaborator, may expire) ──► account ──► app
//	user ∈ team ───── grant ─────────────────────────────────────►   │
//	                                                                 ├─► credential versions: candidate · current · previous
//	                                                                 └─► exposures: who saw or entered which version
//
// Who may do what. A grant of an owner's lets guests and login-only users do no more than a
// collaborator's; of whoever is deactivated nothing is let through.
//
//	                                 owner, super admin,   user              login-only,  service  connection
//	                                 admin                                   guest        account
//	add an app, have an account
//	disabled there                   yes                   -                 -            scope    -
//	add an account                   to anybody            to themselves     -            scope    -
//	share, unshare, tag, set a TOTP  every account         those they own    -            scope    -
//	give up a grant of their own     yes                   yes               yes          -        -
//	have a password filled,
//	be given a one-time code,
//	read what the account is sent    where it is shared with them                         scope    -
//	see a password                   those they own        those they own    -            scope    -
//	entitle                          -                     -                 -            -        if let
//	give a role (core/lifecycle)     up to their own       -                 -            to admin -
//
// The system may do all of it but entitle. A denial has the code of the rule that says no:
// not_a_user and not_a_member (who asks), inactive, not_administrator, not_shared, expired, suspended
// (in the team), not_owner, capped (an owner's grant that counts as a collaborator's), not_you,
// restricted, step_up_required, no_entitlements; role_too_low, guest and last_owner of roles.
//
// The strongest live grant wins; guests and login-only users are collaborators at most. An inactive
// user may use nothing, whatever grants name them: who leaves has theirs until they are taken, and
// whose departure is held has them until that is decided. Who sees a password is on record before they see
// it, and who enters one when it is stored: both know it. A credential version is never changed or deleted: labels move. Every command authorizes its
// actor, changes its rows and appends its events in one transaction. Nobody may take away an
// account's last living owner by sharing; when that owner goes in another way, the account passes to the
// first on its succession list, or the workspace's, who is alive, or else is reported as orphaned. Access that
// ends by the clock ends at that moment; that it did is told once. Who may use an account and what
// somebody can use are read a page at a time, at the same cost however large the team.
//
// An account may have a TOTP secret (RFC 6238). Who may use the account is given its codes, on record, and nobody the
// secret; Postern itself signs in with one code per time step, and with none that somebody was given.
//
// It never talks to an app, never starts a rotation, and never gives back access that was revoked.
package accounts
