// Package demo plays the main job against a running development stack, as the people in it would,
// and checks every step from outside.
//
//	IdP's admin ─ push Ana, push her team ─► Postern ◄─ share an account with the team
//	Ana ─ signs in at the IdP ─► Postern ─ fills the password ─► she is in the app
//	IdP's admin ─ deactivates Ana ─► her session is dead · the old password is refused by the app
//	                                 · the new one is accepted · the proof is in the receiver
//
// It speaks HTTP alone, with what dev.json says. A step that could not be verified ends the play
// with an error that names it.
package demo
