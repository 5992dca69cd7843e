// Package mail sends e-mail to people: codes, invitations, reminders.
//
//	command ── Queue(ctx, tx, workspace, message) ──► mails (text sealed) + job
//	                        commit                            │
//	                                     worker ◄─────────────┘
//	                                        └── Sender ──► sent │ again later │ given up, with an event
//
// A mail is there if and only if its transaction committed, and is sent at least once: after a crash
// perhaps twice, with the same Message-ID. What a receiver refuses for good is given up at once; everything else is tried
// again, ever more seldom, until the mail is of no use any more. The text may hold a code: at rest it is
// sealed under a key of the workspace, in memory it is a seal.Secret, and when the mail has been sent or given
// up it is erased. A decoy costs whoever asks for it exactly what a mail costs, and goes to nobody: so nobody
// learns from the time it takes whether there is somebody to write to.
//
// Where mails are kept instead of sent, which is for development alone, their texts can be read. It never sends to more than
// one person, never sends HTML or attachments, and never lets what somebody wrote become a header.
package mail
