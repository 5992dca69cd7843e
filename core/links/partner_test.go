package links_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/links"
)

// auditors are a partner Ben answers for.
func (h house) auditors(change func(*links.NewPartner)) (links.Partner, error) {
	h.t.Helper()
	wanted := links.NewPartner{Name: "Auditors & Co", Domains: []string{"Auditors.example", "@audit.example"}, Sponsor: h.ben.ID}
	if change != nil {
		change(&wanted)
	}
	return h.CreatePartner(h.t.Context(), h.by(h.olga), h.workspace.ID, wanted)
}

func (h house) partner(id core.ID) links.Partner {
	h.t.Helper()
	found, err := h.Partner(h.t.Context(), h.Links.DB, h.workspace.ID, id)
	coretest.Must(h.t, err)
	return found
}

var touched = []string{"partners", "partner_domains", "guests", "users", "sessions", "grants", "rotations", "audit_outbox"}

func TestAPartnersEndIsItsGuestsEnd(t *testing.T) {
	h, other := pair(t)
	theirs, err := other.auditors(nil)
	coretest.Must(t, err)
	others := other.Snapshot(t, other.workspace.ID, touched...)
	early := h.invites("hal@auditors.example")
	made, err := h.auditors(nil)
	coretest.Must(t, err)
	if !slices.Equal(made.Domains, []string{"audit.example", "auditors.example"}) || made.SponsorIs != "Ben" || !made.Sponsored || made.Guests != 1 {
		t.Fatalf("%+v", made)
	}
	if early, err = h.Guest(t.Context(), h.Links.DB, h.workspace.ID, early.User); err != nil || early.Partner != made.ID || early.PartnerIs != made.Name {
		t.Errorf("who was a guest already: %+v, %v", early, err)
	}
	gus, eve := h.invites("gus@audit.example"), h.invites("eve@sub.audit.example")
	if gus.Partner != made.ID || !eve.Partner.IsZero() {
		t.Errorf("%+v, %+v", gus, eve)
	}
	h.share(gus.User, accounts.Collaborator)
	_, token, err := h.enters(gus.Email)
	coretest.Must(t, err)
	_, stays, err := h.enters(eve.Email)
	coretest.Must(t, err)
	person, err := h.Core.Directory.User(t.Context(), h.Links.DB, h.workspace.ID, gus.User)
	coretest.Must(t, err)
	_, _, err = h.Core.Accounts.Fill(t.Context(), h.by(person), h.workspace.ID, person.ID, h.account.ID)
	coretest.Must(t, err)

	before := h.Snapshot(t, h.workspace.ID, touched...)
	would, err := h.PreviewPartnerEnd(t.Context(), h.workspace.ID, made.ID)
	if err != nil || len(would.Guests) != 2 || len(would.Accounts) != 1 || would.Accounts[0].Account != h.account.ID || !would.Accounts[0].SawVersionCurrent || !would.Accounts[0].Rotated {
		t.Errorf("%+v, %v", would, err)
	}
	_, err = h.PreviewPartnerEnd(t.Context(), h.workspace.ID, theirs.ID)
	coded(t, "a preview of another workspace's", err, "not_found")
	for what, one := range map[string]struct {
		by   core.Cause
		id   core.ID
		code string
	}{
		"a member":                        {h.by(h.ana), made.ID, "not_administrator"},
		"the sponsor":                     {h.by(h.ben), made.ID, "not_administrator"},
		"another workspace's owner":       {other.by(other.olga), made.ID, "not_a_member"},
		"another workspace's, by its own": {h.by(h.olga), theirs.ID, "not_found"},
	} {
		_, err := h.EndPartner(t.Context(), one.by, h.workspace.ID, one.id)
		coded(t, what+" ends it", err, one.code)
		_, err = h.ChangePartner(t.Context(), one.by, h.workspace.ID, one.id, links.NewPartner{Name: "x", Domains: []string{"x.example"}, Sponsor: h.ben.ID})
		coded(t, what+" changes it", err, one.code)
	}
	if after := h.Snapshot(t, h.workspace.ID, touched...); !same(before, after) {
		t.Error("asking changed something")
	}

	ended, err := h.EndPartner(t.Context(), h.by(h.olga), h.workspace.ID, made.ID)
	if err != nil || ended.Ended == nil || ended.Guests != 0 {
		t.Fatalf("%+v, %v", ended, err)
	}
	if h.SignedIn(t, token) || !h.SignedIn(t, stays) || h.rotations() != 1 || h.events(core.GuestInvitationEnded) != 1 {
		t.Errorf("%d rotations, %d invitations ended", h.rotations(), h.events(core.GuestInvitationEnded))
	}
	if gus, err = h.Guest(t.Context(), h.Links.DB, h.workspace.ID, gus.User); err != nil || gus.State(h.clock.Now()) != links.Removed || gus.EndReason != "partner_ended" {
		t.Errorf("%+v, %v", gus, err)
	}
	_, err = h.EndPartner(t.Context(), h.by(h.olga), h.workspace.ID, made.ID)
	if coretest.Must(t, err); h.events(core.PartnerEnded) != 1 {
		t.Errorf("ended %d times", h.events(core.PartnerEnded))
	}
	_, err = h.Invite(t.Context(), h.by(h.olga), h.workspace.ID, links.Invitation{Email: gus.Email})
	coded(t, "its people are invited again", err, "partner_ended")
	if again, err := h.Core.Directory.User(t.Context(), h.Links.DB, h.workspace.ID, gus.User); err != nil || again.Active {
		t.Errorf("who is not invited is let in: %v, %v", again.Active, err)
	}
	_, err = h.ChangePartner(t.Context(), h.by(h.olga), h.workspace.ID, made.ID, links.NewPartner{Name: "x", Domains: []string{"x.example"}, Sponsor: h.ben.ID})
	coded(t, "changed afterwards", err, "ended")
	// Made anew it has none of who was there.
	anew, err := h.auditors(nil)
	if coretest.Must(t, err); anew.Guests != 0 || h.invites(gus.Email).Partner != anew.ID {
		t.Errorf("%+v", anew)
	}
	if !same(others, other.Snapshot(t, other.workspace.ID, touched...)) {
		t.Error("the other workspace changed")
	}
}

func same[Value comparable](one, other map[string]Value) bool {
	for name := range one {
		if one[name] != other[name] {
			return false
		}
	}
	return len(one) == len(other)
}

func TestWhatAPartnerIsMadeOf(t *testing.T) {
	h, other := pair(t)
	_, err := other.auditors(nil) // whose names and domains are their own
	coretest.Must(t, err)
	first, err := h.auditors(nil)
	coretest.Must(t, err)
	guest := h.invites("gus@elsewhere.example")
	for what, one := range map[string]struct {
		code   string
		change func(*links.NewPartner)
	}{
		"the same name":        {"partner_name", func(n *links.NewPartner) { n.Name, n.Domains = "AUDITORS & co", []string{"new.example"} }},
		"a domain of another":  {"partner_domain", func(n *links.NewPartner) { n.Name, n.Domains = "New", []string{"new.example", "audit.example"} }},
		"no name":              {"invalid", func(n *links.NewPartner) { n.Name = " " }},
		"no domain":            {"invalid", func(n *links.NewPartner) { n.Domains = nil }},
		"everybody's domain":   {"public_domain", func(n *links.NewPartner) { n.Domains = []string{"gmail.com"} }},
		"a suffix":             {"public_domain", func(n *links.NewPartner) { n.Domains = []string{"co.uk"} }},
		"an end that was":      {"invalid", func(n *links.NewPartner) { n.Ends = new(h.clock.Now()) }},
		"nobody":               {"sponsor", func(n *links.NewPartner) { n.Sponsor = core.NewID() }},
		"another workspace's":  {"sponsor", func(n *links.NewPartner) { n.Sponsor = other.ben.ID }},
		"a guest as a sponsor": {"sponsor", func(n *links.NewPartner) { n.Sponsor = guest.User }},
	} {
		_, err := h.auditors(func(n *links.NewPartner) {
			n.Name, n.Domains = "Other", []string{"other.example"}
			one.change(n)
		})
		coded(t, what, err, one.code)
	}
	changed, err := h.ChangePartner(t.Context(), h.by(h.olga), h.workspace.ID, first.ID, links.NewPartner{
		Name: "Checkers", Domains: []string{"elsewhere.example"}, Sponsor: h.ana.ID, Ends: new(h.clock.Now().Add(time.Hour)),
	})
	if err != nil || changed.Name != "Checkers" || changed.Sponsor != h.ana.ID || changed.Guests != 1 || changed.Ends == nil || !slices.Equal(changed.Domains, []string{"elsewhere.example"}) {
		t.Fatalf("%+v, %v", changed, err)
	}
	// Its sponsor leaves: it is there, and says so.
	_, err = h.Lifecycle.Deprovision(t.Context(), coretest.System(), h.workspace.ID, h.ana.ID)
	coretest.Must(t, err)
	if left := h.partner(first.ID); left.Sponsored || left.Ended != nil || left.Guests != 1 {
		t.Errorf("%+v", left)
	}
	if all, err := h.Partners(t.Context(), h.Links.DB, h.workspace.ID, core.ID{}, 10); err != nil || len(all) != 1 || all[0].ID != first.ID {
		t.Errorf("%v, %v", all, err)
	}
}

func TestAPartnerEndsByTheClock(t *testing.T) {
	h, _ := pair(t)
	made, err := h.auditors(func(n *links.NewPartner) { n.Ends = new(h.clock.Now().Add(48 * time.Hour)) })
	coretest.Must(t, err)
	guest := h.invites("gus@audit.example")
	_, token, err := h.enters(guest.Email)
	coretest.Must(t, err)
	if total, err := h.EndPartners(t.Context()); err != nil || total != 0 {
		t.Fatalf("before: %d, %v", total, err)
	}
	h.clock.Pass(48*time.Hour - time.Minute)
	challenge, code := h.knocks(guest.Email)
	h.clock.Pass(time.Minute)
	// By the clock alone, whoever is to do the rest.
	_, _, err = h.Enter(t.Context(), phone, h.workspace.ID, challenge, code)
	coded(t, "a code from before", err, "wrong_code")
	if _, code := h.knocks(guest.Email); !code.IsZero() {
		t.Error("who has no access any more is written to")
	}
	_, err = h.Invite(t.Context(), h.by(h.olga), h.workspace.ID, links.Invitation{Email: "new@audit.example"})
	coded(t, "somebody new", err, "partner_ended")
	_, err = h.Resend(t.Context(), h.by(h.olga), h.workspace.ID, guest.User)
	coded(t, "sent again", err, "accepted")
	_, err = h.ChangePartner(t.Context(), h.by(h.olga), h.workspace.ID, made.ID, links.NewPartner{Name: "x", Domains: []string{"x.example"}, Sponsor: h.ben.ID})
	coded(t, "changed", err, "ended")
	if total, err := h.EndPartners(t.Context()); err != nil || total != 1 {
		t.Fatalf("%d, %v", total, err)
	}
	if h.SignedIn(t, token) || h.partner(made.ID).Ended == nil || h.events(core.PartnerEnded) != 1 {
		t.Error("it has not ended")
	}
	if total, err := h.EndPartners(t.Context()); err != nil || total != 0 {
		t.Fatalf("again: %d, %v", total, err)
	}
}

// Whoever ends a partner may die before its guests are sent away: they are out, and another process goes on in the same name.
func TestAnotherProcessEndsWhatOneBegan(t *testing.T) {
	h, _ := pair(t)
	made, err := h.auditors(nil)
	coretest.Must(t, err)
	guest := h.invites("gus@audit.example")
	_, token, err := h.enters(guest.Email)
	coretest.Must(t, err)
	dies := *h.Links
	dies.Depart = func(context.Context, core.Cause, core.ID, core.ID) error { return errors.New("killed") }
	ended, err := dies.EndPartner(t.Context(), h.by(h.olga), h.workspace.ID, made.ID)
	if err != nil || ended.Guests != 1 {
		t.Fatalf("%+v, %v", ended, err)
	}
	if _, code := h.knocks(guest.Email); !code.IsZero() {
		t.Error("a guest of an ended partner signs in")
	}
	if total, err := h.EndPartners(t.Context()); err != nil || total != 1 || h.SignedIn(t, token) {
		t.Fatalf("%d, %v", total, err)
	}
	told := h.Count(t, h.workspace.ID, `select count(*) from audit_outbox where workspace_id = @workspace and event ->> 'type' = 'user.deprovisioned'
		and event -> 'actor' ->> 'id' = @olga and event -> 'targets' -> 0 ->> 'id' = @guest`, pgx.StrictNamedArgs{"olga": h.olga.ID.String(), "guest": guest.User.String()})
	if told != 1 {
		t.Errorf("told %d times that Olga sent them away", told)
	}
}

func TestGuestsOfPartnersAlone(t *testing.T) {
	h, other := pair(t)
	_, err := h.auditors(nil)
	coretest.Must(t, err)
	before := h.invites("old@stranger.example")
	wanted := links.Settings{Inviters: links.ByAccountOwners, PartnersOnly: true}
	coded(t, "a member says so", h.ChangeSettings(t.Context(), h.by(h.ana), h.workspace.ID, wanted), "not_administrator")
	coretest.Must(t, h.ChangeSettings(t.Context(), h.by(h.olga), h.workspace.ID, wanted))
	if said, err := h.Settings(t.Context(), h.Links.DB, h.workspace.ID); err != nil || said != wanted {
		t.Fatalf("%+v, %v", said, err)
	}
	for _, by := range []directory.User{h.olga, h.ana} {
		_, err := h.Invite(t.Context(), h.by(by), h.workspace.ID, links.Invitation{Email: "gus@stranger.example"})
		coded(t, "a stranger, by "+by.DisplayName, err, "partners_only")
	}
	h.invites("gus@audit.example")
	if _, _, err := h.enters(before.Email); err != nil {
		t.Errorf("who is a guest stays one: %v", err)
	}
	if guest := other.invites("gus@stranger.example"); guest.User.IsZero() {
		t.Error("another workspace's are asked")
	}
}
