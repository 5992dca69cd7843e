// Package ocsf turns Postern's events into the Open Cybersecurity Schema Framework, JSON that
// security information systems know how to read.
//
//	audit.Record ── Mapper.Map ──► {"class_uid": 3001, "metadata": {"uid", "sequence" …}, … , "unmapped": {event, previous, hash}}
//	                                                                                        │
//	audit.Record ◄── Record ────────────────────────────────────────────────────────────────┘
//
// Every event type of the catalogue has a class and an activity. A document carries the event
// itself and its link in the chain, so the receiver's copy can be verified without Postern.
//
// It does no I/O and adds no fact the event does not have.
package ocsf
