// Package ssf receives Shared Signals: security event tokens of a transmitter, pushed or polled, and the
// management of the streams they come in.
//
//	administrator ─► discovery ─► create · verify · pause · subjects · delete ──────────► transmitter
//	                                                                                        │      ▲
//	POST /webhooks/:connection/ssf/:stream ◄── push (RFC 8935) ─────────────────────────────┤      │
//	poller, one process per stream ◄── poll (RFC 8936) ── ack only what is committed ───────┘──────┘
//	   │
//	   ▼ typ · alg · iss · aud · jti · iat · no exp, no sub · key · signature · events · subject
//	signals.Receive ── commit ──► 202, ack
//
// It guarantees that a token is acknowledged only once its effect and its single use are durable, that a token
// that comes again has no second effect, that an event type nobody knows is recorded and acknowledged, that
// every departure from the standard is understood by a named quirk of the stream's profile and noted as
// evidence, and that whatever keeps a stream from working stands on its row with the stage that failed.
//
// It never trusts the Host header, never fetches a key for a caller without the stream's authorization, never
// follows a redirect with a credential, and never waits for an app.
package ssf
