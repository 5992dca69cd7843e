package browser

import (
	"bytes"
	"encoding/json"
	"time"

	"postern/connectors/recipe"
	"postern/core"
)

// Settings are an app's overrides: what the detection cannot find, or gets wrong. Everything is
// optional. Selectors are CSS; "host >>> field" steps into a shadow root or a frame.
//
//	{"sign_in": {"username": "#user", "before": ["#show-password-login"]},
//	 "change":  {"before": ["button.wp-generate-pw"], "new": "#pass1", "success": ["Profile updated"], "gate": "sent"},
//	 "timeout_seconds": 60}
type Settings struct {
	// SignIn is about the page at Target.SignInURL.
	SignIn SignInSettings `json:"sign_in,omitzero"`
	// Change is about the page at Target.ChangeURL.
	Change ChangeSettings `json:"change,omitzero"`
	// Enrol is about the page a second factor is turned on at.
	Enrol EnrolSettings `json:"enrol,omitzero"`
	// Forgotten is about the form that asks whose password was forgotten.
	Forgotten ForgottenSettings `json:"forgotten,omitzero"`
	// Recipe is a recording of the way, followed instead of the detection. `postern recipe import` makes it.
	Recipe *recipe.Recipe `json:"recipe,omitempty"`
	// TimeoutSeconds bounds each wait for the app: for a page, and for the answer to a form.
	// Default: what the connector was made with.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	// Screenshot keeps a masked picture of the last page of every attempt, not only of failed ones.
	Screenshot bool `json:"screenshot,omitempty"`
}

// SignInSettings describe a sign-in page.
type SignInSettings struct {
	Before   []string `json:"before,omitempty"` // pressed one after the other before the form is looked for
	Username string   `json:"username,omitempty"`
	Password string   `json:"password,omitempty"`
	Submit   string   `json:"submit,omitempty"`
	Success  []string `json:"success,omitempty"` // texts that only a signed-in visitor sees
	Failure  []string `json:"failure,omitempty"` // texts that say the username or password is wrong
}

// ChangeSettings describe a change-password page.
type ChangeSettings struct {
	Before  []string `json:"before,omitempty"` // pressed one after the other before the form is looked for
	Current string   `json:"current,omitempty"`
	New     string   `json:"new,omitempty"`
	Confirm string   `json:"confirm,omitempty"`
	Submit  string   `json:"submit,omitempty"`
	Success []string `json:"success,omitempty"` // texts that say the password was changed
	Failure []string `json:"failure,omitempty"` // texts that say the new password was refused
	// Gate is what is demanded of the change request: GateEqual (as when empty) or GateSent.
	Gate string `json:"gate,omitempty"`
}

// What the commit gate demands of a change request.
const (
	GateEqual = "equal" // every new password in it is the one that is stored
	// GateSent demands nothing: the first request with a body after the form has been filled in is released. For a page that
	// hashes or encrypts what is typed in. Only the sign-ins that follow tell what the page made of it.
	GateSent = "sent"
)

// EnrolSettings describe the way to a second factor. Without any, the app's own links are followed.
type EnrolSettings struct {
	URL    string   `json:"url,omitempty"`    // where it begins
	Before []string `json:"before,omitempty"` // pressed there, one after the other
}

// ForgottenSettings describe the way to a forgotten-password mail. Without any, the sign-in page's own links are followed.
type ForgottenSettings struct {
	URL    string   `json:"url,omitempty"`    // where the form is
	Before []string `json:"before,omitempty"` // pressed there, one after the other
}

// ParseSettings reads the settings of an app. An unknown member is Invalid, so that a misspelt one is
// found when the app is set up and not when a person leaves.
func ParseSettings(document json.RawMessage) (Settings, error) {
	var settings Settings
	if len(bytes.TrimSpace(document)) == 0 {
		return settings, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&settings); err != nil {
		return Settings{}, core.Invalid("settings", "the settings of the app cannot be read: %v", err)
	}
	if settings.TimeoutSeconds < 0 || settings.TimeoutSeconds > 300 {
		return Settings{}, core.Invalid("settings.timeout_seconds", "a timeout is between 1 and 300 seconds")
	}
	switch settings.Change.Gate {
	case "", GateEqual, GateSent:
	default:
		return Settings{}, core.Invalid("settings.change.gate", "the gate is %q or %q", GateEqual, GateSent)
	}
	if settings.Recipe != nil {
		if err := settings.Recipe.Check(nil); err != nil {
			return Settings{}, core.Invalid("settings.recipe", "%s", core.AsError(err).Message)
		}
	}
	return settings, nil
}

func (s Settings) timeout(standard time.Duration) time.Duration {
	if s.TimeoutSeconds > 0 {
		return time.Duration(s.TimeoutSeconds) * time.Second
	}
	return standard
}
