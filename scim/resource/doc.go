// Package resource is the SCIM resource as a document: read, corrected, patched, matched, projected,
// written.
//
//	bytes ──► Decode ──► Object ──► Type.Normalise ──► Type.Patch ──► Projection ──► Object.Append ──► bytes
//	                        schema of the Type: names, types, who may write ┘
//
// It keeps what it does not know: an attribute no schema names is stored and returned as it was sent.
// It takes what real identity providers send (booleans as text, numbers as text, null for removal, an
// attribute of an extension without its URN, a list where one value belongs) and turns it into one
// form. Each departure from the RFCs is a Rule, which the Profile notes when it had to be used and
// which a strict profile refuses; what is exactly as the RFCs have it needs none. Patching changes a
// document the caller owns; an error leaves it half changed, so patch a copy or throw it away.
// Decoding refuses duplicate names, nesting beyond 32, text that is no UTF-8 and zero characters; a
// PATCH that would look at too many values is refused, so that none costs more than its size allows.
//
// It knows no user, team, connection or database, and it never keeps a password: the attribute is
// dropped at the door. Its errors are core.Error whose Code is the scimType, and whose text names the
// place, never the value.
package resource
