// Package splunk sends events to Splunk's HTTP Event Collector.
//
//	[]stream.Event ── envelopes, gzip ──► POST /services/collector/event ──► code ──► sink.Answer
//	                    │ an endpoint in turn; one that fails rests            ▲
//	                    │ the new token, then the previous one                 │ with acknowledgement: once every
//	                    └ a channel of its own ──► POST …/ack until true ──────┘ request was written by an indexer
//
// Each event carries its time and, as indexed fields, its id, workspace and sequence, so that one tstats query
// shows duplicates and gaps. Every code of the collector has its meaning: accepted, busy, misconfigured, refused
// (with the number of the event) or too large. Without acknowledgement "accepted" is what Splunk's 200 says and no
// more: the collector answers before an indexer has written. Splunk Cloud gives acknowledgements to Firehose alone.
//
// It follows no redirect, asks again only at another endpoint or with the other token, and shows a token to nobody
// but the collector. Events that were sent and not acknowledged are sent again, with the same ids.
package splunk
