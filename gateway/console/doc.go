// Package console is what a signed-in person sees: accounts and their state, one account with who
// may use it, who saw its password and the proof of its last rotation, people, and activity as it
// happens.
//
//	browser ──► oidc.Require ──► handler ──► command or read of a slice ──► html/template
//	        ◄── server-sent events: activity, rotations
//
// A template that defines content is a page, and found by its file's name; any other is a part of every page. A list is
// a page in the order of names or ids and costs what it shows. The keyboard is enough, and axe-core finds nothing.
//
// It guarantees that a page shows only what its reader may see, that every change goes through the
// same commands as any other, that a password leaves only after its exposure is on record, that no
// page of another site can act here, and that everything it loads comes from this program.
//
// It works without scripts, except for handing out a password and for updating by itself. It never
// puts a password into a page's source, but for the one page that answers a recipient's code of a link; a secret that
// an administrator just made is in the one page that answers making it.
package console
