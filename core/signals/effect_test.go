package signals_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/signals"
)

func (h house) reveal(t testing.TB, user directory.User, authenticated time.Time) error {
	t.Helper()
	cause := core.NewCause(user.Actor(), h.Now())
	cause.Authenticated = authenticated
	_, _, err := h.Accounts.Reveal(t.Context(), cause, h.workspace, user.ID, h.accounts[0].ID)
	return err
}

func (h house) fill(t testing.TB, user directory.User, account int) error {
	t.Helper()
	_, _, err := h.Accounts.Fill(t.Context(), core.NewCause(user.Actor(), h.Now()), h.workspace, user.ID, h.accounts[account].ID)
	return err
}

// says is a signal of a kind about a user, with facts in pairs.
func (h house) says(kind signals.Kind, user directory.User, facts ...string) signals.Signal {
	signal := h.about(user)
	signal.Door, signal.Kind, signal.Evidence.Facts = signals.SSFPush, kind, map[string]string{}
	for i := 0; i+1 < len(facts); i += 2 {
		signal.Evidence.Facts[facts[i]] = facts[i+1]
	}
	return signal
}

func TestDefaultsNameEveryKindAndCanBeCarriedOut(t *testing.T) {
	named := map[signals.Case]bool{}
	for _, rule := range signals.Defaults {
		if named[rule.Case] || !rule.Case.Known() || rule.Why == "" || len(rule.Commands) == 0 {
			t.Errorf("%+v", rule)
		}
		named[rule.Case] = true
	}
	for _, kind := range signals.Kinds {
		if !named[signals.Case(kind)] {
			t.Errorf("the table does not tell what %s means", kind)
		}
	}
	for _, about := range []signals.Case{"", "weather", "logout.", "other.x", "risk_changed.HIGH", "risk_changed.a b", "risk_changed.a/b"} {
		if about.Known() {
			t.Errorf("%q is no case", about)
		}
	}
}

func TestStepUpAsksForANewerSignIn(t *testing.T) {
	h, _ := pair(t)
	old := h.Now()
	coretest.Must(t, h.reveal(t, h.bob, old))
	receipt := h.receive(t, h.says(signals.RiskChanged, h.bob, "current_level", "HIGH"))
	if diff := cmp.Diff([]signals.Command{signals.StepUp}, receipt.Commands); diff != "" {
		t.Fatal(diff)
	}
	coretest.Wants(t, h.reveal(t, h.bob, old), core.KindDenied, "step_up_required")
	coretest.Wants(t, h.reveal(t, h.bob, time.Time{}), core.KindDenied, "step_up_required")
	coretest.Must(t, h.fill(t, h.bob, 0))
	coretest.Must(t, h.reveal(t, h.bob, h.Now()))
	coretest.Must(t, h.reveal(t, h.ana, old))
	if receipt := h.receive(t, h.says(signals.RiskChanged, h.ana, "current_level", "LOW")); receipt.Outcome != signals.Ignored {
		t.Fatalf("%+v", receipt)
	}
}

func TestRestrictionHoldsUntilItIsLifted(t *testing.T) {
	h, other := pair(t)
	untouched := other.snapshot(t)
	h.receive(t, h.says(signals.DeviceComplianceChanged, h.bob, "current_status", "not-compliant"))
	h.receive(t, h.says(signals.AccountDisabled, h.bob))
	coretest.Wants(t, h.fill(t, h.bob, 0), core.KindDenied, "restricted")
	coretest.Wants(t, h.reveal(t, h.bob, h.Now()), core.KindDenied, "restricted")
	h.receive(t, h.says(signals.DeviceComplianceChanged, h.bob, "current_status", "compliant"))
	coretest.Wants(t, h.fill(t, h.bob, 0), core.KindDenied, "restricted") // the account is still disabled
	receipt := h.receive(t, h.says(signals.AccountEnabled, h.bob))
	if diff := cmp.Diff([]signals.Command{signals.ReactivateProposal}, receipt.Commands); diff != "" || h.events(t, core.UserReactivationProposed) != 1 {
		t.Fatal(diff)
	}
	coretest.Wants(t, h.fill(t, h.bob, 0), core.KindDenied, "restricted") // nothing comes back by itself
	standing, err := h.Directory.Standing(t.Context(), h.DB, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	if diff := cmp.Diff([]string{"account_disabled"}, standing.Reasons); diff != "" {
		t.Fatal(diff)
	}
	coretest.Must(t, h.LiftRestriction(t.Context(), h.system, h.workspace, h.bob.ID))
	coretest.Must(t, h.fill(t, h.bob, 0))
	coretest.Wants(t, h.LiftRestriction(t.Context(), core.NewCause(h.bob.Actor(), h.Now()), h.workspace, h.bob.ID), core.KindDenied, "not_administrator")
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
}

func TestPurgedAccountLeaves(t *testing.T) {
	h, _ := pair(t)
	token := h.signIn(t, h.bob, "")
	receipt := h.receive(t, h.says(signals.AccountPurged, h.bob))
	if receipt.Outcome != signals.Done || len(receipt.Rotations) != 2 || receipt.Sessions != 1 || h.alive(t, token) {
		t.Fatalf("%+v", receipt)
	}
	if user, err := h.Directory.User(t.Context(), h.DB, h.workspace, h.bob.ID); err != nil || user.Active {
		t.Fatal("still active", err)
	}
	// The last owner of the workspace cannot be taken away, but signs in again.
	_, err := h.Lifecycle.Change(t.Context(), h.system, h.workspace, h.ana.ID, func(user *directory.User) error {
		user.Role = directory.RoleOwner
		return nil
	})
	coretest.Must(t, err)
	token = h.signIn(t, h.ana, "")
	receipt = h.receive(t, h.says(signals.AccountPurged, h.ana))
	if receipt.Outcome != signals.Failed || receipt.Note == "" || receipt.Sessions != 1 || h.alive(t, token) || len(receipt.Commands) != 1 {
		t.Fatalf("%+v", receipt)
	}
	if user, err := h.Directory.User(t.Context(), h.DB, h.workspace, h.ana.ID); err != nil || !user.Active {
		t.Fatal("the last owner left", err)
	}
}

func TestIdentifiersAreUnlinkedAndRelinked(t *testing.T) {
	h, _ := pair(t)
	changed := h.says(signals.IdentifierChanged, h.ana, signals.FactNewValue, "ana.ito@example.com")
	if receipt := h.receive(t, changed); receipt.Outcome != signals.Done {
		t.Fatalf("%+v", receipt)
	}
	moved := h.says(signals.SessionPresented, h.ana)
	moved.Subject = signals.EmailSubject("ana.ito@example.com")
	if receipt := h.receive(t, moved); receipt.Users[0] != h.ana.ID {
		t.Fatalf("%+v", receipt)
	}
	taken := h.says(signals.IdentifierChanged, h.bob, signals.FactNewValue, "sub-ana")
	taken.Subject = signals.IssSubSubject(issuer, "sub-bob")
	if receipt := h.receive(t, taken); receipt.Outcome != signals.Failed {
		t.Fatalf("somebody else's identity was taken: %+v", receipt)
	}
	if receipt := h.receive(t, h.says(signals.IdentifierRecycled, h.eve)); receipt.Outcome != signals.Done {
		t.Fatalf("%+v", receipt)
	}
	for _, subject := range []signals.Subject{signals.EmailSubject("eve@example.com"), signals.IssSubSubject("https://else.example.com", "sub-eve")} {
		gone := h.says(signals.SessionPresented, h.eve)
		gone.Subject = subject
		_, err := h.Receive(t.Context(), h.cause, gone, nil)
		coretest.Wants(t, err, core.KindNotFound, "")
	}
}

// A signal may mean several people: each account is rotated once, what anybody saw first.
func TestSeveralPeopleMeantRotateEachAccountOnce(t *testing.T) {
	h, other := pair(t)
	h.share(t, 2, h.eve.ID)
	coretest.Must(t, h.fill(t, h.eve, 2))
	for _, user := range []directory.User{h.ana, h.bob, h.eve} {
		h.signIn(t, user, "")
	}
	untouched := other.snapshot(t)
	signal := h.about(h.bob)
	signal.Subject = signals.Subject{Format: signals.FormatAliases, Aliases: []signals.Subject{
		signals.OpaqueSubject("ext-eve"), signals.OpaqueSubject(other.bob.ID.String()), signals.EmailSubject("bob@example.com"), signals.EmailSubject("eve@example.com"),
	}}
	receipt := h.receive(t, signal)
	if receipt.Outcome != signals.Done || receipt.Sessions != 2 || len(receipt.Users) != 2 || len(receipt.Rotations) != 3 || h.planned(t) != 3 {
		t.Fatalf("%+v", receipt)
	}
	first, err := h.Rotations.Rotation(t.Context(), h.DB, h.workspace, receipt.Rotations[0])
	if err != nil || first.Account != h.accounts[2].ID || first.Priority != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	if h.events(t, core.SignalAccepted) != 1 || h.events(t, core.UserLoggedOut) != 2 {
		t.Fatal("the events do not tell the story")
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
}

func TestRotateSeenLeavesWhatNobodyLookedAt(t *testing.T) {
	h, _ := pair(t)
	coretest.Must(t, h.SetPolicy(t.Context(), h.system, h.workspace, h.connection.ID, "logout", []signals.Command{signals.RotateSeen, signals.EndSessions}))
	coretest.Must(t, h.fill(t, h.ana, 1))
	receipt := h.receive(t, h.about(h.ana))
	if len(receipt.Rotations) != 1 {
		t.Fatalf("%+v", receipt)
	}
	account := h.count(t, `select count(*) from rotations where workspace_id = @workspace and account_id = @account`, pgx.StrictNamedArgs{"account": h.accounts[1].ID})
	if account != 1 {
		t.Fatal("another account is rotated")
	}
	coretest.Must(t, h.ResetPolicy(t.Context(), h.system, h.workspace, h.connection.ID, "logout"))
	coretest.Wants(t, h.ResetPolicy(t.Context(), h.system, h.workspace, h.connection.ID, "logout"), core.KindNotFound, "")
	coretest.Wants(t, h.SetPolicy(t.Context(), core.NewCause(h.bob.Actor(), h.Now()), h.workspace, core.ID{}, "other", []signals.Command{signals.EndSessions}), core.KindDenied, "")
	coretest.Wants(t, h.SetPolicy(t.Context(), h.cause, h.workspace, core.ID{}, "other", []signals.Command{signals.EndSessions}), core.KindDenied, "")
}

func TestAdministratorsMaySayItThemselves(t *testing.T) {
	h, _ := pair(t)
	token := h.signIn(t, h.bob, "")
	signal := h.about(h.bob)
	signal.Door, signal.Subject = signals.Console, signals.OpaqueSubject(h.bob.ID.String())
	_, err := h.Receive(t.Context(), core.NewCause(h.eve.Actor(), h.Now()), signal, nil)
	coretest.Wants(t, err, core.KindDenied, "not_administrator")
	if !h.alive(t, token) {
		t.Fatal("a refused command ended a session")
	}
	receipt, err := h.Receive(t.Context(), h.system, signal, nil)
	coretest.Must(t, err)
	if receipt.Sessions != 1 || h.alive(t, token) || len(receipt.Rotations) != 2 {
		t.Fatalf("%+v", receipt)
	}
}

func TestReceiptsAreListedAndForgotten(t *testing.T) {
	h, other := pair(t)
	for _, user := range []directory.User{h.ana, h.bob, h.eve, h.ana} {
		h.receive(t, h.about(user))
	}
	other.receive(t, other.about(other.ana))
	list := func(query signals.Query) []signals.Kept {
		t.Helper()
		found, err := h.List(t.Context(), h.DB, h.workspace, query)
		coretest.Must(t, err)
		return found
	}
	all := list(signals.Query{})
	if len(all) != 4 || all[0].Outcome != signals.Duplicate || all[0].Names[0] != "ana" || all[0].ConnectionName != "Okta" {
		t.Fatalf("%+v", all)
	}
	for name, one := range map[string]struct {
		query signals.Query
		want  int
	}{
		"a user's":      {signals.Query{User: h.ana.ID}, 2},
		"a page":        {signals.Query{Limit: 3}, 3},
		"the next page": {signals.Query{Before: all[2].ID}, 1},
		"an outcome":    {signals.Query{Outcome: signals.Done}, 3},
		"a door":        {signals.Query{Door: signals.SSFPush}, 0},
		"a kind":        {signals.Query{Kind: signals.Logout, Connection: h.connection.ID}, 4},
		"a hold's":      {signals.Query{Hold: core.NewID()}, 0},
	} {
		if got := len(list(one.query)); got != one.want {
			t.Errorf("%s: %d, want %d", name, got, one.want)
		}
	}
	coretest.Must(t, h.SetSettings(t.Context(), h.system, h.workspace, signals.Settings{Window: time.Minute, Retention: 24 * time.Hour}))
	h.ahead = 48 * time.Hour
	gone, err := h.Forget(t.Context())
	coretest.Must(t, err)
	if gone != 4 || len(list(signals.Query{})) != 0 {
		t.Fatalf("%d went", gone)
	}
	if found, err := h.List(t.Context(), h.DB, other.workspace, signals.Query{}); err != nil || len(found) != 1 {
		t.Fatal("the other workspace keeps its own for longer", found, err)
	}
}
