// Package signals asks a gateway whether it believes the signals it should, and no others, over HTTP alone.
//
//	Run ─► an identity provider of its own on a listening address: discovery, keys, sign-in, streams
//	   ├─► admin API: connections to it, streams of it          ─┐
//	   ├─► SCIM: people; sign-in: their sessions                  ├─► Report ─► text, JSON, HTML
//	   └─► every vector of every door, signed, and what it did  ─┘
//	         status · error · whose sessions died · which receipt
//
// It guarantees that whatever is asked of a door has real signatures and real sessions behind it, that a vector which
// could not be asked is reported as skipped with the reason, and that what it made is taken away again: people are
// deleted, streams and hooks too, tokens revoked, and its connections believe nobody any more. These stay, with what was
// done on record, and the report names them.
//
// It never reaches into a gateway's insides, and never touches anybody it did not make.
package signals
