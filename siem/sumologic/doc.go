// Package sumologic sends events to a Sumo Logic HTTP source.
//
//	[]stream.Event ── one document per line, gzip ──► POST <the source's URL> ──► sink.Answer
//
// The URL of a source is its secret: it appears in no log, error or reason. One request at a time is sent, of at
// most a megabyte, as Sumo Logic asks for; smaller ones after a source did not get one in time. An answer of success
// with a complaint in its body is passed on as a warning. Connections that the source's load balancer is about to
// close are closed first.
//
// It does not retry and follows no redirect. Sumo Logic has no acknowledgement beyond the answer, drops what exceeds
// an ingest budget without saying so, and may ingest twice; the event id and the workspace's sequence in each
// document are what to reconcile by.
package sumologic
