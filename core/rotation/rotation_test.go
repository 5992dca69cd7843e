package rotation_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
)

func (s *subject) mustBeRotated(id core.ID) {
	s.t.Helper()
	if err := s.rotated(id); err != nil {
		s.t.Fatalf("%v (%v)", err, s.states(id))
	}
}

func (s *subject) mustBe(id core.ID, state rotation.State, account accounts.State) rotation.Rotation {
	s.t.Helper()
	if err := s.sound(); err != nil {
		s.t.Fatal(err)
	}
	found := s.rotation(id)
	if found.State != state || s.state() != account {
		s.t.Fatalf("the rotation is %s (%s), the account %s (%v)", found.State, found.Detail, s.state(), s.states(id))
	}
	return found
}

func TestADeprovisionEndsInAReceipt(t *testing.T) {
	s := build(t).open(t, 0)
	planned := s.plan(rotation.ReasonDeprovision)
	s.advance(planned.ID, &life{})
	s.mustBeRotated(planned.ID)

	wantedStates := []rotation.State{
		rotation.StatePlanned, rotation.StateStored, rotation.StateArmed, rotation.StateSubmitted, rotation.StateProbing,
		rotation.StateNewProven, rotation.StateOldDead, rotation.StateDone,
	}
	if diff := cmp.Diff(wantedStates, s.states(planned.ID)); diff != "" {
		t.Error(diff)
	}
	wantedEvents := []core.EventType{core.AccountCreated, core.RotationPlanned, core.RotationStarted, core.AccountValidated, core.AccountPasswordRotated}
	if diff := cmp.Diff(wantedEvents, s.events()); diff != "" {
		t.Error(diff)
	}
	receipt := s.rotation(planned.ID).Receipt
	if receipt.Account != s.account || receipt.Rotation != planned.ID || receipt.Correlation != planned.Cause.Correlation ||
		receipt.Candidate != 2 || receipt.Fence != 1 || receipt.Agent != "Simulated/1" || len(receipt.EventIDs) != 3 {
		t.Errorf("receipt: %+v", receipt)
	}
	if diff := cmp.Diff([]string{"app.example", "cdn.example"}, receipt.Hosts); diff != "" {
		t.Error(diff)
	}
	if !receipt.Received.Equal(planned.Cause.Received) || !receipt.LockedOut.Equal(receipt.OldRefused) ||
		receipt.TimeToLockout != receipt.LockedOut.Sub(receipt.Received) || receipt.TimeToLockout <= 0 {
		t.Errorf("times: %+v", receipt)
	}
	versions, err := s.accounts.Versions(t.Context(), s.db, s.workspace, s.account)
	if err != nil {
		t.Fatal(err)
	}
	now, before := versions[0], versions[1]
	if now.Label != accounts.LabelCurrent || now.Proven == nil || before.Label != accounts.LabelPrevious || before.Refused == nil {
		t.Errorf("versions: %+v", versions)
	}
	if s.app.submitted != 1 || len(s.app.failures) != 1 {
		t.Errorf("%d change requests, %d failed sign-ins", s.app.submitted, len(s.app.failures))
	}
	if err := s.engine().Advance(t.Context(), s.workspace, planned.ID); err != nil {
		t.Errorf("a finished rotation answers %v", err)
	}
}

func TestVerifyTellsWhetherThePasswordIsRight(t *testing.T) {
	h := build(t)
	right := h.open(t, 0)
	id := right.plan(rotation.ReasonVerify).ID
	right.advance(id, &life{})
	right.mustBe(id, rotation.StateDone, accounts.Validated)
	if right.app.password != right.original || len(right.stored()) != 1 {
		t.Error("a verification changed something")
	}

	wrong := h.open(t, 1)
	wrong.app.password = "something else"
	id = wrong.plan(rotation.ReasonVerify).ID
	wrong.advance(id, &life{})
	found := wrong.rotation(id)
	if found.State != rotation.StateDone || wrong.state() != accounts.Desynced || found.Receipt != nil {
		t.Fatalf("%s, %s", found.State, wrong.state())
	}
	if !slices.Contains(wrong.events(), core.AccountDesynced) || len(wrong.app.failures) != 1 {
		t.Errorf("%v, %d failures", wrong.events(), len(wrong.app.failures))
	}
}

func TestAnAppThatIsDownIsTriedForEver(t *testing.T) {
	h := build(t)
	for _, outcome := range []rotation.Outcome{rotation.Unreachable, rotation.TimedOut} {
		for _, reason := range []rotation.Reason{rotation.ReasonVerify, rotation.ReasonDeprovision} {
			s := h.open(t, 0)
			s.options.FailedSignIns = 1000 // what timed out counts as failed
			s.app.signIn = outcome
			id := s.plan(reason).ID
			var waits []time.Duration
			for range 20 {
				if err := s.engine().Advance(t.Context(), s.workspace, id); err == nil {
					t.Fatal("it gave up")
				}
				next := s.rotation(id).NextAttempt
				waits = append(waits, next.Sub(h.clock.Now()))
				h.clock.Pass(waits[len(waits)-1])
			}
			if waits[0] != 10*time.Second || waits[1] != 20*time.Second || waits[19] != 30*time.Minute {
				t.Errorf("waits: %v", waits)
			}
			delayed := slices.DeleteFunc(s.events(), func(e core.EventType) bool { return e != core.RotationDelayed })
			if len(delayed) != 1 {
				t.Errorf("told %d times", len(delayed))
			}
			s.app.signIn = ""
			s.advance(id, &life{})
			if reason == rotation.ReasonVerify {
				s.mustBe(id, rotation.StateDone, accounts.Validated)
			} else {
				s.mustBeRotated(id)
			}
		}
	}
}

func TestAPersonIsAskedWhereOnlyAPersonCanHelp(t *testing.T) {
	h := build(t)
	cases := map[rotation.Outcome]accounts.State{
		rotation.Challenge: accounts.AtRisk, rotation.FormNotFound: accounts.AtRisk, rotation.MustChange: accounts.AtRisk,
		rotation.Locked: accounts.AppDisabled, rotation.Disabled: accounts.AppDisabled, rotation.Unknown: accounts.AtRisk,
	}
	for outcome, state := range cases {
		s := h.open(t, 0)
		s.options.FailedSignIns = 10
		s.app.signIn = outcome
		id := s.plan(rotation.ReasonDeprovision).ID
		s.advance(id, &life{})
		found := s.mustBe(id, rotation.StateBlocked, state)
		if found.Detail == "" || found.NextAttempt != nil || !slices.Contains(s.events(), core.RotationBlocked) {
			t.Errorf("%s: %+v", outcome, found)
		}
		s.advance(id, &life{})
		if s.rotation(id).Updated != found.Updated {
			t.Errorf("%s: it went on by itself", outcome)
		}
		s.app.signIn = ""
		h.clock.Pass(time.Hour)
		wish := rotation.ReasonManual
		if state == accounts.AppDisabled { // only a sign-in opens it
			s.closed("app_disabled")
			wish = rotation.ReasonVerify
		}
		if again := s.plan(wish); again.ID != id || again.Reason != rotation.ReasonDeprovision {
			t.Errorf("%s: asked for again: %+v", outcome, again)
		}
		s.advance(id, &life{})
		s.mustBeRotated(id)
	}
}

// closed expects that what can wait is refused, with the account's state as the code, and the rest is not.
func (s *subject) closed(code string) {
	s.t.Helper()
	for _, reason := range []rotation.Reason{rotation.ReasonManual, rotation.ReasonSchedule, rotation.ReasonSignIn} {
		err := s.db.Tx(s.t.Context(), func(tx pgx.Tx) error {
			_, err := s.engine().Plan(s.t.Context(), tx, system, s.workspace, s.account, reason, 0)
			return err
		})
		if core.KindOf(err) != core.KindDenied || core.AsError(err).Code != code {
			s.t.Errorf("%s of a closed account: %v", reason, err)
		}
	}
}

// TestWhatNobodyManagesIsNotTouched plans for who leaves, and waits until the account is managed again.
func TestWhatNobodyManagesIsNotTouched(t *testing.T) {
	s := build(t).open(t, 0)
	learn := func(finding accounts.Finding) {
		t.Helper()
		err := s.db.Tx(t.Context(), func(tx pgx.Tx) error {
			_, err := s.accounts.Learn(t.Context(), tx, system, s.workspace, s.account, finding, "somebody said so")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	learn(accounts.Released)
	s.closed("unmanaged")
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBe(id, rotation.StateBlocked, accounts.Unmanaged)
	if len(s.app.failures) != 0 || s.app.submitted != 0 {
		t.Error("it went to the app")
	}
	learn(accounts.TakenBack)
	s.plan(rotation.ReasonVerify)
	s.advance(id, &life{})
	s.mustBeRotated(id)
}

func TestInDoubtTheAccountIsSuspected(t *testing.T) {
	s := build(t).open(t, 0, losesAnswer)
	s.connector.beforeVerify = func() { s.app.signIn = rotation.Challenge }
	id := s.plan(rotation.ReasonManual).ID
	s.advance(id, &life{})
	s.mustBe(id, rotation.StateBlocked, accounts.DesyncSuspected)
	s.connector.beforeVerify = nil
	s.app.signIn = ""
	s.plan(rotation.ReasonManual)
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if s.app.submitted != 1 {
		t.Errorf("sent %d times", s.app.submitted)
	}
}

func TestAWrongPasswordStopsEverything(t *testing.T) {
	h := build(t)
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update credential_versions set proven = null`)
		return err
	})
	for _, proven := range []bool{false, true} {
		s := h.open(t, 0)
		s.app.password = "set by somebody"
		s.app.check = nil
		if !proven {
			h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, `update credential_versions set proven = null where account_id = $1`, s.account)
				return err
			})
		}
		id := s.plan(rotation.ReasonDeprovision).ID
		began := h.clock.Now()
		s.advance(id, &life{})
		if found := s.rotation(id); found.State != rotation.StateBlocked || s.state() != accounts.Desynced {
			t.Fatalf("%s, %s", found.State, s.state())
		}
		if took := h.clock.Now().Sub(began); took > time.Minute {
			t.Errorf("it took %v to say so", took)
		}
		wanted := map[bool]int{false: 1, true: 2}[proven] // what once worked is tried twice
		if len(s.app.failures) != wanted || s.app.submitted != 0 {
			t.Errorf("%d failed sign-ins, %d requests", len(s.app.failures), s.app.submitted)
		}
		// A person sets the stored password in the app and has it verified.
		s.app.password = s.original
		h.clock.Pass(time.Hour)
		s.closed("desynced")
		s.plan(rotation.ReasonVerify)
		s.advance(id, &life{})
		s.mustBeRotated(id)
	}
}

func TestAPasswordFromHistoryIsAdopted(t *testing.T) {
	s := build(t).open(t, 0)
	s.advance(s.plan(rotation.ReasonManual).ID, &life{})
	s.clock.Pass(time.Hour)
	s.advance(s.plan(rotation.ReasonManual).ID, &life{})
	s.clock.Pass(time.Hour)
	s.app.password = s.original // restored from a backup, say
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if !slices.Contains(s.states(id), rotation.StateDrifted) || !slices.Contains(s.events(), core.AccountPasswordDrifted) {
		t.Errorf("%v, %v", s.states(id), s.events())
	}
	if len(s.stored()) != 5 {
		t.Errorf("%d versions", len(s.stored()))
	}
}

// That an owner or an administrator came or went locks nobody out: who cannot be rotated for that is not at risk.
func TestWhatLocksNobodyOutPutsNobodyAtRisk(t *testing.T) {
	h := build(t)
	for reason, state := range map[rotation.Reason]accounts.State{
		rotation.ReasonOwnerChange: accounts.Validated, rotation.ReasonAdminChange: accounts.Validated, rotation.ReasonLinkEnd: accounts.AtRisk, rotation.ReasonRevocation: accounts.AtRisk,
	} {
		s := h.open(t, 0)
		verify := s.plan(rotation.ReasonVerify).ID
		s.advance(verify, &life{})
		s.mustBe(verify, rotation.StateDone, accounts.Validated)
		s.options.FailedSignIns = 10
		s.app.signIn = rotation.FormNotFound
		id := s.plan(reason).ID
		s.advance(id, &life{})
		if found := s.mustBe(id, rotation.StateBlocked, state); found.Reason != reason {
			t.Errorf("%s: %+v", reason, found)
		}
		if again := s.plan(rotation.ReasonManual); again.Reason != reason { // which weighs less
			t.Errorf("%s: %+v", reason, again)
		}
		if again := s.plan(rotation.ReasonDeprovision); again.ID != id || again.Reason != rotation.ReasonDeprovision {
			t.Errorf("%s: %+v", reason, again)
		}
	}
}

func TestAnOldPasswordThatLivesOnIsNeverCalledDead(t *testing.T) {
	s := build(t).open(t, 0)
	s.app.also = s.original
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	found := s.mustBe(id, rotation.StateBlocked, accounts.AtRisk)
	if found.Receipt != nil || slices.Contains(s.events(), core.AccountPasswordRotated) {
		t.Fatalf("%+v", found)
	}
	if s.current() != s.app.password {
		t.Error("the new password works and is not the current one")
	}
	s.app.also = ""
	s.plan(rotation.ReasonManual)
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if s.app.submitted != 1 {
		t.Errorf("sent %d times", s.app.submitted)
	}
}

func TestALateChangeGetsTheSameCandidate(t *testing.T) {
	s := build(t).open(t, 0, losesRequest)
	id := s.plan(rotation.ReasonDeprovision).ID
	began := s.clock.Now()
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if len(s.stored()) != 2 {
		t.Errorf("%d versions: another candidate was made", len(s.stored()))
	}
	if waited := s.clock.Now().Sub(began); waited < 10*time.Minute {
		t.Errorf("sent again after %v", waited)
	}
	if !slices.Contains(s.states(id), rotation.StateUnchanged) {
		t.Error(s.states(id))
	}
}

// A page may send the password by a way nobody can hold back. What is in doubt is looked at, not taken
// for not sent.
func TestAChangeThatGoesRoundTheGateIsFound(t *testing.T) {
	s := build(t).open(t, 0, goesRound)
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if len(s.stored()) != 2 || len(s.app.failures) != 1 {
		t.Errorf("%d versions, %d failed sign-ins", len(s.stored()), len(s.app.failures))
	}
}

// Not even what a connector calls certain keeps a stored password from being tried.
func TestACandidateSaidNotToBeSentIsTriedLast(t *testing.T) {
	s := build(t).open(t, 0, slips)
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if len(s.stored()) != 2 {
		t.Errorf("%d versions", len(s.stored()))
	}
}

func TestARefusedCandidateIsReplaced(t *testing.T) {
	h := build(t)
	s := h.open(t, 0, refuses, refusesPage)
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBeRotated(id)
	if len(s.stored()) != 4 || len(s.app.failures) != 1 {
		t.Errorf("%d versions, %d failed sign-ins", len(s.stored()), len(s.app.failures))
	}

	s = h.open(t, 0, refuses, refuses, refuses, refuses, refuses)
	id = s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBe(id, rotation.StateBlocked, accounts.AtRisk)
	if s.app.submitted != 4 {
		t.Errorf("tried %d times", s.app.submitted)
	}
}

func TestAConnectorThatIsMissingOrOnlyVerifies(t *testing.T) {
	h := build(t)
	s := h.open(t, 0)
	engine := s.engine()
	engine.Connectors = rotation.Connectors{}
	id := s.plan(rotation.ReasonManual).ID
	if err := engine.Advance(t.Context(), s.workspace, id); err != nil {
		t.Fatal(err)
	}
	s.mustBe(id, rotation.StateBlocked, accounts.Unvalidated)

	s = h.open(t, 0)
	engine = s.engine()
	engine.Connectors = rotation.Connectors{"simulated": struct{ rotation.Connector }{s.connector}}
	id = s.plan(rotation.ReasonManual).ID
	if err := engine.Advance(t.Context(), s.workspace, id); err != nil {
		t.Fatal(err)
	}
	s.mustBe(id, rotation.StateBlocked, accounts.Unvalidated)
}

func TestNoSecretIsKept(t *testing.T) {
	s := build(t).open(t, 0, liesSuccess)
	s.connector.detail = func(passwords ...string) string {
		return "you typed " + strings.Join(passwords, " and ") + "\x00\xff"
	}
	id := s.plan(rotation.ReasonDeprovision).ID
	s.advance(id, &life{})
	s.mustBeRotated(id)
	var text string
	if err := s.db.QueryRow(t.Context(), `select
		(select string_agg(to_jsonb(s)::text, '') from rotation_steps s) || (select string_agg(to_jsonb(r)::text, '') from rotations r) ||
		(select string_agg(event::text, '') from audit_outbox) || (select string_agg(to_jsonb(j)::text, '') from river_job j)`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	for _, password := range s.stored() {
		if strings.Contains(text, password) {
			t.Error("a password is in a row")
		}
	}
	if !strings.Contains(text, "you typed [redacted]") {
		t.Error("the detail is not kept at all")
	}
}

func TestReportsOfAnyShapeAreBorne(t *testing.T) {
	h := build(t)
	strange := []rotation.Report{
		{},
		{Outcome: "no such outcome", Detail: strings.Repeat("ä", 5000), Model: json.RawMessage(`{"a": "\u0000"}`)},
		{Outcome: rotation.Unknown, Model: json.RawMessage(`{broken`), Screenshot: make([]byte, 1<<20)},
		{Outcome: rotation.Applied, Released: true}, // it never asked for release
		{Outcome: rotation.Accepted},
	}
	for _, report := range strange {
		s := h.open(t, 0)
		s.options.FailedSignIns = 100
		engine := s.engine()
		engine.Connectors = rotation.Connectors{"simulated": &careless{simulated: s.connector, report: report}}
		id := s.plan(rotation.ReasonDeprovision).ID
		for range 30 {
			if engine.Advance(t.Context(), s.workspace, id) == nil {
				break
			}
			h.clock.Pass(time.Hour)
		}
		if found := s.rotation(id); found.State != rotation.StateBlocked && found.State != rotation.StateUnchanged {
			t.Errorf("%+v ended %s: %s", report, found.State, found.Detail)
		}
		if err := s.sound(); err != nil {
			t.Error(err)
		}
	}
}

// careless is a connector whose changes never reach the gate.
type careless struct {
	*simulated
	report rotation.Report
}

func (c *careless) Change(context.Context, rotation.Target, rotation.Credential, seal.Secret, func(ctx context.Context) error) rotation.Report {
	return c.report
}
