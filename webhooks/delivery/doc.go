// Package delivery brings what happened to who wants to know, until they have it.
//
//	audit log ──► Follower ── one transaction: a row per lane and event, the cursor ──► deliveries
//	                                                                                     │
//	          carrier ◄── one process per lane, in order where the lane is ordered ◄─────┤
//	             │ delivered · again, with backoff · refused → dead letter               │
//	             └── given up after the last attempt → the lane is disabled              └── fetched and acknowledged
//
// It guarantees that each event reaches each lane it is for exactly once as a row and at least once as a
// message, always under the same id, whenever processes are killed; that an ordered lane is delivered in the
// order of the log; that what a destination refuses for what it is becomes a dead letter with the answer, which
// an administrator can have sent again; and that a lane that is given up loses nothing that waits.
//
// It never holds a database transaction while it waits for a destination, never delivers one lane from two
// processes at once unless one of them was thought dead, and knows nothing of HTTP: that is the carriers'.
package delivery
