// Package links gives accounts to people outside: by links, and by inviting guests. Both prove a mailbox with a code.
//
//	owner ── Create ──► link ── its address ──► recipient ── Ask ──► a code by mail ── Open ──► the password, once seen:
//	                      │                                                              receipt · exposure · event
//	                      └── expires · was viewed · revoked · its owner is gone ──► ended, and the account rotated
//	owner ── Invite ──► guest (a user without a connection) ── AskGuest ──► a code by mail ── Enter ──► a session
//
// A link opens for whom it names, by address or by domain, and for nobody else: whoever opens it types a code that was mailed
// to such an address just now. What is in the link's address is 256 random bits, of which a SHA-256 is stored. They are in
// the path and not in the fragment: a fragment is kept from servers, but needs a script to be read, and buys little here, because the
// address alone opens nothing. So the page works without scripts, a mail scanner that follows the link finds a
// form and uses nothing up, the gateway's log leaves the path out, and no other site is told it (Referrer-Policy).
//
// A code has eight digits and lives ten minutes. It is good in the browser that asked for it, for the link it was asked for, once;
// five wrong ones end it. What is stored is a hash of it and of 256 bits that only that browser has: who reads the database
// cannot try codes. Asking is limited by mailbox and by network address, and costs, answers and waits the same
// whether there is anybody to write to: nobody learns who is a recipient, or a guest.
//
// A view is on record, with its receipt, its exposure and its event, before anybody sees anything. Of any number who open a
// link for one view at once, one does. With the device lock a recipient opens it on the device they first opened it on.
// The level says what the page does: "filled" hands the password over to be pasted without showing it, "revealed" shows it.
// Either way the recipient has it afterwards; that is why the account is rotated when the link ends.
//
// A link ends by the clock, by its one view, or by hand, and when the owner in whose name it was made leaves, or owns the account no more:
// a right that is gone cannot be lent on, and the recipients' knowledge ends with the leaver's. From that moment it gives nothing. Its end is
// told and the account rotated (policies.LinkEnd) exactly once, whichever process does it and whatever was viewed. After its one
// view the password stays good for a while, an hour if nobody says, or the view would be for nothing.
//
// A guest is a collaborator at most, whatever they are given, and sees what was shared with them. Invitations that nobody accepted
// end by themselves. Who is removed is a leaver like any other; who is invited again has nothing of what they had.
//
// A partner is an organisation outside: a name, the domains of its e-mail addresses, the member who answers for it, and perhaps an
// end. Who is invited at its domains is its guest. When it ends, by hand or by the clock, none of its guests signs in from that
// commit on, and each is sent away right after, also by another process if this one is killed. A partner whose sponsor left
// stays as it is, and is a finding until it has another.
//
// It never tells more than one person one code, never puts a password into a mail, and never shows a second-factor seed.
package links
