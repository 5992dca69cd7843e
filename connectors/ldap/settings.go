package ldap

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/connectors/protocol"
	"postern/core"
)

// Settings are an app's, as JSON.
type Settings struct {
	// Bind is the name one binds with, with {username} where the user name belongs. Empty: the user name alone. A user name
	// that is a distinguished name of two parts or more is one already, such as that of an administrator elsewhere in the tree.
	Bind string `json:"bind"`
	// People is the entry below which people's are, and Username the attribute that has their user names: for a directory in
	// which Bind names no entries, as Active Directory. Empty: what Bind says.
	People   string `json:"people"`
	Username string `json:"username"`
}

// username is what Settings.Bind has where the user name belongs.
const username = "{username}"

const shape = `{"bind": "uid={username},ou=people,dc=example,dc=com"}, {"bind": "{username}@example.com", "people": "dc=example,dc=com", "username": "sAMAccountName"}, or none`

// attribute is the name of one (RFC 4512, section 1.4).
var attribute = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// ParseSettings reads an app's settings. What is no such thing is Invalid.
func ParseSettings(text json.RawMessage) (Settings, error) {
	settings, err := protocol.Settings[Settings](text, shape)
	if err != nil {
		return Settings{}, err
	}
	_, wrong := ldap.ParseDN(settings.People)
	switch {
	case settings.Bind != "" && !strings.Contains(settings.Bind, username),
		(settings.People == "") != (settings.Username == ""),
		settings.People != "" && (wrong != nil || !attribute.MatchString(settings.Username)):
		return Settings{}, core.Invalid("settings", "the app's settings are %s", shape)
	}
	return settings, nil
}

// name is what somebody binds with.
func (s Settings) name(given string) string {
	if s.Bind == "" || whole(given) {
		return given
	}
	if _, err := ldap.ParseDN(s.Bind); err == nil {
		given = ldap.EscapeDN(given)
	}
	return strings.ReplaceAll(s.Bind, username, given)
}

// whole reports whether what was given for a user name is the name of an entry.
func whole(given string) bool {
	name, err := ldap.ParseDN(given)
	return err == nil && len(name.RDNs) > 1
}

// place is where people's entries are, how deep, and which attribute has their user names.
func (s Settings) place() (base string, scope int, attribute string, ok bool) {
	if s.People != "" {
		return s.People, ldap.ScopeWholeSubtree, s.Username, true
	}
	name, err := ldap.ParseDN(s.Bind)
	if err != nil || len(name.RDNs) < 2 || len(name.RDNs[0].Attributes) != 1 || name.RDNs[0].Attributes[0].Value != username {
		return "", 0, "", false
	}
	above := &ldap.DN{RDNs: name.RDNs[1:]}
	return above.String(), ldap.ScopeSingleLevel, name.RDNs[0].Attributes[0].Type, true
}
