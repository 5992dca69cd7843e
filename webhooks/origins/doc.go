// Package origins counts what strangers do wrong, by where they knock from and at whose door.
//
//	door + address ─► Origin ─► Count, for each wrong token or secret
//	                        └─► Limited? ─► 429 and Retry-After, before anything is looked at
//
// It guarantees that an origin which was wrong too often may try again as soon as it says, that one door's pests slow
// down no other door, and that it takes a bounded amount of memory however many origins there are.
//
// It never remembers across processes, and never keeps what was shown.
package origins
