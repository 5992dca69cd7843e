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

// described writes what a leaver was exposed to, in order: "one saw current direct, two".
func described(exposed []accounts.Exposed, known ...accounts.Account) string {
	var texts []string
	for _, one := range exposed {
		text := one.Account.String()
		for _, account := range known {
			if account.ID == one.Account {
				text = account.Username
			}
		}
		for word, is := range map[string]bool{" saw": one.Saw && !one.SawVersionCurrent, " saw-current": one.SawVersionCurrent, " direct": one.Direct} {
			if is && word != " direct" {
				text += word
			}
		}
		if one.Direct {
			text += " direct"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

func TestExposedAndRevokeAll(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	var all []accounts.Account
	for _, name := range []string{"own", "seen", "rotated", "given up", "by team", "expired", "strange"} {
		owner := "cleo"
		if name == "own" {
			owner = "ana"
		}
		all = append(all, acme.account(t, name, owner))
		other.account(t, name, "ana")
	}
	own, seen, rotated, givenUp, byTeam, expired := all[0], all[1], all[2], all[3], all[4], all[5]
	ana := accounts.Subject{User: acme.user("ana")}
	acme.add(t, "wiki", "ana")
	var last accounts.Grant
	for _, account := range []accounts.Account{seen, rotated, givenUp} {
		var err error
		if last, err = acme.share(t, acme.cause, account.ID, ana, accounts.Collaborator, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Fill(t.Context(), acme.as("ana"), acme.workspace, ana.User, account.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := acme.unshare(t, acme.cause, last.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := acme.share(t, acme.cause, byTeam.ID, accounts.Subject{Team: acme.teams["wiki"].ID}, accounts.Collaborator, nil); err != nil {
		t.Fatal(err)
	}
	hour := w.clock.Now().Add(time.Hour)
	if _, err := acme.share(t, acme.cause, expired.ID, ana, accounts.Collaborator, &hour); err != nil {
		t.Fatal(err)
	}
	w.clock.Pass(time.Hour)
	rotate := func(refused bool) {
		w.tx(t, func(tx pgx.Tx) error {
			version, err := w.AddCandidate(t.Context(), tx, acme.workspace, rotated.ID, seal.NewSecret("next"))
			if err != nil {
				return err
			}
			if err := w.Promote(t.Context(), tx, acme.workspace, rotated.ID, version); err != nil || !refused {
				return err
			}
			return w.MarkRefused(t.Context(), tx, acme.workspace, rotated.ID, 1, w.clock.Now())
		})
	}
	before := func() string {
		t.Helper()
		exposed, err := w.Exposed(t.Context(), w.DB, acme.workspace, ana.User)
		if err != nil {
			t.Fatal(err)
		}
		return described(exposed, all...)
	}
	rotate(false)
	equal(t, "exposed, old password not proven dead", before(), "seen saw-current direct, rotated saw-current direct, given up saw-current, own direct, by team")
	rotate(true)
	equal(t, "exposed", before(), "seen saw-current direct, given up saw-current, rotated saw direct, own direct, by team")
	if theirs, err := w.Exposed(t.Context(), w.DB, other.workspace, ana.User); err != nil || len(theirs) != 0 {
		t.Errorf("the neighbour sees %v, %v", theirs, err)
	}

	wanted := before()
	exposed, err := acme.leave(t, "ana")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "what RevokeAll returns", described(exposed, all...), wanted)
	equal(t, "events of revoked grants", acme.events(t, core.AccountUnshared), 4) // one of them given up before
	equal(t, "orphaned events", acme.events(t, core.AccountOrphaned), 1)
	if got, err := w.Account(t.Context(), w.DB, acme.workspace, own.ID); err != nil || !got.Orphaned {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := w.Account(t.Context(), w.DB, acme.workspace, seen.ID); err != nil || got.Orphaned {
		t.Errorf("got %+v, %v", got, err)
	}
	equal(t, "exposed after leaving", before(), "seen saw-current, given up saw-current")
	for _, account := range all {
		equal(t, "the leaver on "+account.Username, acme.may(t, ana.User, account.ID), "")
	}
	acme.activate(t, "ana", true)
	for _, account := range all {
		equal(t, "the returned on "+account.Username, acme.may(t, ana.User, account.ID), "")
	}
	acme.add(t, "wiki", "ana")
	equal(t, "added to the team anew", acme.may(t, ana.User, byTeam.ID), accounts.Collaborator)
	equal(t, "the neighbour's events", other.events(t, core.AccountUnshared)+other.events(t, core.AccountOrphaned), 0)
	theirs, err := w.Usable(t.Context(), w.DB, other.workspace, other.user("ana"), accounts.UsableQuery{})
	if err != nil || len(theirs) != len(all) {
		t.Errorf("the neighbour's ana lost something: %v, %v", theirs, err)
	}
}

// Two owners leave at once: exactly one of the transactions sees that nobody is left.
func TestLastOwnersLeaveAtTheSameTime(t *testing.T) {
	w := open(t)
	for round := range 10 {
		acme := w.side(t)
		direct, byTeam := acme.account(t, "direct", "ana"), acme.account(t, "by team", "ana")
		acme.add(t, "ops", "ben")
		for account, subject := range map[core.ID]accounts.Subject{direct.ID: {User: acme.user("ben")}, byTeam.ID: {Team: acme.teams["ops"].ID}} {
			if _, err := acme.share(t, acme.cause, account, subject, accounts.Owner, nil); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		for _, name := range []string{"ana", "ben"} {
			go func() {
				_, err := acme.leave(t, name)
				done <- err
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		equal(t, fmt.Sprint("orphaned events in round ", round), acme.events(t, core.AccountOrphaned), 2)
	}
}

// A password is shown and its viewer leaves at the same time: either the view is refused, or the
// leaver's exposures hold it.
func TestRevealAndLeaveAtTheSameTime(t *testing.T) {
	w := open(t)
	shown := 0
	for round := range 20 {
		acme := w.side(t)
		account := acme.account(t, "shared", "ana")
		result := make(chan error)
		go func() {
			_, _, err := w.Reveal(t.Context(), acme.as("ana"), acme.workspace, acme.user("ana"), account.ID)
			result <- err
		}()
		time.Sleep(time.Duration(round) * 500 * time.Microsecond) // so that each comes first at times
		exposed, err := acme.leave(t, "ana")
		if err != nil {
			t.Fatal(err)
		}
		if err := <-result; err == nil {
			shown++
			if len(exposed) != 1 || !exposed[0].SawVersionCurrent {
				t.Fatalf("the password was shown, and the leaver's exposures are %+v", exposed)
			}
		} else {
			coretest.Wants(t, err, core.KindDenied, "inactive")
		}
	}
	t.Logf("shown %d times of 20", shown)
}

func TestRevokeTeam(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	for _, s := range []*side{acme, other} {
		s.add(t, "wiki", "ben")
		shared := account
		if s == other {
			shared = twin
		}
		if _, err := s.share(t, s.cause, shared.ID, accounts.Subject{Team: s.teams["wiki"].ID}, accounts.Owner, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := acme.leave(t, "ana"); err != nil {
		t.Fatal(err)
	}
	equal(t, "orphaned while the team owns it", acme.events(t, core.AccountOrphaned), 0)
	w.tx(t, func(tx pgx.Tx) error {
		count, err := w.RevokeTeam(t.Context(), tx, acme.cause, acme.workspace, acme.teams["wiki"].ID)
		equal(t, "revoked", count, 1)
		return err
	})
	equal(t, "ben", acme.may(t, acme.user("ben"), account.ID), "")
	equal(t, "orphaned", acme.events(t, core.AccountOrphaned), 1)
	w.tx(t, func(tx pgx.Tx) error {
		count, err := w.RevokeTeam(t.Context(), tx, other.cause, other.workspace, acme.teams["wiki"].ID)
		equal(t, "revoked next door", count, 0)
		return err
	})
	equal(t, "the neighbour's ben", other.may(t, other.user("ben"), twin.ID), accounts.Owner)
}
