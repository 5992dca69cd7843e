package accounts_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
)

// findings are all of them.
var findings = []accounts.Finding{
	accounts.SignInAccepted, accounts.Replaced, accounts.SignInRefused, accounts.SignInDoubted, accounts.FillsReported, accounts.NoneAccepted,
	accounts.Expired, accounts.LoginDisabled, accounts.LoginLocked, accounts.SwitchedOff, accounts.SwitchedOn, accounts.LeaverKnows, accounts.Abandoned, accounts.Released, accounts.TakenBack,
}

func TestEveryTransition(t *testing.T) {
	for finding, wanted := range map[accounts.Finding]string{
		// of unvalidated, validated, desync_suspected, desynced, unmanaged, app_disabled, at_risk; - stays
		accounts.SignInAccepted: "validated validated validated validated - validated -",
		accounts.Replaced:       "validated validated validated validated - validated validated",
		accounts.SignInRefused:  "desynced desync_suspected desynced desynced - desynced desync_suspected",
		accounts.SignInDoubted:  "desync_suspected desync_suspected desync_suspected - - - desync_suspected",
		accounts.FillsReported:  "desync_suspected desync_suspected - - - - -",
		accounts.NoneAccepted:   "desynced desynced desynced desynced - desynced desynced",
		accounts.Expired:        "desynced desynced desynced desynced - desynced desynced",
		accounts.LoginDisabled:  "app_disabled app_disabled app_disabled app_disabled - app_disabled app_disabled",
		accounts.LoginLocked:    "app_disabled app_disabled app_disabled app_disabled - app_disabled app_disabled",
		accounts.SwitchedOff:    "app_disabled app_disabled app_disabled app_disabled - app_disabled app_disabled",
		accounts.SwitchedOn:     "- - - - - app_disabled -",
		accounts.LeaverKnows:    "at_risk at_risk at_risk - - - at_risk",
		accounts.Abandoned:      "unmanaged unmanaged unmanaged unmanaged - unmanaged unmanaged",
		accounts.Released:       "unmanaged unmanaged unmanaged unmanaged unmanaged unmanaged unmanaged",
		accounts.TakenBack:      "- - - - unvalidated - -",
		accounts.Unproven:       "- - - - - - -",
	} {
		got := ""
		for _, state := range accounts.States() {
			next, ok := state.After(finding)
			switch {
			case !ok && next != state:
				t.Errorf("%s of %s changes nothing and gives %s", finding, state, next)
			case !ok:
				got += " -"
			default:
				got += " " + string(next)
			}
		}
		equal(t, string(finding), got[1:], wanted)
	}
}

// TestWhatIsClosedOpensByASignInAlone goes through every history of two findings: nothing but an accepted sign-in, a
// rotation's proofs, or taking the account back opens what is closed.
func TestWhatIsClosedOpensByASignInAlone(t *testing.T) {
	opening := []accounts.Finding{accounts.SignInAccepted, accounts.Replaced, accounts.TakenBack}
	for _, state := range accounts.States() {
		for _, finding := range findings {
			before := accounts.Account{State: state}
			after := accounts.Account{}
			after.State, _ = state.After(finding)
			if before.Closed() != nil && after.Closed() == nil && !slices.Contains(opening, finding) {
				t.Errorf("%s opens %s", finding, state)
			}
		}
	}
}

func TestLearn(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account := acme.account(t, "shared", "ana")
	learn := func(s *side, finding accounts.Finding) (accounts.Account, error) {
		var after accounts.Account
		err := w.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			after, err = w.Learn(t.Context(), tx, s.cause, s.workspace, account.ID, finding, "because of "+string(finding))
			return err
		})
		return after, err
	}
	var since accounts.Account
	for _, step := range []struct {
		finding  accounts.Finding
		state    accounts.State
		event    core.EventType // and how many of it there are
		number   int
		advised  bool
		tells    bool // what happened changes the state, or what keeps it closed
		reversed bool
	}{
		{accounts.SignInAccepted, accounts.Validated, core.AccountValidated, 1, false, true, false},
		{accounts.SignInAccepted, accounts.Validated, core.AccountValidated, 1, false, false, false},
		{accounts.SignInRefused, accounts.DesyncSuspected, core.AccountDesyncSuspected, 1, true, true, false},
		{accounts.SignInRefused, accounts.Desynced, core.AccountDesynced, 1, true, true, false},
		{accounts.SignInRefused, accounts.Desynced, core.AccountDesynced, 1, true, false, false},
		{accounts.Expired, accounts.Desynced, core.AccountDesynced, 2, true, true, false},
		{accounts.LeaverKnows, accounts.Desynced, core.AccountAtRisk, 0, true, false, true},
		{accounts.LoginDisabled, accounts.AppDisabled, core.AccountAppDisabled, 1, true, true, false},
		{accounts.Released, accounts.Unmanaged, core.AccountUnmanaged, 1, true, true, false},
		{accounts.SignInAccepted, accounts.Unmanaged, core.AccountValidated, 1, true, false, true},
		{accounts.TakenBack, accounts.Unvalidated, core.AccountManaged, 1, true, true, false},
		{accounts.LeaverKnows, accounts.AtRisk, core.AccountAtRisk, 1, true, true, false},
		{accounts.Replaced, accounts.Validated, core.AccountValidated, 2, false, true, false},
	} {
		before, err := w.Account(t.Context(), w.DB, acme.workspace, account.ID)
		if err != nil {
			t.Fatal(err)
		}
		said, err := learn(acme, step.finding)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.Account(t.Context(), w.DB, acme.workspace, account.ID)
		if err != nil || got.State != step.state || got.State != said.State || got.Finding != said.Finding || !got.Since.Equal(said.Since) {
			t.Fatalf("%s: %+v, said %+v, %v", step.finding, got, said, err)
		}
		if step.reversed != (got.Finding != step.finding) {
			t.Errorf("%s: it is in its state because of %s", step.finding, got.Finding)
		}
		if got.State == before.State && !got.Since.Equal(before.Since) {
			t.Errorf("%s: the state began anew", step.finding)
		}
		equal(t, string(step.finding)+": events", acme.events(t, step.event), step.number)
		equal(t, string(step.finding)+": advised", got.Advice().Words != "", step.advised)
		since = got
	}
	if since.Validated == nil || since.Closed() != nil {
		t.Errorf("%+v", since)
	}
	_, err := learn(other, accounts.Expired)
	coretest.Wants(t, err, core.KindNotFound, "")
}
