// Package hooks receives what identity providers and other senders tell by webhooks of their own making.
//
//	Okta Event Hooks ───── static key ────────┐
//	Microsoft Graph ────── clientState ───────┤   per event
//	Standard Webhooks ──── v1 HMAC, v1a ──────┼─► kind, subject ─► signals.Receive ─► 2xx after the commit
//	any other ──────────── HMAC, JWT ─────────┘        ▲
//	System Log, users/delta ─── worker, when a gap may be ┘
//
// It guarantees that a request is judged by the bytes that came, that secrets are compared in constant time and
// two of them are good while one is being changed, that an event told twice takes effect once, that what is
// answered with success is durable, and that of an unknown hook and of a wrong secret the caller learns the same.
//
// It never believes a sender about people of another connection, never follows an address out of a message, and
// never gives access back because a hook says so.
package hooks
