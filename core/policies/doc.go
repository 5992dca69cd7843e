// Package policies says what starts a rotation.
//
//	somebody leaves · is logged out · loses access ┐
//	an owner changes · an administrator · a link    ├─► Choose: which of these accounts? ──► core/rotation
//	a sign-in, a while ago ─────────────► due rows ─┤
//	a schedule ──► occurrence ──► window, spread ───┘
//
// As long as a workspace says nothing about a trigger, its default holds: whoever leaves, is logged out or
// loses access, and a link that ends, has every account rotated; everything else is off. It guarantees that
// a schedule rotates each account once for each occurrence and only within the window, spread over it,
// whatever happens to the processes and however many there are; that what was missed is made up for once, in
// the next window; that no workspace waits for another's backlog; that whoever knows the current password
// is locked out however short ago it was changed; and that what an owner's or an administrator's change finds
// rotated too short ago waits among the due rows until the spacing is over.
//
// It never rotates by itself: it plans, and core/rotation carries out. It never reads a password.
package policies
