package scim

import (
	"postern/core/directory"
	"postern/scim/resource"
)

// profileOf is how a kind of connection may depart from the RFC. The rest of what they send needs no
// profile, since it cannot be mistaken for anything else.
func profileOf(kind directory.ConnectionKind) resource.Profile {
	return resource.Profile{BareValues: true, ReplaceCreates: kind != directory.Generic}
}
