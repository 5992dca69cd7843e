// Package passwordrules is what an app says of the passwords it takes, and how to make one that fits.
//
//	passwordrules attribute ─┐
//	minlength, maxlength ────┤
//	pattern ─────────────────┼─► Rules ─► Generate ─► a candidate that fits
//	what a refusal says ─────┤
//	what Apple publishes ────┤
//	a person ────────────────┘
//
// The language is Apple's, as of the passwordrules attribute of a form's field
// (developer.apple.com/password-rules): "minlength: 12; required: lower, upper; allowed: [-_]; max-consecutive: 2".
//
// It guarantees that what Generate makes satisfies the rules it was given, that every text of an app's is read in
// bounded time, and that no rule makes a password that can be guessed: what would is refused.
//
// It does no I/O and keeps nothing.
package passwordrules
