// Package console is what a signed-in person sees: accounts and their state, one account with who
// may use it, who saw its password and the proof of its last rotation, people, and activity as it
// happens.
//
//	browser ──► oidc.Require ──► handler ──► command or read of a slice ──► html/template
//	        ◄── server-sent events: activity
//
// It guarantees that a page shows only what its reader may see, that every change goes through the
// same commands as any other, that a password leaves only after its exposure is on record, that no
// page of another site can act here, and that everything it loads comes from this program.
//
// It works without scripts, except for handing out a password and for updating by itself. It never
// puts a password into a page's source; a secret that an administrator just made is in the one page that
// answers making it.
package console
