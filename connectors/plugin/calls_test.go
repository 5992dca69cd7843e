package plugin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

func (r rebellion) Recover(ctx context.Context, target rotation.Target, forgotten rotation.Forgotten, next seal.Secret, release func(ctx context.Context) error) rotation.Report {
	if r == "dies" {
		os.Exit(4)
	}
	link, err := forgotten.Link(ctx)
	switch {
	case err != nil && core.AsError(err).Code == "no_message":
		return rotation.Report{Outcome: rotation.NoMessage}
	case err != nil || forgotten.Username != "quay" || forgotten.Address != "quay@mail.example":
		return rotation.Report{Outcome: rotation.Unknown}
	}
	report := r.Change(ctx, target, rotation.Credential{}, next, release)
	report.Detail = link.Reveal()
	return report
}

func (r rebellion) Enrol(ctx context.Context, _ rotation.Target, _ rotation.Credential, keep func(context.Context, seal.Secret) (seal.Secret, error)) rotation.Report {
	switch r {
	case "dies":
		os.Exit(4)
	case "applied unasked":
		return rotation.Report{Outcome: rotation.Applied, BackupCodes: []seal.Secret{seal.NewSecret("one")}}
	}
	code, err := keep(ctx, seal.NewSecret("Canary-JBSWY3DPEHPK3PXP"))
	if err != nil {
		return rotation.Report{Outcome: rotation.NotSent}
	}
	switch r {
	case "dies released":
		os.Exit(4)
	case "twice":
		_, err = keep(ctx, seal.NewSecret("Canary-another"))
	default:
		_, err = keep(ctx, seal.Secret{})
	}
	if err != nil {
		return rotation.Report{Outcome: rotation.NotSent, Detail: code.Reveal()}
	}
	return rotation.Report{Outcome: rotation.Applied, Detail: code.Reveal(), BackupCodes: []seal.Secret{seal.NewSecret("one"), seal.NewSecret("two")}}
}

// A password is set behind the link of a mail that the gateway gives, and held at the same gate.
func TestAProgramThatRecovers(t *testing.T) {
	for behaviour, want := range map[string]struct {
		outcome  rotation.Outcome
		released bool
	}{
		"obeys": {rotation.Applied, true}, "no mail": {rotation.NoMessage, false}, "dies": {rotation.NotSent, false}, "released unasked": {rotation.Unknown, true},
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			asked := 0
			report := open(t, rebel(t, behaviour)).Recover(t.Context(), somewhere, rotation.Forgotten{
				Username: "quay", Address: "quay@mail.example", Link: func(context.Context) (seal.Secret, error) {
					if behaviour == "no mail" {
						return seal.Secret{}, errors.New("none came")
					}
					return seal.NewSecret("https://office.example.com/reset?canary"), nil
				},
			}, seal.NewSecret(second), func(context.Context) error { asked++; return nil })
			if report.Outcome != want.outcome || report.Released != want.released || asked > 1 || strings.Contains(report.Detail, "canary") {
				t.Errorf("%+v, asked %d times", report, asked)
			}
		})
	}
}

// A second factor is stored before a code of it is given, and once.
func TestAProgramThatEnrols(t *testing.T) {
	for behaviour, want := range map[string]struct {
		outcome rotation.Outcome
		kept    int
	}{
		"obeys": {rotation.Applied, 2}, "dies": {rotation.NotSent, 0}, "applied unasked": {rotation.Unknown, 0}, "dies released": {rotation.Unknown, 1}, "twice": {rotation.NotSent, 1},
	} {
		t.Run(behaviour, func(t *testing.T) {
			t.Parallel()
			kept := 0
			report := open(t, rebel(t, behaviour)).Enrol(t.Context(), somewhere, given(first), func(_ context.Context, secret seal.Secret) (seal.Secret, error) {
				if kept++; (secret.Reveal() == "") != (kept > 1) {
					t.Errorf("%q is kept", secret.Reveal())
				}
				return seal.NewSecret("Canary-code"), nil
			})
			if report.Outcome != want.outcome || kept != want.kept || strings.Contains(report.Detail, "Canary") {
				t.Errorf("%+v, kept %d times", report, kept)
			}
			if (len(report.BackupCodes) == 2) != (behaviour == "obeys") {
				t.Errorf("%d backup codes", len(report.BackupCodes))
			}
		})
	}
}

// What was hashed is what is started: a file that is written to while the program starts starts nothing else, and one that is another
// by the next start starts no more.
func TestAProgramThatIsSwapped(t *testing.T) {
	original := rebel(t, "obeys")
	text, err := os.ReadFile(original.Path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "office")
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	options := original
	options.Path = path
	changer := open(t, options)
	// The program that runs is not the file: it may be written to and cut off, and goes on as it was.
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho swapped\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if report := changer.Verify(t.Context(), somewhere, given(first)); report.Outcome != rotation.Accepted {
		t.Errorf("%s: %s", report.Outcome, report.Detail)
	}
	id, err := strconv.Atoi(changer.Process())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		report := changer.Verify(ctx, somewhere, given(first))
		if report.Outcome == rotation.Unreachable && strings.Contains(report.Detail, "another checksum") {
			return
		}
	}
	t.Error("a file of another checksum was started")
}
