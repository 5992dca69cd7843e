// Package doctor says what is wrong with a connection, or an app, and what to do about it.
//
//	discovery, keys, clock ──┐
//	last words of each door ─┤
//	streams, tokens, people ─┼─► findings, each with advice ─► command line, API, console
//	self-test by public URL ─┤
//	coverage of the provider ┘   which of its actions reach us, by which door, and how late at worst
//
//	an app's connector, settings, sign-in page, accounts, last rotations ─► findings ─► command line
//
// It guarantees that every fault it names comes with what to do about it, that it says so when it could not look,
// and that it changes nothing but the trace its self-test leaves among the last failures, with the stage "type" or "self_test".
//
// It never holds a secret, never believes anything a door would not, and never opens a way in: its self-test sends
// what every door refuses, and knows the door by how it does so.
package doctor
