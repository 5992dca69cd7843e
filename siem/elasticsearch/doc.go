// Package elasticsearch sends events to Elasticsearch by its bulk API, each once.
//
//	[]stream.Event ──► POST /<data stream>/_bulk   {"create": {"_id": event id}} ──► a status per event ──► sink.Answer
//	                                               {"@timestamp": …, the document}     201 taken   409 was there   429 later
//
// The id of a document is the event's, so what comes again is not stored twice as long as it comes to the same
// backing index: a data stream that was rolled over in between may hold a copy. Holds tells the sequences of a
// workspace that Elasticsearch does not hold.
//
// It does not retry, follows no redirect, makes no index or mapping, and shows a credential to nobody but
// Elasticsearch.
package elasticsearch
