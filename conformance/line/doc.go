// Package line drives one deprovision from end to end, over HTTP and against real parts, and does
// its worst to it: outages, kills at every state of a rotation, bad input, planted secrets.
//
//	world: PostgreSQL · Apache Kafka (or the embedded broker) · Harbour, DokuWiki, WordPress · IdP · receiver
//	postern serve: a process of its own, started, killed and started again by the tests
//
// What is checked is checked from outside: at the app's own sign-in form, at the receiver, at the
// API. It is made of tests alone.
package line
