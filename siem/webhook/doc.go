// Package webhook sends events to any endpoint, signed by Standard Webhooks 1.0.
//
//	[]stream.Event ──► POST  [document, …] ──► 2xx ──► sink.Answer
//	                         webhook-id         the event's, or for several one made of theirs
//	                         webhook-timestamp  of this attempt
//	                         webhook-signature  by the secret, and the previous one while secrets are exchanged
//
// The same events in the same request have the same webhook-id however often they are sent, so that an endpoint can
// tell a repetition by it, and by the id in each document otherwise.
//
// It does not retry, follows no redirect and shows a secret to nobody.
package webhook
