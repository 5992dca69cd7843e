// Package receiver stands in for Splunk and Sumo Logic on a machine that has neither: it takes
// events as strictly as they do, keeps them in a file, and shows them.
//
//	POST /services/collector[/event]   Splunk HEC: token, gzip, concatenated envelopes, codes 0–27
//	POST /receiver/v1/http/{code}      Sumo Logic HTTP source: one JSON record a line
//	GET  /services/collector/health    code 17 while healthy
//	GET  /events                       what arrived, as JSON, oldest first
//	GET  /                             the same for people
//
// An event counts as received once it is on disk. A fault in a request names the first bad event by
// its number, as Splunk does. Tests can have it refuse, fail or wait.
//
// It never forgets an event, never merges two that came twice, and is not for production.
package receiver
