package rotation

import (
	"context"
	"encoding/json"
	"time"

	"postern/core"
	"postern/core/seal"
)

// Outcome is what a connector saw. It never guesses: what it cannot tell is Unknown.
type Outcome string

// The outcomes of Verify and Change. Those of a failure before the change request left say so by
// Report.Released being false.
const (
	// Accepted: the app let this username and password in. Only Verify says so.
	Accepted Outcome = "accepted"
	// Rejected: the app said that this username or password is wrong. From Change it means that the
	// sign-in with the current password was rejected.
	Rejected Outcome = "rejected"
	// Applied: the app answered that the password was changed. It is evidence, not proof.
	Applied Outcome = "applied"
	// Refused: the app answered that it does not take the new password (length, classes, reuse …).
	Refused Outcome = "refused"
	// NotSent: certain that no change request left the connector.
	NotSent Outcome = "not_sent"
	// Unknown: a request left and what came of it cannot be told; or the app's answer makes no sense.
	Unknown Outcome = "unknown"
	// FormNotFound: the page has no form a sign-in or a change could be made with.
	FormNotFound Outcome = "form_not_found"
	// Challenge: the app asks something only a person can answer: a captcha, a code.
	Challenge Outcome = "challenge"
	// Locked: the app says that the account is locked or disabled.
	Locked Outcome = "locked"
	// MustChange: the password was right, but the app wants it changed before anything else.
	MustChange Outcome = "must_change"
	// Unreachable: the app is down, or its address leads nowhere.
	Unreachable Outcome = "unreachable"
	// TimedOut: the app did not answer in time.
	TimedOut Outcome = "timed_out"
)

// The stages of a Report: how far the connector had come.
const (
	StageNavigate   = "navigate"
	StageSignIn     = "sign_in"
	StageChangeForm = "change_form"
	StageSubmit     = "submit"
	StageVerify     = "verify"
)

// Target is the account a connector is to work on, and the app it is in.
type Target struct {
	Workspace    core.ID
	Account      core.ID
	AppName      string
	Domains      []string // the only hosts a connector may reach
	SignInURL    string
	ChangeURL    string          // may be empty: the connector finds the way
	Settings     json.RawMessage // per-app overrides, in the connector's own shape
	AllowPrivate bool            // whether private addresses may be reached
}

// Credential is what one signs in with.
type Credential struct {
	Username string
	Password seal.Secret
}

// Report is what a connector did and saw. It holds no secret: it is stored and shown to people.
type Report struct {
	Outcome    Outcome
	Detail     string // for a person, one sentence
	Stage      string // how far it came: one of the Stage constants
	Started    time.Time
	Finished   time.Time
	Hosts      []string        // every host contacted
	Released   bool            // the change request left the connector
	Screenshot []byte          // PNG with every input masked; may be nil
	Model      json.RawMessage // the page's form fields without their values; may be nil
	Agent      string          // what talked to the app, such as "HeadlessChrome/156"
}

// Connector talks to one kind of app. It verifies and, if it is also a Changer, changes; it never
// generates, stores, retries or decides. It must end soon after its context does. It is used by
// many workers at once.
type Connector interface {
	// Verify signs in afresh, sharing nothing with an earlier sign-in, and says whether the app let
	// the credential in.
	Verify(ctx context.Context, target Target, credential Credential) Report
}

// Changer is a Connector that can set a new password as the account itself.
type Changer interface {
	Connector

	// Change signs in with the current credential and asks the app for the next password. release is
	// called exactly once, when the change request is complete and held back, and every new password
	// in it equals next; the request goes out only after release returned nil. If release returns an
	// error the request is dropped and the outcome is NotSent. A released request is never sent again.
	Change(ctx context.Context, target Target, current Credential, next seal.Secret, release func(ctx context.Context) error) Report
}

// Preparer is a Connector whose first sign-in would take longer than the others.
type Preparer interface {
	Connector

	// Prepare does beforehand what the first sign-in needs. An error is told and no more: every sign-in
	// sees for itself.
	Prepare(ctx context.Context) error
}

// Connectors are the connectors by the name an app gives in its Connector field.
type Connectors map[string]Connector
