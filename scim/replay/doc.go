// Package replay plays a stretch of the provisioning journal against a scratch workspace and says how
// what comes out differs from the live one.
//
//	core/journal ──► seeds: what the stretch refers to and the journal does not make
//	     │                │
//	     └─ entries ──► scim.Service over a schema of its own ──► answers ──► Report
//	                                        │                                    ▲
//	                                        └── users, groups, members, entitlements ── against the live ones
//
// It guarantees that the live tables are only read, that what it makes stands in a schema nothing else
// looks into and is gone at the end, interrupted or not, and that the same journal and the same state
// give the same report. Of a connection that grants entitlements, accounts come to be when they did, and
// what others than the connection gave and took of them happens in between, in its time: what the
// connection gave has to come of its requests. It never delivers an event, runs a job or opens a vault.
// What the journal does not keep it cannot play: passwords, conditions (If-Match) and bodies that could
// not be read.
package replay
