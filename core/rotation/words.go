package rotation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/passwordrules"
	"postern/core/seal"
)

// evidence is what a step keeps of a connector's report.
type evidence struct {
	Outcome  Outcome   `json:"outcome"`
	Detail   string    `json:"detail,omitempty"`
	Stage    string    `json:"stage,omitempty"`
	Version  int       `json:"version"` // of the password that was tried
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Hosts    []string  `json:"hosts,omitempty"`
	Released bool      `json:"released,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Fence    int64     `json:"fence"`
	// Administrator is the account that signed in to set the version, if it was not the account itself.
	Administrator core.ID         `json:"administrator,omitzero"`
	Screenshot    []byte          `json:"screenshot,omitempty"`
	Model         json.RawMessage `json:"model,omitempty"`
	Rules         string          `json:"rules,omitempty"`
}

// What is kept of a report, at most.
const (
	maxDetail     = 500
	maxModel      = 64 << 10
	maxScreenshot = 512 << 10
)

// cleaned makes a report fit to be stored: bounded, in a form PostgreSQL takes, and without the
// passwords that were used, should a connector have quoted an app that quotes them.
func cleaned(report Report, started, finished time.Time, secrets ...seal.Secret) Report {
	for _, secret := range secrets {
		if text := secret.Reveal(); text != "" {
			report.Detail = strings.ReplaceAll(report.Detail, text, "[redacted]")
			report.Rules = strings.ReplaceAll(report.Rules, text, "")
			if bytes.Contains(report.Model, []byte(text)) {
				report.Model = nil
			}
		}
	}
	report.Detail = strings.ReplaceAll(strings.ToValidUTF8(report.Detail, "?"), "\x00", "")
	if len(report.Detail) > maxDetail {
		report.Detail = strings.ToValidUTF8(report.Detail[:maxDetail], "") + "…"
	}
	if !slices.Contains(outcomes, report.Outcome) {
		report.Outcome = Unknown
	}
	if len(report.Model) > maxModel || !json.Valid(report.Model) || bytes.Contains(report.Model, []byte(`\u0000`)) {
		report.Model = nil
	}
	if len(report.Screenshot) > maxScreenshot {
		report.Screenshot = nil
	}
	// In their one form they are no longer the app's own words.
	said, _ := passwordrules.Parse(report.Rules)
	report.Rules = said.String()
	// A connector whose clock is another one would date a proof: a proof too old already is asked for again, for ever.
	if report.Started.Before(started) || report.Started.After(finished) {
		report.Started = started
	}
	if report.Finished.Before(report.Started) || report.Finished.After(finished) {
		report.Finished = finished
	}
	report.Started = report.Started.UTC().Truncate(time.Microsecond)
	report.Finished = report.Finished.UTC().Truncate(time.Microsecond)
	return report
}

// Words says what a report means and what a person can do about it.
func (r Report) Words() string { return words(r) }

// words says what an outcome means and what a person can do about it.
func words(report Report) string {
	text := ""
	switch report.Outcome {
	case Accepted, Applied:
		if report.Detail == "" {
			text = "The app accepted the password."
		}
	case Rejected:
		text = "The app refused the stored password."
	case Refused:
		text = "The app does not take the new password."
	case NotSent:
		text = "The new password was not sent: the page would have sent something else, or nothing."
	case FormNotFound:
		text = "The form was not found. Open the app's page and correct its sign-in or change address, or its settings."
	case Challenge:
		text = "The app asks something only a person can answer. Sign in by hand, or have the app let Postern in without it, then try again."
	case Locked:
		text = "The app says that the account is locked. Unlock it in the app, then try again."
	case Disabled:
		text = "The app says that the account is disabled. Enable it in the app, then try again."
	case MustChange:
		text = "The app accepts the password, and wants it changed before anything else."
	case AdminRejected:
		text = "The app refused the stored password of its administrator. Set that one right, then try again."
	case AdminDenied:
		text = "The app's administrator could not set the password. Settle what it says, then try again."
	case NoMessage:
		text = "No forgotten-password mail with a link of the app came. Enter the account's address at Postern in the app as the account's own, then try again; or set a password in the app and store it here."
	case Unreachable:
		text = "The app cannot be reached."
	case TimedOut:
		text = "The app did not answer in time."
	default:
		text = "The app's answer could not be understood."
	}
	if report.Detail != "" {
		text += " " + report.Detail
	}
	return strings.TrimSpace(text)
}

func versionWords(version int) string { return fmt.Sprintf("password version %d", version) }
