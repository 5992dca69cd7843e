package signals

import (
	"strings"

	"postern/core/directory"
)

// meant is how the directory finds whom a simple subject names; false: Postern knows nobody by that. A subject
// that names nobody stands for the signal's session.
func (t *telling) meant(name Subject) (directory.Meant, bool) {
	meant := directory.Meant{Workspace: t.signal.Workspace, Connection: t.signal.Connection, Public: t.PublicURL}
	switch name.Format {
	case "":
		meant.SID = t.signal.SID
		return meant, meant.SID != ""
	case FormatEmail:
		meant.Email = name.Email
	case FormatAccount:
		meant.Email = accountAddress(name.URI)
	case FormatIssSub:
		meant.Issuer, meant.Subject = name.Issuer, name.Subject
	case FormatOpaque:
		meant.ID = name.ID
	case FormatURI, FormatDID:
		meant.ID = name.URI
	case FormatPhoneNumber, FormatJWTID, FormatSAMLAssertionID, FormatIPAddresses, FormatAliases, FormatComplex:
		return directory.Meant{}, false
	}
	return meant, true
}

// accountAddress is the user@host of an acct: URI (RFC 7565).
func accountAddress(uri string) string {
	if len(uri) > 5 && strings.EqualFold(uri[:5], "acct:") {
		return uri[5:]
	}
	return uri
}
