package certificates

import (
	"slices"
	"time"

	"postern/core"
)

// Format is the version of the form certificates have.
const Format = 1

// Reason is what a certificate is about.
type Reason string

// The reasons.
const (
	Deprovision Reason = "deprovision" // the person left
	Logout      Reason = "logout"      // they were logged out everywhere, and keep what they have
	Revocation  Reason = "revocation"  // what their identity provider told of them had their accounts rotated, and they keep what they have
)

// State is how far a certificate has come.
type State string

// The states.
const (
	Pending    State = "pending"    // something is open, and there is time left
	Complete   State = "complete"   // every password is dead, and every link and every other secret of a leaver has ended
	Incomplete State = "incomplete" // something is open after the deadline
)

// Fate is what became of a password.
type Fate string

// The fates.
const (
	Dead     Fate = "dead"     // the app was seen to refuse it
	Replaced Fate = "replaced" // not tried since, but the app was seen to accept a later one and to refuse the one before that
	Open     Fate = "open"     // it may still work
)

// Certificate says what became of the passwords somebody knew. Its JSON is what is signed.
type Certificate struct {
	Format      int          `json:"format"`
	ID          core.ID      `json:"id"`
	Workspace   core.ID      `json:"workspace"`
	Number      int          `json:"number"`               // of the issue; 0: not signed yet
	Supersedes  string       `json:"supersedes,omitempty"` // SHA-256 of the issue before, hexadecimal
	Issued      time.Time    `json:"issued"`
	Reason      Reason       `json:"reason"`
	Person      Person       `json:"person"`
	Cause       Cause        `json:"cause"`
	Departed    time.Time    `json:"departed"` // since when they can do nothing
	Deadline    time.Time    `json:"deadline"`
	State       State        `json:"state"`
	Safe        *time.Time   `json:"safe,omitempty"`            // when the last password was dead, and the last other secret had ended
	TimeToSafe  *int64       `json:"time_to_safe_ms,omitempty"` // from departed to safe
	Reactivated *time.Time   `json:"reactivated,omitempty"`     // they are back since; nothing of this was given back by that
	Taken       Taken        `json:"taken"`
	Credentials []Credential `json:"credentials"`        // what they saw first, then what they could have seen
	Links       []Link       `json:"links,omitempty"`    // a leaver's, that were good when they left
	Secrets     []Secret     `json:"secrets,omitempty"`  // a leaver's, that are no passwords of accounts
	Disabled    []Disabled   `json:"disabled,omitempty"` // accounts nobody owns any more that their apps are to let in no more
}

// Person is whom a certificate is about.
type Person struct {
	ID       core.ID `json:"id"`
	UserName string  `json:"user_name"`
	Name     string  `json:"name"`
}

// Cause is who made them leave.
type Cause struct {
	Actor       core.Actor `json:"actor"`
	Received    time.Time  `json:"received"`    // when Postern was told
	Correlation core.ID    `json:"correlation"` // of all events that belong to it
}

// Taken is what was taken at the departure beside passwords.
type Taken struct {
	Sessions int      `json:"sessions"` // that were live
	Grants   []Grant  `json:"grants"`   // that were revoked
	Passed   []Passed `json:"passed"`   // accounts of which they were the last owner, and who owns them now
	Orphaned []Named  `json:"orphaned"` // accounts nobody owns any more
}

// Named is an account as a person knows it.
type Named struct {
	Account core.ID `json:"account"`
	Name    string  `json:"name"`
}

// Grant is one that was revoked.
type Grant struct {
	Named
	Role string `json:"role"`
}

// Passed is an account that got another owner.
type Passed struct {
	Named
	To  core.Target `json:"to"`
	Why string      `json:"why"`
}

// Link is an account they had shared by a link: it opens nothing without an owner who may.
type Link struct {
	Named
	ID       core.ID    `json:"id"`
	For      []string   `json:"for"` // e-mail addresses, and domains
	Purpose  string     `json:"purpose,omitempty"`
	Views    int        `json:"views"`
	Died     *time.Time `json:"died,omitempty"`    // nil: its end is not seen to yet
	Rotation core.ID    `json:"rotation,omitzero"` // that followed from its end
}

// Disabled is an account that nobody owns any more, and that its app is to let in no more.
type Disabled struct {
	Account       core.ID    `json:"account"`
	App           string     `json:"app"`
	Username      string     `json:"username"`
	Asked         time.Time  `json:"asked"`
	Administrator core.ID    `json:"administrator,omitzero"` // who asked the app
	Recorded      *time.Time `json:"recorded,omitempty"`     // the app's own record, read back, said so
	Refused       *time.Time `json:"refused,omitempty"`      // a fresh sign-in was turned away
	// Proved is when that proved it: with the record, or with the app's word at the sign-in. Nil: it is under way, or a person is
	// needed, or the app may have refused the stored password for another reason.
	Proved   *time.Time `json:"proved,omitempty"`
	Why      string     `json:"why,omitempty"`       // it is not proved
	NextStep string     `json:"next_step,omitempty"` // what a person can do about it
}

// Credential is one password of one account.
type Credential struct {
	Account  core.ID    `json:"account"`
	App      string     `json:"app"`
	Username string     `json:"username"`
	Version  int        `json:"version"`
	Seen     *Seen      `json:"seen,omitempty"` // nil: they were never given it, but could have looked
	Fate     Fate       `json:"fate"`
	Died     *time.Time `json:"died,omitempty"`
	Proof    *Proof     `json:"proof,omitempty"`     // of what is dead by a rotation
	Rotation core.ID    `json:"rotation,omitzero"`   // under way
	Why      string     `json:"why,omitempty"`       // it is open, or replaced, or dead because the account is disabled
	NextStep string     `json:"next_step,omitempty"` // what a person can do about it
}

// Seen is how they came to know a password.
type Seen struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	How   []string  `json:"how"` // entered, filled, revealed
}

// Proof is two fresh sign-ins: the new password accepted, and then this one refused.
type Proof struct {
	Rotation    core.ID   `json:"rotation"`
	NewAccepted time.Time `json:"new_accepted"`
	OldRefused  time.Time `json:"old_refused"`
	Agent       string    `json:"agent,omitempty"`
	// SessionsEnded is when the app said that it ended the sessions opened before; nil: nobody asked it, or it did not.
	SessionsEnded *time.Time `json:"sessions_ended,omitempty"`
}

// Count is how many passwords had a fate.
func (c Certificate) Count(fate Fate) int {
	count := 0
	for _, one := range c.Credentials {
		if one.Fate == fate {
			count++
		}
	}
	return count
}

// OpenLinks is how many links have not ended.
func (c Certificate) OpenLinks() int {
	count := 0
	for _, one := range c.Links {
		if one.Died == nil {
			count++
		}
	}
	return count
}

// Unproved is how many accounts are not proved to be disabled that are to be.
func (c Certificate) Unproved() int {
	count := 0
	for _, one := range c.Disabled {
		if one.Proved == nil {
			count++
		}
	}
	return count
}

// says reports whether two certificates say the same: of whom they are, and what became of what. Words
// and times of what is still open are no news.
func (c Certificate) says(other Certificate) bool {
	if c.State != other.State || (c.Reactivated == nil) != (other.Reactivated == nil) || len(c.Credentials) != len(other.Credentials) ||
		c.OpenLinks() != other.OpenLinks() || !slices.EqualFunc(c.Secrets, other.Secrets, Secret.says) || !slices.EqualFunc(c.Disabled, other.Disabled, Disabled.says) {
		return false
	}
	fates := make(map[key]Fate, len(other.Credentials))
	for _, one := range other.Credentials {
		fates[key{one.Account, one.Version}] = one.Fate
	}
	for _, one := range c.Credentials {
		if fate, there := fates[key{one.Account, one.Version}]; !there || fate != one.Fate {
			return false
		}
	}
	return true
}

func (d Disabled) says(other Disabled) bool {
	return d.Account == other.Account && (d.Proved == nil) == (other.Proved == nil) && (d.Refused == nil) == (other.Refused == nil)
}

// key names a password.
type key struct {
	account core.ID
	version int
}
