package reviews_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/reviews"
)

// The owner of the account is asked, about the only owner their manager, and where there is none an administrator:
// never the person themselves.
func TestTheChainOfReviewers(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	other.share(t, other.system(), other.account(t, other.ana).ID, accounts.Subject{User: other.zoe.ID}, accounts.Collaborator)
	boss := h.join(t, "boss", directory.RoleUser, directory.User{})
	dora := h.join(t, "dora", directory.RoleUser, boss)
	bob := h.join(t, "bob", directory.RoleUser, boss)
	guest := h.join(t, "guest", directory.RoleGuest, directory.User{})
	login := h.account(t, dora)
	h.share(t, h.system(), login.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
	h.share(t, h.by(h.zoe), login.ID, accounts.Subject{User: guest.ID}, accounts.Collaborator)
	zoes := h.account(t, h.zoe)

	begun := h.campaign(t, reviews.Campaign{})
	got := map[string]string{}
	for _, item := range h.items(t, begun.ID) {
		got[item.Username+" "+item.Subject] = item.Reviewing + " as " + string(item.AskedAs) + " of " + string(item.Kind)
	}
	want := map[string]string{
		login.Username + " dora":  "boss as manager of user",
		login.Username + " bob":   "dora as owner of user",
		login.Username + " guest": "dora as owner of guest",
		zoes.Username + " zoe":    " as  of user", // the only administrator: nobody but another one may
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	item := h.item(t, begun.ID, login.ID, guest.ID)
	if item.Giver != "zoe" || item.Purpose != "work" || item.LastUsed != nil || item.Role != "collaborator" {
		t.Errorf("got %+v", item)
	}
	coretest.Wants(t, h.say(h.by(h.zoe), begun.ID, h.item(t, begun.ID, zoes.ID, h.zoe.ID).ID, reviews.Keep), core.KindDenied, "own_access")

	// A reviewer who leaves is followed by the next in the chain.
	_, err := h.core.Lifecycle.Deprovision(t.Context(), h.system(), h.workspace, boss.ID)
	coretest.Must(t, err)
	h.settle(t)
	if item := h.item(t, begun.ID, login.ID, dora.ID); item.Reviewing != "zoe" || item.AskedAs != reviews.AsAdministrator {
		t.Errorf("got %s as %s", item.Reviewing, item.AskedAs)
	}
	// And so is an owner who is none any more.
	h.share(t, h.system(), login.ID, accounts.Subject{User: h.ana.ID}, accounts.Owner)
	h.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return h.core.Lifecycle.Unshare(ctx, tx, h.system(), h.workspace, h.item(t, begun.ID, login.ID, dora.ID).Grant)
	})
	h.settle(t)
	if item := h.item(t, begun.ID, login.ID, bob.ID); item.Reviewing != "ana" {
		t.Errorf("got %s as %s", item.Reviewing, item.AskedAs)
	}
	if item := h.item(t, begun.ID, login.ID, dora.ID); item.Decision != reviews.Ended {
		t.Errorf("access that is gone: %q", item.Decision)
	}
}

// Access of a team is not reviewed by who is in it.
func TestATeamDoesNotReviewItself(t *testing.T) {
	w := open(t)
	h := w.house(t)
	member := h.join(t, "member", directory.RoleUser, directory.User{})
	var team directory.Team
	h.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		team, err = h.core.Directory.InsertTeam(ctx, tx, directory.Team{Workspace: h.workspace, DisplayName: "Sales"})
		return err
	})
	h.addMember(t, team.ID, member.ID)
	login := h.account(t, member)
	h.share(t, h.system(), login.ID, accounts.Subject{Team: team.ID}, accounts.Collaborator)
	begun := h.campaign(t, reviews.Campaign{})
	item := h.item(t, begun.ID, login.ID, team.ID)
	if item.Reviewing != "zoe" || item.Kind != reviews.Team {
		t.Fatalf("got %s of %s", item.Reviewing, item.Kind)
	}
	h.addMember(t, team.ID, h.zoe.ID)
	coretest.Wants(t, h.say(h.by(h.zoe), begun.ID, item.ID, reviews.Keep), core.KindDenied, "own_access")
	coretest.Wants(t, h.say(h.by(member), begun.ID, item.ID, reviews.Keep), core.KindDenied, "own_access")
	if _, err := h.Reassign(t.Context(), h.by(h.zoe), h.workspace, begun.ID, reviews.Reassignment{Items: []core.ID{item.ID}, To: member.ID}); core.AsError(err).Code != "nothing_reassigned" {
		t.Fatalf("to somebody of the team: %v", err)
	}
	moved, err := h.Reassign(t.Context(), h.by(h.zoe), h.workspace, begun.ID, reviews.Reassignment{Items: []core.ID{item.ID}, To: h.ana.ID})
	if err != nil || moved != 1 {
		t.Fatal(moved, err)
	}
	coretest.Must(t, h.say(h.by(h.ana), begun.ID, item.ID, reviews.Keep))
}

func (h house) addMember(t coretest.T, team, user core.ID) {
	t.Helper()
	_, err := h.core.DB.Exec(context.Background(), `insert into team_members (workspace_id, team_id, user_id) values (@workspace, @team, @user)`,
		pgx.StrictNamedArgs{"workspace": h.workspace, "team": team, "user": user})
	coretest.Must(t, err)
}
