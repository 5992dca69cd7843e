// Package sms takes the text messages to accounts' numbers from the providers that receive them.
//
//	POST /webhooks/sms/{workspace}/{provider} ── signature ─► mailbox.Called: 404 nobody's · 429 too many
//	                                                        ─► mailbox.Receive ── commit ─► 204
//
// A provider is believed by its signature alone, with a secret of its own: Twilio's (HMAC-SHA1 over the public address and
// the sorted parameters, https://www.twilio.com/docs/usage/security) or that of Standard Webhooks 1.0, whose timestamp is
// at most five minutes off and whose body is {"data":{"from","to","text"}}. What was answered 204 is committed. A message
// that comes again, by the provider's id of it, is answered 204 and changes nothing. A provider of one workspace reaches
// no number of another.
//
// It sends nothing and asks nobody.
package sms
