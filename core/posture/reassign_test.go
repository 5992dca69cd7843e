package posture_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/jobs"
	"postern/core/lifecycle"
	"postern/core/posture"
)

// together starts all functions at once and waits for them.
func together(work ...func()) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, one := range work {
		all.Go(func() { <-start; one() })
	}
	close(start)
	all.Wait()
}

// orphans makes so many accounts that nobody owns.
func (h *house) orphans(t testing.TB, count int) []core.ID {
	t.Helper()
	ids := make([]core.ID, count)
	for i := range ids {
		ids[i] = h.account(t, strong()).ID
	}
	h.orphan(t, ids...)
	return ids
}

func (h *house) user(name string) accounts.Subject { return accounts.Subject{User: h.people[name].ID} }

func (h *house) report(t testing.TB, id core.ID) map[posture.Outcome]int {
	t.Helper()
	rows, err := h.Rows(t.Context(), h.DB, h.id, id, "", core.ID{}, 500)
	coretest.Must(t, err)
	found := map[posture.Outcome]int{}
	for _, row := range rows {
		found[row.Outcome]++
		if (row.Outcome == posture.Failed) != (row.Why != "") {
			t.Errorf("%s: %q", row.Outcome, row.Why)
		}
	}
	return found
}

func TestOrphansAreGivenOwners(t *testing.T) {
	h, other := pair(t)
	ids := h.orphans(t, 3)
	kept := h.account(t, strong()).ID
	untouched := other.core.Snapshot(t, other.id, "grants", "accounts", "reassignments", "reassignment_rows")
	wanted := posture.Reassignment{Owners: []accounts.Subject{h.user("ben"), {Team: h.teams["ops"]}}, Orphaned: &posture.Filter{}}
	plan, err := h.Preview(t.Context(), h.DB, h.id, wanted)
	coretest.Must(t, err)
	if plan.Total != 3 || len(plan.Accounts) != 3 || !plan.Accounts[0].Orphaned || plan.Owners[0].Name != "ben" || plan.Owners[1].Kind != "team" {
		t.Fatalf("%+v", plan)
	}
	if made := h.count(t, `select count(*) from reassignments where workspace_id = @workspace`, nil); made != 0 {
		t.Error("a preview is kept")
	}
	wanted.Expected = new(2)
	_, err = h.Reassign(t.Context(), h.as("ada"), h.id, wanted)
	coretest.Wants(t, err, core.KindStale, "changed")
	wanted.Expected = new(3)
	made, err := h.Reassign(t.Context(), h.as("ada"), h.id, wanted)
	coretest.Must(t, err)
	if made.Done != 3 || made.Waiting != 0 || made.Finished == nil || made.By.Name != "ada" || len(made.Owners) != 2 {
		t.Fatalf("%+v", made)
	}
	for _, id := range ids {
		for _, subject := range wanted.Owners {
			grants, err := h.core.Accounts.Grants(t.Context(), h.DB, h.id, id)
			coretest.Must(t, err)
			if !slices.ContainsFunc(grants, func(g accounts.Grant) bool { return g.Subject() == subject && g.Role == accounts.Owner }) {
				t.Errorf("%s is not owned by %v", id, subject)
			}
		}
	}
	if shared, begun, ended := h.events(t, core.AccountShared), h.events(t, core.ReassignmentStarted), h.events(t, core.ReassignmentFinished); shared != 6 || begun != 1 || ended != 1 {
		t.Errorf("%d shared, %d begun, %d ended", shared, begun, ended)
	}
	if correlations := h.count(t, `select count(distinct correlation) from audit_outbox where workspace_id = @workspace and type in ('account.shared', 'workspace.reassignment_started', 'workspace.reassignment_finished')`, nil); correlations != 1 {
		t.Errorf("it is %d stories", correlations)
	}
	if left := h.findings(t, posture.Filter{Kind: posture.Orphaned}, 10); len(left) != 0 {
		t.Errorf("orphans are left: %v", left)
	}
	_, err = h.Reassign(t.Context(), h.as("ada"), h.id, posture.Reassignment{Owners: wanted.Owners, Orphaned: &posture.Filter{}})
	coretest.Wants(t, err, core.KindInvalid, "accounts")
	again, err := h.Reassign(t.Context(), h.as("ada"), h.id, posture.Reassignment{Owners: []accounts.Subject{h.user("ben")}, Accounts: append(ids, kept, kept)})
	coretest.Must(t, err)
	if again.Unchanged != 3 || again.Done != 1 || again.Total != 4 {
		t.Errorf("a second time: %+v", again)
	}
	if seen, err := h.Carry(t.Context(), h.id, made.ID); seen != 0 || err != nil {
		t.Errorf("carried again: %d, %v", seen, err)
	}
	after := other.core.Snapshot(t, other.id, "grants", "accounts", "reassignments", "reassignment_rows")
	for table := range untouched {
		if untouched[table] != after[table] {
			t.Errorf("the neighbour's %s changed", table)
		}
	}
	// The reports are kept for as long as the days are.
	h.clock.Pass(posture.KeptDays*24*time.Hour - time.Second)
	if forgotten, err := h.Forget(t.Context()); forgotten != 0 || err != nil {
		t.Errorf("%d reports are forgotten early, %v", forgotten, err)
	}
	h.clock.Pass(time.Second)
	if forgotten, err := h.Forget(t.Context()); forgotten != 2 || err != nil {
		t.Errorf("%d of 2 reports are forgotten, %v", forgotten, err)
	}
	_, err = h.Progress(t.Context(), h.DB, h.id, made.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
}

func TestWhoMayReassignAndWhat(t *testing.T) {
	h, other := pair(t)
	ids := h.orphans(t, 1)
	wanted := posture.Reassignment{Owners: []accounts.Subject{h.user("ben")}, Accounts: ids}
	for name, code := range map[string]string{"ana": "not_administrator", "gus": "not_administrator", "leo": "not_administrator"} {
		_, err := h.Reassign(t.Context(), h.as(name), h.id, wanted)
		coretest.Wants(t, err, core.KindDenied, code)
	}
	_, err := h.Reassign(t.Context(), other.as("ada"), h.id, wanted)
	coretest.Wants(t, err, core.KindDenied, "not_a_member")
	for what, test := range map[string]struct {
		wanted posture.Reassignment
		field  string
	}{
		"nobody":                 {posture.Reassignment{Accounts: ids}, "owners"},
		"somebody twice":         {posture.Reassignment{Owners: []accounts.Subject{h.user("ben"), h.user("ben")}, Accounts: ids}, "owners"},
		"both at once":           {posture.Reassignment{Owners: []accounts.Subject{{User: h.people["ben"].ID, Team: h.teams["ops"]}}, Accounts: ids}, "owners"},
		"a guest":                {posture.Reassignment{Owners: []accounts.Subject{h.user("gus")}, Accounts: ids}, "owners"},
		"login-only":             {posture.Reassignment{Owners: []accounts.Subject{h.user("leo")}, Accounts: ids}, "owners"},
		"an empty team":          {posture.Reassignment{Owners: []accounts.Subject{{Team: h.teams["empty"]}}, Accounts: ids}, "owners"},
		"the neighbour's":        {posture.Reassignment{Owners: []accounts.Subject{other.user("ben")}, Accounts: ids}, "owners"},
		"no accounts":            {posture.Reassignment{Owners: wanted.Owners}, "accounts"},
		"both ways":              {posture.Reassignment{Owners: wanted.Owners, Accounts: ids, Orphaned: &posture.Filter{}}, "accounts"},
		"the neighbour's one":    {posture.Reassignment{Owners: wanted.Owners, Accounts: []core.ID{other.account(t, strong()).ID}}, "accounts"},
		"too many":               {posture.Reassignment{Owners: wanted.Owners, Accounts: make([]core.ID, posture.MaxListed+1)}, "accounts"},
		"orphans of another tag": {posture.Reassignment{Owners: wanted.Owners, Orphaned: &posture.Filter{Tag: "nobody"}}, "accounts"},
	} {
		if _, err := h.Reassign(t.Context(), h.as("ada"), h.id, test.wanted); core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != test.field {
			t.Errorf("%s: %v", what, err)
		}
	}
	if made := h.count(t, `select count(*) from reassignments where workspace_id = @workspace`, nil); made != 0 {
		t.Errorf("%d are kept of what was refused", made)
	}
	made, err := h.Reassign(t.Context(), h.as("ada"), h.id, wanted)
	coretest.Must(t, err)
	for what, err := range map[string]error{
		"progress": second(h.Progress(t.Context(), h.DB, other.id, made.ID)),
		"rows":     second(h.Rows(t.Context(), h.DB, other.id, made.ID, "", core.ID{}, 10)),
	} {
		if core.KindOf(err) != core.KindNotFound {
			t.Errorf("another workspace reads the %s: %v", what, err)
		}
	}
	if listed, err := h.Reassignments(t.Context(), h.DB, other.id, core.ID{}, 10); len(listed) != 0 || err != nil {
		t.Errorf("another workspace lists %v, %v", listed, err)
	}
}

func second[First any](_ First, err error) error { return err }

// An owner who leaves meanwhile gets nothing, and each row says so; nothing is lost of the others.
func TestWhatChangesMeanwhileIsToldByRow(t *testing.T) {
	h, _ := pair(t)
	h.orphans(t, 30) // more than are seen to at once
	made, err := h.Reassign(t.Context(), h.as("ada"), h.id, posture.Reassignment{Owners: []accounts.Subject{h.user("ana"), h.user("ben")}, Orphaned: &posture.Filter{}})
	coretest.Must(t, err)
	if made.Waiting != 30 || made.Finished != nil {
		t.Fatalf("%+v", made)
	}
	if waiting := h.count(t, `select count(*) from river_job where kind = 'posture.reassign' and args ->> 'workspace' = @workspace::text`, nil); waiting != 1 {
		t.Errorf("%d jobs wait", waiting)
	}
	h.exec(t, `update users set active = false where workspace_id = @workspace and id = @user`, pgx.StrictNamedArgs{"user": h.people["ben"].ID})
	seen, err := h.Carry(t.Context(), h.id, made.ID)
	coretest.Must(t, err)
	if found := h.report(t, made.ID); seen != 30 || found[posture.Failed] != 30 {
		t.Fatalf("%d seen to: %v", seen, found)
	}
	if half := h.count(t, `select count(*) from grants where workspace_id = @workspace and user_id = @ana and revoked is null`, pgx.StrictNamedArgs{"ana": h.people["ana"].ID}); half != 0 {
		t.Errorf("%d accounts have one of two owners", half)
	}
	after, err := h.Progress(t.Context(), h.DB, h.id, made.ID)
	coretest.Must(t, err)
	if after.Finished == nil || h.events(t, core.ReassignmentFinished) != 1 {
		t.Errorf("%+v", after)
	}
}

// Whoever asked is no administrator any more: nothing is given in their name.
func TestAnAdministratorWhoIsNoneAnyMore(t *testing.T) {
	h, _ := pair(t)
	h.orphans(t, 26)
	made, err := h.Reassign(t.Context(), h.as("ada"), h.id, posture.Reassignment{Owners: []accounts.Subject{h.user("ben")}, Orphaned: &posture.Filter{}})
	coretest.Must(t, err)
	h.exec(t, `update users set role = 'user' where workspace_id = @workspace and id = @user`, pgx.StrictNamedArgs{"user": h.people["ada"].ID})
	if _, err := h.Carry(t.Context(), h.id, made.ID); err != nil {
		t.Fatal(err)
	}
	if found := h.report(t, made.ID); found[posture.Failed] != 26 {
		t.Errorf("%v", found)
	}
}

// A process dies after any number of accounts, others go on at once: each account is given its owner once.
func TestKilledInTheMiddle(t *testing.T) {
	h, other := pair(t)
	ids := h.orphans(t, 40)
	other.orphans(t, 30)
	made, err := h.Reassign(t.Context(), h.as("ada"), h.id, posture.Reassignment{Owners: []accounts.Subject{h.user("ben")}, Orphaned: &posture.Filter{}})
	coretest.Must(t, err)
	for killed := 1; killed <= 3; killed++ {
		// The connection breaks in the middle of an account: its transaction is taken back, and the process is gone.
		dying := h.another(t)
		ctx, kill := context.WithCancel(t.Context())
		dying.Lifecycle = &lifecycle.Lifecycle{DB: h.DB, Directory: h.core.Directory, Accounts: h.core.Accounts, Rotations: h.core.Rotations, Now: h.clock.Now}
		left := 4
		dying.Now = func() time.Time { // asked for each account just before its row is written
			if left--; left == 0 {
				kill()
			}
			return h.clock.Now()
		}
		if _, err := dying.Carry(ctx, h.id, made.ID); !errors.Is(err, context.Canceled) {
			t.Fatalf("it was not killed: %v", err)
		}
		found := h.report(t, made.ID)
		owned := h.count(t, `select count(*) from grants where workspace_id = @workspace and role = 'owner' and revoked is null and user_id = @ben`, pgx.StrictNamedArgs{"ben": h.people["ben"].ID})
		if found[posture.Done] != 3*killed || owned != found[posture.Done] {
			t.Fatalf("killed %d times: %v, and %d are owned", killed, found, owned)
		}
	}
	worker := func() {
		if _, err := h.another(t).Carry(t.Context(), h.id, made.ID); err != nil {
			t.Error(err)
		}
	}
	together(worker, worker, worker)
	found, err := h.Progress(t.Context(), h.DB, h.id, made.ID)
	coretest.Must(t, err)
	if found.Done != len(ids) || found.Finished == nil || h.events(t, core.ReassignmentFinished) != 1 || h.events(t, core.AccountShared) != len(ids) {
		t.Errorf("%+v, %d shared, told %d times", found, h.events(t, core.AccountShared), h.events(t, core.ReassignmentFinished))
	}
	if orphans := len(other.findings(t, posture.Filter{Kind: posture.Orphaned}, 100)); orphans != 31 {
		t.Errorf("the neighbour has %d orphans", orphans)
	}
}

// The worker's job does the same.
func TestTheJobCarriesItOut(t *testing.T) {
	h, _ := pair(t)
	h.orphans(t, 26)
	made, err := h.Reassign(t.Context(), h.as("ada"), h.id, posture.Reassignment{Owners: []accounts.Subject{h.user("ben")}, Orphaned: &posture.Filter{}})
	coretest.Must(t, err)
	handlers := &jobs.Handlers{}
	h.Register(handlers)
	worker, err := jobs.NewWorker(h.DB, handlers, jobs.WorkerOptions{Concurrency: 2, Grace: time.Second})
	coretest.Must(t, err)
	coretest.Run(t, worker.Run)
	coretest.Until(t, "the job carries it out", func() bool {
		found, err := h.Progress(t.Context(), h.DB, h.id, made.ID)
		return err == nil && found.Finished != nil && found.Done == 26
	})
}
