// Package vectors is what right and wrong signals look like, as data.
//
//	*.json ──► the tests of each door, against its package
//	      └──► conformance/signals, against a running gateway
//
// It guarantees that both ask the same. A vector is a request with placeholders ({{issuer}}, {{now-60}}, …), how it
// is signed, and what has to come of it. Keys and Hook.Make do the signing for both.
//
// It never holds a token, a key that opens anything, or the name of anything real.
package vectors
