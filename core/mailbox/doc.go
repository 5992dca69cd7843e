// Package mailbox holds the messages that apps send to accounts: by e-mail to an address of the account's own, and by
// SMS to a number that was assigned to it.
//
//	webhooks/mail ── one recipient ──► Expected ─► Receive ── one transaction ──► message (sealed) · event
//	webhooks/sms  ── a known number ─► Called ───►   │                              │
//	                                                 └─ code or link, if any        ├─► Messages, Read: people, on record
//	                                                                                └─► Await: Postern itself, each once
//
// A code is found by what the message says of it, in this order: a last line "@host #code", which binds it to the app's
// hosts (WICG, origin-bound one-time codes); "G-123456"; four to eight digits nearest to a word for a code in the same
// sentence, in English, German, French, Spanish, Portuguese or Japanese. Of a message whose code says that it is for
// another host nothing is taken. A link is taken only to one of the app's hosts.
//
// Who may use the account may read its messages, also while it is closed: a message may be what opens it again. That they
// did is committed, with its event, before they see it. What a message says is sealed under a key of the workspace's and
// erased after its retention; beside it, in clear, stands who sent it, when, and a subject without what may be a code. A
// message is taken once, however often it is sent. An account takes so many messages an hour and keeps so many; what is
// beyond that is refused and delays no other account.
//
// Postern's own use of a message is single: no two sign-ins are given the same code.
//
// It never opens a connection and never reads a message's format: the wings do.
package mailbox
