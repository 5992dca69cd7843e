// Package scim is the SCIM 2.0 endpoint (RFC 7643, RFC 7644, RFC 9865) identity providers push people
// and teams to.
//
//	token endpoint ◄── client secret or signed assertion (RFC 6749 §4.4, RFC 7523 §2.2)
//	      │ access token, or a token of the connection
//	      ▼
//	Okta, Entra ID ─► /scim/v2 ─► room ─► token ─► connection ─► document ─► command ─► core/lifecycle
//	      ▲                                            │  ▲                                   │
//	      │                                        Bulk└──┘ one by one                        ▼
//	      └── resource, list or SCIM Error ◄── journal entry, in the transaction of the effect
//
// It guarantees that a request is answered only when its effect is durable, and that it happens whole
// or not at all: each operation of a Bulk by itself. A connection sees and changes only what it
// provisioned, and everything else does not exist for it. Every error, 401 and 405 included, is a SCIM
// Error whose text never repeats a value that was sent. Attributes nobody knows are kept and returned.
// A change leaves one entry in the journal, without passwords; of refusals alike, and of readings a rule
// was needed for, a sample is kept that counts the others. However much one workspace asks for, the
// others find room: waiting workspaces are served in turn, by how long their requests held a place, and
// a 429 says when there will be some. A token that was revoked opens nothing more, in a Bulk under way
// within a second. What waits when its sender goes away is given up.
//
// The shapes real identity providers send are understood without configuration (see resource), unless
// the connection's profile says otherwise. A connection that may grant is offered the accounts as
// entitlements and roles: those a user has are their grants.
//
// It never stores or returns a password, creates a resource by PUT, or overwrites by a create sent
// twice: that is a conflict. What a change of a person means it leaves to lifecycle.
package scim
