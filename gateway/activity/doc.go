// Package activity hands out the audit log: as it happens, and as files of any size.
//
//	audit.Search ──► Tail      server-sent events, from the last one seen on, until somebody goes away
//	             └─► Download  CSV or JSON lines of what is in the log now, a page in memory at a time
//
// A tail tells each event once and in order, however often it breaks off: it goes on behind the sequence
// the listener saw last. A download is of the log as it was when it began; it neither misses an event nor
// holds one twice, and one that cannot be finished breaks off instead of ending like a whole one. Who listens no
// longer, or does not read, is let go within seconds. A cell of a CSV never begins like a formula.
//
// It never decides who may see what: the query does.
package activity
