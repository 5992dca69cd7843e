package accounts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/seal"
)

// labels writes an account's versions, newest first: "3 candidate, 2, 1 current".
func labels(t testing.TB, w *world, workspace, account core.ID) string {
	t.Helper()
	versions, err := w.Versions(t.Context(), w.DB, workspace, account)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, version := range versions {
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%d %s", version.Version, version.Label)))
	}
	return strings.Join(texts, ", ")
}

func TestLabelsMoveAndVersionsStay(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	add := func(text string) (version int) {
		t.Helper()
		w.tx(t, func(tx pgx.Tx) (err error) {
			version, err = w.AddCandidate(t.Context(), tx, acme.workspace, account.ID, seal.NewSecret(text))
			return err
		})
		return version
	}
	promote := func(version int) error {
		return w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
			return w.Promote(t.Context(), tx, acme.workspace, account.ID, version)
		})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func() accounts.Account {
		t.Helper()
		got, err := w.Account(t.Context(), w.DB, acme.workspace, account.ID)
		must(err)
		return got
	}

	equal(t, "candidate", add("second"), 2)
	equal(t, "labels", labels(t, w, acme.workspace, account.ID), "2 candidate, 1 current")
	equal(t, "candidate", add("third"), 3)
	equal(t, "labels", labels(t, w, acme.workspace, account.ID), "3 candidate, 2, 1 current")
	if read().Rotated != nil {
		t.Error("a candidate alone is no rotation")
	}

	proven := w.clock.Now().Add(time.Second)
	w.tx(t, func(tx pgx.Tx) error {
		return w.MarkProven(t.Context(), tx, acme.workspace, account.ID, 3, proven)
	})
	if read().Validated != nil {
		t.Error("a candidate's proof validates the current password")
	}
	must(promote(3))
	equal(t, "labels", labels(t, w, acme.workspace, account.ID), "3 current, 2, 1 previous")
	if got := read(); got.Rotated == nil || got.Validated == nil || !got.Validated.Equal(proven) {
		t.Errorf("got %+v", got)
	}
	must(promote(3))
	equal(t, "labels after promoting again", labels(t, w, acme.workspace, account.ID), "3 current, 2, 1 previous")

	// The app turns out to have a password from the history.
	rotated := *read().Rotated
	w.clock.Pass(time.Hour)
	equal(t, "candidate", add("fourth"), 4)
	must(promote(2))
	equal(t, "labels", labels(t, w, acme.workspace, account.ID), "4 candidate, 3 previous, 2 current, 1")
	if !read().Rotated.Equal(rotated) {
		t.Error("adopting a password is no rotation")
	}
	must(promote(3))
	equal(t, "labels", labels(t, w, acme.workspace, account.ID), "4 candidate, 3 current, 2 previous, 1")
	coretest.Wants(t, promote(9), core.KindNotFound, "")

	for version, text := range map[int]string{1: "first password of shared", 2: "second", 3: "third", 4: "fourth"} {
		got, err := w.Password(t.Context(), w.DB, acme.workspace, account.ID, version)
		if err != nil || got.Reveal() != text {
			t.Errorf("version %d is %q, %v", version, got.Reveal(), err)
		}
	}
	equal(t, "the neighbour's labels", labels(t, w, other.workspace, twin.ID), "1 current")
}

func TestMarks(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana")
	other.account(t, "shared", "ana")
	late, early := w.clock.Now().Add(time.Hour), w.clock.Now()
	w.tx(t, func(tx pgx.Tx) error {
		for _, at := range []time.Time{late, early} {
			if err := w.MarkProven(t.Context(), tx, acme.workspace, account.ID, 1, at); err != nil {
				return err
			}
			if err := w.MarkRefused(t.Context(), tx, acme.workspace, account.ID, 1, at); err != nil {
				return err
			}
		}
		return nil
	})
	versions, err := w.Versions(t.Context(), w.DB, acme.workspace, account.ID)
	if err != nil || !versions[0].Proven.Equal(late) || !versions[0].Refused.Equal(late) {
		t.Errorf("got %+v, %v: a late answer of an earlier sign-in took its place", versions, err)
	}
	if got, err := w.Account(t.Context(), w.DB, acme.workspace, account.ID); err != nil || got.Validated == nil || !got.Validated.Equal(late) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, mark := range []func(tx pgx.Tx) error{
		func(tx pgx.Tx) error { return w.MarkProven(t.Context(), tx, acme.workspace, account.ID, 2, late) },
		func(tx pgx.Tx) error { return w.MarkProven(t.Context(), tx, other.workspace, account.ID, 1, late) },
		func(tx pgx.Tx) error {
			return w.MarkRefused(t.Context(), tx, other.workspace, account.ID, 1, late)
		},
		func(tx pgx.Tx) error { return w.Promote(t.Context(), tx, other.workspace, account.ID, 1) },
		func(tx pgx.Tx) error {
			_, err := w.AddCandidate(t.Context(), tx, other.workspace, account.ID, seal.NewSecret("x"))
			return err
		},
		func(tx pgx.Tx) error {
			_, err := w.Password(t.Context(), tx, other.workspace, account.ID, 1)
			return err
		},
	} {
		coretest.Wants(t, w.DB.Tx(t.Context(), mark), core.KindNotFound, "")
	}
	if versions, err := w.Versions(t.Context(), w.DB, other.workspace, account.ID); err != nil || len(versions) != 0 {
		t.Errorf("the neighbour sees versions: %v, %v", versions, err)
	}
	err = w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
		_, err := w.AddCandidate(t.Context(), tx, acme.workspace, account.ID, seal.NewSecret("two\nlines"))
		return err
	})
	coretest.Wants(t, err, core.KindInvalid, "password")
}

// Two workers store a candidate at once: both are kept, one is the candidate.
func TestCandidatesAtTheSameTime(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	w.side(t)
	account := acme.account(t, "shared", "ana")
	done := make(chan error)
	for i := range 6 {
		go func() {
			done <- w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				_, err := w.AddCandidate(t.Context(), tx, acme.workspace, account.ID, seal.NewSecret(fmt.Sprint("candidate", i)))
				return err
			})
		}()
	}
	for range 6 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	equal(t, "labels", labels(t, w, acme.workspace, account.ID), "7 candidate, 6, 5, 4, 3, 2, 1 current")
}
