package rotation

import (
	"context"
	"encoding/json"
	"time"

	"postern/core"
	"postern/core/accounts"
	"postern/core/seal"
)

// Outcome is what a connector saw. It never guesses: what it cannot tell is Unknown.
type Outcome string

// The outcomes of Verify, Change and Reset. Those of a failure before the change request left say so by
// Report.Released being false.
const (
	// Accepted: the app let this username and password in. Only Verify says so.
	Accepted Outcome = "accepted"
	// Rejected: the app said that this username or password is wrong. From Change it means that the
	// sign-in with the current password was rejected, from Reset that the app has no such account.
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
	// Locked: the app says that the account is locked, as after failed sign-ins.
	Locked Outcome = "locked"
	// Disabled: the app says that the account is disabled.
	Disabled Outcome = "disabled"
	// MustChange: the password was right, but the app wants it changed before anything else.
	MustChange Outcome = "must_change"
	// Unreachable: the app is down, or its address leads nowhere.
	Unreachable Outcome = "unreachable"
	// TimedOut: the app did not answer in time.
	TimedOut Outcome = "timed_out"
	// AdminRejected: the app said that the administrator's username or password is wrong. It says nothing of the account.
	AdminRejected Outcome = "admin_rejected"
	// AdminDenied: something else than a wrong password keeps the administrator out (locked, disabled, a code), or the
	// administrator may not do what was asked.
	AdminDenied Outcome = "admin_denied"
	// NoMessage: the app was asked for its forgotten-password mail, and none with a link of its own came. Only Recover says so.
	NoMessage Outcome = "no_message"
	// Found: the app is there, with what one would sign in with. Only Look says so.
	Found Outcome = "found"
)

// outcomes are all there are.
var outcomes = []Outcome{
	Accepted, Rejected, Applied, Refused, NotSent, Unknown, FormNotFound, Challenge, Locked, Disabled, MustChange, Unreachable, TimedOut,
	AdminRejected, AdminDenied, NoMessage,
}

// Finding is what an outcome of Verify says of the password that was tried; ok is false if nothing.
func (o Outcome) Finding() (finding accounts.Finding, ok bool) {
	finding, ok = map[Outcome]accounts.Finding{
		Accepted: accounts.SignInAccepted, Rejected: accounts.SignInRefused, MustChange: accounts.Expired, Locked: accounts.LoginLocked,
		Disabled: accounts.LoginDisabled,
	}[o]
	return finding, ok
}

// The stages of a Report: how far the connector had come.
const (
	StageNavigate   = "navigate"
	StageSignIn     = "sign_in"
	StageChangeForm = "change_form"
	StageSubmit     = "submit"
	StageVerify     = "verify"
	StageEnrolForm  = "enrol_form"
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
	// PasswordRules are what a person says of the app's passwords, in the language of passwordrules. They go before
	// what the app's page says, unless the page could not send such a password. May be empty.
	PasswordRules string
	// Known gives the Model of an earlier Report, of when all was as it should be; empty: there is none. A connector that
	// does not find its way any more says what has changed since. May be nil.
	Known func(ctx context.Context) json.RawMessage
}

// Credential is what one signs in with.
type Credential struct {
	Username string
	Password seal.Secret
	// Code gives the one-time code of the moment, for an app that asks for one besides. It gives none twice, so it may
	// take as long as a code is good. Nil: no TOTP secret of the account is stored, and it can be sent none.
	Code func(ctx context.Context) (seal.Secret, error)
	// Sent: Code gives what the app sends when it asks. There is none before, and an error of code "no_message" if none
	// came.
	Sent bool
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
	// Rules are what the app says of the passwords it takes, in the language of passwordrules; empty: nothing. From a
	// Change that is Refused they are why, and the next candidate satisfies them.
	Rules string
	// BackupCodes are what the app showed for when the second factor is lost, from an Enrol that is Applied. They go to the
	// vault, and are not kept with the rest.
	BackupCodes []seal.Secret `json:"-"`
	// Recorded: the app's own record of the account, read back after SetEnabled, says so too.
	Recorded bool
	// Reused: the app refused the new password because it had it before. Another of the same kind will do.
	Reused bool
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

// Enroller is a Connector that can turn on an account's second factor: one-time codes made by the clock (RFC 6238).
type Enroller interface {
	Connector

	// Enrol signs in, has the app show the secret that codes are made of, and answers with the first code. keep is called
	// exactly once with the secret as the app shows it (an otpauth:// address, or base32), before any code leaves; it
	// stores the secret and returns the code to answer with. If it returns an error, nothing is sent and the outcome is
	// NotSent. Called again without a secret, keep gives a further code, for an app that wants one before it shows backup
	// codes. Applied and Refused are what the app said to the code, and evidence, not proof.
	Enrol(ctx context.Context, target Target, credential Credential, keep func(ctx context.Context, secret seal.Secret) (code seal.Secret, err error)) Report
}

// Resetter is a Connector that can set an account's password as an administrator of the app.
type Resetter interface {
	Connector

	// Reset signs in as admin and asks the app for next as the password of the account named username. For release the
	// same holds as in Change. What keeps the administrator from it is AdminRejected or AdminDenied, never an outcome
	// that speaks of the account. One that the app has disabled or locked is not let in by it: either nothing is sent, and
	// the outcome is Disabled or Locked, or it has another password and is as closed as before. The same again does no harm.
	Reset(ctx context.Context, target Target, admin Credential, username string, next seal.Secret, release func(ctx context.Context) error) Report
}

// Forgotten is an account whose password nobody knows.
type Forgotten struct {
	Username string
	Address  string // that the app's mail comes to
	// Link gives the link of a mail that has come since, the newest, none twice: an error of code "no_message" if none comes
	// in time. Where the app says that one is not good, the next may be: an older mail may come late.
	Link func(ctx context.Context) (seal.Secret, error)
}

// Recoverer is a Connector that can set an account's password by way of the app's forgotten-password mail.
type Recoverer interface {
	Connector

	// Recover has the app mail a link, follows it if it leads to the app, and asks the app for next there. For release the
	// same holds as in Change. Nobody signs in: Rejected is an app that knows no such account.
	Recover(ctx context.Context, target Target, forgotten Forgotten, next seal.Secret, release func(ctx context.Context) error) Report
}

// Disabler is a Connector that can have an app let an account in no more, or again, as an administrator of the app.
type Disabler interface {
	Connector

	// SetEnabled signs in as admin and has the app let the account named username in, or not. Applied is what the app says of
	// it, and stands for one that was so already; the other outcomes are those of Reset. Nobody's password is part of it, so
	// it is held at no gate, and the same again does no harm.
	SetEnabled(ctx context.Context, target Target, admin Credential, username string, enabled bool) Report
}

// Revoker is a Connector that can end the sessions an account has open, as an administrator of the app.
type Revoker interface {
	Connector

	// Revoke signs in as admin and has the app end the sessions of the account named username. The rest is as in SetEnabled.
	Revoke(ctx context.Context, target Target, admin Credential, username string) Report
}

// User is an account that an app has.
type User struct {
	Username string
	Name     string // what the app calls whoever has it; may be empty
	Disabled bool
}

// Lister is a Connector that can tell which accounts an app has, as an administrator of the app.
type Lister interface {
	Connector

	// Users signs in as admin and calls each for every account; an error of each ends it. Applied is that it told of all, and
	// nothing less; the other outcomes are those of SetEnabled.
	Users(ctx context.Context, target Target, admin Credential, each func(user User) error) Report
}

// Token is one that an app has given out.
type Token struct {
	ID   string // the app's
	Name string
}

// Issuer is a Connector that can make and end the tokens of an account: what programs get in with instead of its password.
type Issuer interface {
	Connector

	// Issue signs in as by, an administrator of the app or the account itself, and has the app make a token of this name for the
	// account named username. keep is called once with the app's id of it and its value, which the app never tells again; Applied
	// is that it returned nil. If it returns an error the token is there all the same: Tokens tells of it. The other outcomes are
	// those of SetEnabled.
	Issue(ctx context.Context, target Target, by Credential, username, name string, keep func(ctx context.Context, id string, value seal.Secret) error) Report
	// Tokens calls each for every token of the account; an error of each ends it. Applied is that it told of all, and nothing less.
	Tokens(ctx context.Context, target Target, by Credential, username string, each func(token Token) error) Report
	// Withdraw has the app end the token of that id. One that is not there any more is Applied too, so the same again does no harm.
	Withdraw(ctx context.Context, target Target, by Credential, username, id string) Report
	// TryToken says whether the app lets in who has a token of the account: Accepted or Rejected. Nobody's password is part of it.
	TryToken(ctx context.Context, target Target, username string, token seal.Secret) Report
}

// Looker is a Connector that can look at an app without signing in.
type Looker interface {
	Connector

	// Look goes as far as an attempt to sign in can without an account, and says what is there.
	Look(ctx context.Context, target Target) Report
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
