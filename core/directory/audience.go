package directory

import (
	"strings"

	"postern/core"
)

// Audience is a client assertion's audience in the one spelling that is kept and compared. Entra ID
// shows the audience of a workload identity as api://<application id>/.default and issues tokens for
// api://<application id> or for the application id alone: those three are one audience, if the id is
// one. Everything else is itself.
func Audience(text string) string {
	id, scheme := strings.CutPrefix(text, "api://")
	if scheme {
		id = strings.TrimSuffix(id, "/.default")
	}
	parsed, err := core.ParseID(id)
	if err != nil || parsed.IsZero() {
		return text
	}
	return "api://" + parsed.String()
}

// normalised is the settings as they are kept.
func (p Provisioning) normalised() Provisioning {
	p.Assertion.Audience = Audience(p.Assertion.Audience)
	return p
}
