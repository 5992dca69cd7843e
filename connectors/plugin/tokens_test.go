package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

func (r rebellion) Issue(ctx context.Context, _ rotation.Target, _ rotation.Credential, username, name string, keep func(ctx context.Context, id string, value seal.Secret) error) rotation.Report {
	if r == "applied unasked" {
		return rotation.Report{Outcome: rotation.Applied}
	}
	value, id := seal.NewSecret("Canary-token"), username+"/"+name
	if r == "nameless" {
		id = ""
	}
	err := keep(ctx, id, value)
	switch r {
	case "dies released":
		os.Exit(4)
	case "twice":
		_ = keep(ctx, id, value)
	case "ignores the answer":
		err = nil
	}
	if err != nil {
		return rotation.Report{Outcome: rotation.Unknown, Detail: "It is lost."}
	}
	return rotation.Report{Outcome: rotation.Applied, Detail: "Made " + value.Reveal()}
}

func (r rebellion) Tokens(_ context.Context, _ rotation.Target, _ rotation.Credential, _ string, each func(token rotation.Token) error) rotation.Report {
	for _, id := range []string{"1", "2", strings.TrimPrefix(string(r), "nameless")} {
		if each(rotation.Token{ID: id, Name: "robot"}) != nil {
			return rotation.Report{Outcome: rotation.Unknown}
		}
	}
	return rotation.Report{Outcome: rotation.Applied}
}

func (rebellion) Withdraw(_ context.Context, _ rotation.Target, _ rotation.Credential, username, id string) rotation.Report {
	return rotation.Report{Outcome: rotation.Applied, Detail: username + " " + id}
}

func (r rebellion) TryToken(_ context.Context, _ rotation.Target, username string, token seal.Secret) rotation.Report {
	if r == "verify applied" {
		return rotation.Report{Outcome: rotation.Applied}
	}
	return rotation.Report{Outcome: rotation.Accepted, Detail: username + " " + token.Reveal()}
}

// Whatever a program says of a token, none is taken for kept that was not, none is kept twice, and none is shown.
func TestAProgramThatMisbehavesWithTokens(t *testing.T) {
	for behaviour, want := range map[string]struct {
		outcome rotation.Outcome
		kept    int
		lost    bool // the gateway cannot keep it
	}{
		"obeys":              {rotation.Applied, 1, false},
		"obeys when lost":    {rotation.Unknown, 1, true},
		"ignores the answer": {rotation.Unknown, 1, true},
		"applied unasked":    {rotation.Unknown, 0, false},
		"twice":              {rotation.Applied, 1, false},
		"nameless":           {rotation.Unknown, 0, false},
		"dies released":      {rotation.Unknown, 1, false},
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			kept := 0
			report := open(t, rebel(t, behaviour)).Issue(t.Context(), somewhere, given(first), "shared", "robot", func(_ context.Context, id string, value seal.Secret) error {
				kept++
				if id != "shared/robot" || value.Reveal() != "Canary-token" {
					t.Errorf("kept %s as %s", value.Reveal(), id)
				}
				if want.lost {
					return errors.New("the vault is away")
				}
				return nil
			})
			text, err := json.Marshal(report)
			if err != nil || report.Outcome != want.outcome || kept != want.kept || strings.Contains(string(text), "Canary") {
				t.Errorf("kept %d times: %s", kept, text)
			}
		})
	}
	enough := errors.New("enough")
	connector := open(t, rebel(t, "obeys"))
	if report := connector.Tokens(t.Context(), somewhere, given(first), "shared", func(rotation.Token) error { return enough }); report.Outcome != rotation.Unknown {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	if report := connector.Withdraw(t.Context(), somewhere, given(first), "shared", "7"); report.Outcome != rotation.Applied || report.Detail != "shared 7" {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	if report := connector.TryToken(t.Context(), somewhere, "shared", seal.NewSecret("Canary-token")); report.Outcome != rotation.Accepted || report.Detail != "shared [redacted]" {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	if report := open(t, rebel(t, "verify applied")).TryToken(t.Context(), somewhere, "shared", seal.NewSecret("x")); report.Outcome != rotation.Unknown {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	if report := open(t, rebel(t, "nameless")).Tokens(t.Context(), somewhere, given(first), "shared", func(rotation.Token) error { return nil }); report.Outcome != rotation.Unknown {
		t.Errorf("a token without an id: %s: %s", report.Outcome, report.Detail)
	}
}
