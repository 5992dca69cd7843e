package signals

import "encoding/json"

// MarshalJSON writes the subject as its standards have it (RFC 9493 §3): ParseSubject reads it back. Nobody is
// null.
func (s Subject) MarshalJSON() ([]byte, error) {
	if s.Format == "" {
		return []byte("null"), nil
	}
	said := map[string]any{"format": s.Format}
	switch s.Format {
	case FormatEmail:
		said["email"] = s.Email
	case FormatIssSub:
		said["iss"], said["sub"] = s.Issuer, s.Subject
	case FormatOpaque:
		said["id"] = s.ID
	case FormatAccount, FormatURI:
		said["uri"] = s.URI
	case FormatDID:
		said["url"] = s.URI
	case FormatPhoneNumber:
		said["phone_number"] = s.Phone
	case FormatJWTID:
		said["iss"], said["jti"] = s.Issuer, s.ID
	case FormatSAMLAssertionID:
		said["issuer"], said["assertion_id"] = s.Issuer, s.ID
	case FormatIPAddresses:
		said["ip-addresses"] = s.Addresses
	case FormatAliases:
		said["identifiers"] = s.Aliases
	case FormatComplex:
		for member, one := range s.Members {
			said[string(member)] = one
		}
	}
	return json.Marshal(said)
}

// UnmarshalJSON is ParseSubject; null is nobody.
func (s *Subject) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*s = Subject{}
		return nil
	}
	parsed, err := ParseSubject(text)
	*s = parsed
	return err
}
