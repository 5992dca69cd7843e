package lifecycle_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/rotation"
)

func TestProvision(t *testing.T) {
	h, other := pair(t)
	before := other.snapshot(t)
	woken := h.woken.Load()
	eve := h.join(t, "eve@example.com")
	if h.woken.Load() != woken+1 {
		t.Fatal("nobody was woken")
	}
	if got := h.read(t, eve.ID); !cmp.Equal(got, eve) {
		t.Fatal(cmp.Diff(eve, got))
	}
	for field, again := range map[string]directory.User{
		"userName":   {UserName: "EVE@example.com", ExternalID: "new"},
		"externalId": {UserName: "new", ExternalID: "ext-eve@example.com"},
	} {
		again.Workspace, again.Connection = h.workspace, h.connection.ID
		_, err := h.Provision(t.Context(), h.cause, again)
		coretest.Wants(t, err, core.KindConflict, field)
	}
	if n := h.events(t, core.UserProvisioned); n != 3 {
		t.Fatalf("%d events", n)
	}
	if diff := cmp.Diff(before, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
}

// jobsOnly is the entries of a snapshot that count over all workspaces.
func jobsOnly(path cmp.Path) bool {
	index, ok := path.Last().(cmp.MapIndex)
	return ok && slices.Contains([]string{"river_job", "signed_token_uses"}, index.Key().String())
}

func TestChangeDoesOnlyWhatDiffers(t *testing.T) {
	h, _ := pair(t)
	ctx := t.Context()
	set := func(edit func(*directory.User)) directory.User {
		t.Helper()
		after, err := h.Change(ctx, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { edit(u); return nil })
		coretest.Must(t, err)
		if got := h.read(t, h.bob.ID); !cmp.Equal(got, after) && !cmp.Equal(got, after, cmp.Transformer("json", parsed)) {
			t.Fatal(cmp.Diff(after, got))
		}
		return after
	}
	attributes := json.RawMessage(`{ "title" : "Head", "a": [1, {"b": null}], "id": 12345678901234567890 }`)
	first := set(func(u *directory.User) { u.DisplayName, u.Attributes = "Bob", attributes })
	if first.Version != 2 || h.events(t, core.UserUpdated) != 1 {
		t.Fatalf("got version %d", first.Version)
	}
	// The same again as it was sent, and what a caller has no say in.
	before := h.snapshot(t)
	set(func(u *directory.User) {
		u.DisplayName, u.Attributes = "Bob", json.RawMessage(`{"a":[1,{"b":null}],"id":12345678901234567890,"title":"Head"}`)
		u.ID, u.Workspace, u.Connection, u.Version = core.NewID(), core.NewID(), core.ID{}, 99
		u.Epoch, u.Deleted, u.Created, u.Updated = nil, new(time.Now()), time.Now(), time.Now()
	})
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatalf("nothing differed, but: %s", diff)
	}
	if after := set(func(u *directory.User) { u.Attributes = json.RawMessage(`{"id": 12345678901234567891}`) }); after.Version != 3 {
		t.Fatal("a change in the last digit was not seen")
	}
	_, err := h.Change(ctx, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.DisplayName = "x"; return errEdit })
	if core.AsError(err).Err != errEdit {
		t.Fatal(err)
	}
	_, err = h.Change(ctx, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.UserName = "ANA@example.com"; return nil })
	coretest.Wants(t, err, core.KindConflict, "userName")
	_, err = h.Change(ctx, h.cause, h.workspace, core.NewID(), func(*directory.User) error { return nil })
	coretest.Wants(t, err, core.KindNotFound, "")
}

func parsed(raw json.RawMessage) any {
	var value any
	_ = json.Unmarshal(raw, &value)
	return value
}

func TestALeaverLosesEverything(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	h.share(t, 0, accounts.Subject{Team: h.team.ID})
	h.share(t, 1, accounts.Subject{User: h.bob.ID})
	h.share(t, 2, accounts.Subject{User: h.bob.ID})
	coretest.Must(t, h.fill(t, h.bob, 2))
	token, err := h.signIn(t, h.bob.ID, time.Now())
	coretest.Must(t, err)
	untouched := other.snapshot(t)

	effect, err := h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID)
	coretest.Must(t, err)
	if effect.SessionsEnded != 1 || effect.GrantsRevoked != 2 || len(effect.Rotations) != 3 {
		t.Fatalf("got %+v", effect)
	}
	bob := h.read(t, h.bob.ID)
	if bob.Active || bob.Epoch == nil || bob.Version != 2 {
		t.Fatalf("got %+v", bob)
	}
	_, _, err = h.Directory.Authenticate(ctx, token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	members, err := h.Directory.Members(ctx, h.DB, h.workspace, h.team.ID, 0, 0)
	if err != nil || len(members) != 1 || members[0].Suspended == nil {
		t.Fatalf("got %v, %v", members, err)
	}
	// What he saw comes first, with the highest priority.
	for i, id := range effect.Rotations {
		planned, err := h.Rotations.Rotation(ctx, h.DB, h.workspace, id)
		coretest.Must(t, err)
		want := 2
		if i == 0 {
			want = 1
		}
		if planned.Priority != want || planned.Reason != rotation.ReasonDeprovision || (i == 0) != (planned.Account == h.accounts[2].ID) {
			t.Errorf("%d: got %+v", i, planned)
		}
		if planned.Cause.Correlation != h.cause.Correlation {
			t.Error("the rotation lost its cause")
		}
	}
	for kind, want := range map[core.EventType]int{
		core.UserDeprovisioned: 1, core.SessionEnded: 1, core.AccountUnshared: 2, core.RotationPlanned: 3, core.UserUpdated: 0,
	} {
		if got := h.events(t, kind); got != want {
			t.Errorf("%d %s, want %d", got, kind, want)
		}
		if got := h.count(t, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = @type
			and event ->> 'correlation' = @correlation`, pgx.StrictNamedArgs{"type": kind, "correlation": h.cause.Correlation.String()}); got != want {
			t.Errorf("%d %s carry the correlation, want %d", got, kind, want)
		}
	}

	// Again, by every way there is: nothing.
	before := h.snapshot(t)
	again, err := h.Deprovision(ctx, h.cause, h.workspace, h.bob.ID)
	if err != nil || again.SessionsEnded+again.GrantsRevoked+len(again.Rotations) != 0 {
		t.Fatalf("got %+v, %v", again, err)
	}
	_, err = h.Change(ctx, h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.Active = false; return nil })
	coretest.Must(t, err)
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatalf("a second time did something: %s", diff)
	}

	// Back, but with nothing.
	coretest.Must(t, h.Reactivate(ctx, h.cause, h.workspace, h.bob.ID))
	coretest.Must(t, h.Reactivate(ctx, h.cause, h.workspace, h.bob.ID))
	if n := h.events(t, core.UserReactivated); n != 1 {
		t.Fatalf("%d events", n)
	}
	for i := range h.accounts {
		coretest.Wants(t, h.fill(t, h.bob, i), core.KindDenied, "")
	}
	relist := func(edit func(*lifecycle.TeamEdit)) {
		t.Helper()
		_, err := h.ChangeTeam(ctx, h.cause, h.workspace, h.team.ID, func(e *lifecycle.TeamEdit) error { edit(e); return nil })
		coretest.Must(t, err)
	}
	relist(func(e *lifecycle.TeamEdit) { e.DisplayName = "Sales & more" })
	coretest.Wants(t, h.fill(t, h.bob, 0), core.KindDenied, "")
	relist(func(e *lifecycle.TeamEdit) { e.Replace = &[]core.ID{h.bob.ID} })
	coretest.Must(t, h.fill(t, h.bob, 0)) // the IdP has listed him anew
	if diff := cmp.Diff(untouched, other.snapshot(t), cmp.FilterPath(jobsOnly, cmp.Ignore())); diff != "" {
		t.Fatal(diff)
	}
}

func TestChangeToInactiveIsADeprovision(t *testing.T) {
	h, _ := pair(t)
	h.share(t, 0, accounts.Subject{User: h.bob.ID})
	after, err := h.Change(t.Context(), h.cause, h.workspace, h.bob.ID, func(u *directory.User) error {
		u.Active, u.DisplayName = false, "Bob (left)"
		return nil
	})
	coretest.Must(t, err)
	if after.Active || after.Version != 2 || after.DisplayName != "Bob (left)" {
		t.Fatalf("got %+v", after)
	}
	if n := h.take(t); n != 1 {
		t.Fatalf("%d left", n)
	}
	if h.events(t, core.UserUpdated) != 1 || h.events(t, core.UserDeprovisioned) != 1 || h.rotations(t) != 1 {
		t.Fatal("a PUT that also deactivates does both")
	}
	after, err = h.Change(t.Context(), h.cause, h.workspace, h.bob.ID, func(u *directory.User) error { u.Active = true; return nil })
	if err != nil || !after.Active || h.events(t, core.UserReactivated) != 1 {
		t.Fatalf("got %+v, %v", after, err)
	}
	coretest.Wants(t, h.fill(t, h.bob, 0), core.KindDenied, "")
}

func TestRemove(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	h.share(t, 0, accounts.Subject{User: h.bob.ID})
	coretest.Wants(t, other.Remove(ctx, other.cause, other.workspace, h.bob.ID, nil), core.KindNotFound, "")
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, h.bob.ID, nil))
	coretest.Wants(t, h.Remove(ctx, h.cause, h.workspace, h.bob.ID, nil), core.KindNotFound, "")
	_, err := h.Directory.User(ctx, h.DB, h.workspace, h.bob.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	if n := h.take(t); n != 1 {
		t.Fatalf("%d left", n)
	}
	if h.events(t, core.UserDeprovisioned) != 1 || h.events(t, core.UserDeleted) != 1 || h.rotations(t) != 1 {
		t.Fatal("a removal is a deprovision and a deletion")
	}
	again := h.join(t, "bob@example.com") // both names are free again
	_, err = h.Deprovision(ctx, h.cause, h.workspace, again.ID)
	coretest.Must(t, err)
	coretest.Must(t, h.Remove(ctx, h.cause, h.workspace, again.ID, nil))
	if h.events(t, core.UserDeprovisioned) != 2 || h.events(t, core.UserDeleted) != 2 {
		t.Fatal("whoever is inactive already is only deleted")
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	h, other := pair(t)
	ctx := t.Context()
	other.own(t, other.ana.ID) // counts there alone
	h.own(t, h.ana.ID)
	before := h.snapshot(t)
	for name, try := range map[string]func() error{
		"deprovision": func() error { _, err := h.Deprovision(ctx, h.cause, h.workspace, h.ana.ID); return err },
		"remove":      func() error { return h.Remove(ctx, h.cause, h.workspace, h.ana.ID, nil) },
		"inactive": func() error {
			_, err := h.Change(ctx, h.cause, h.workspace, h.ana.ID, func(u *directory.User) error { u.Active = false; return nil })
			return err
		},
		"another role": func() error {
			_, err := h.Change(ctx, h.cause, h.workspace, h.ana.ID, func(u *directory.User) error { u.Role = directory.RoleUser; return nil })
			return err
		},
	} {
		if err := try(); core.AsError(err) == nil || core.AsError(err).Code != "last_owner" || core.KindOf(err) != core.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatalf("a refusal left something: %s", diff)
	}
	// Other changes of hers are fine, and so is leaving once somebody else owns the workspace.
	_, err := h.Change(ctx, h.cause, h.workspace, h.ana.ID, func(u *directory.User) error { u.DisplayName = "Ana"; return nil })
	coretest.Must(t, err)
	h.own(t, h.bob.ID)
	_, err = h.Deprovision(ctx, h.cause, h.workspace, h.ana.ID)
	coretest.Must(t, err)
	_, err = h.Deprovision(ctx, h.system, h.workspace, h.bob.ID) // the operator may
	coretest.Must(t, err)
}
