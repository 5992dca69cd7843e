package links_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/links"
	"postern/core/policies"
	"postern/core/seal"
)

func TestWhoMayMakeALink(t *testing.T) {
	h, other := pair(t)
	_, err := h.Lifecycle.Change(t.Context(), coretest.System(), h.workspace.ID, h.cleo.ID, func(user *directory.User) error { user.Role = directory.RoleLoginOnly; return nil })
	coretest.Must(t, err)
	api := core.NewCause(core.Actor{Kind: core.ActorServiceAccount, ID: core.NewID()}, h.clock.Now())
	for what, one := range map[string]struct {
		cause     core.Cause
		workspace core.ID
		owner     core.ID
		code      string
	}{
		"a collaborator":                        {h.by(h.ben), h.workspace.ID, h.ben.ID, "not_owner"},
		"login-only, with nothing":              {h.by(h.cleo), h.workspace.ID, h.cleo.ID, "not_shared"},
		"the workspace's owner, without it":     {h.by(h.olga), h.workspace.ID, h.olga.ID, "not_shared"},
		"in an owner's name":                    {h.by(h.ben), h.workspace.ID, h.ana.ID, "not_you"},
		"another workspace's owner":             {other.by(other.ana), h.workspace.ID, other.ana.ID, "not_shared"},
		"in another workspace":                  {h.by(h.ana), other.workspace.ID, h.ana.ID, "not_shared"},
		"a connection":                          {core.NewCause(core.Actor{Kind: core.ActorConnection, ID: core.NewID()}, h.clock.Now()), h.workspace.ID, h.ana.ID, "not_you"},
		"a service account, for a collaborator": {api, h.workspace.ID, h.ben.ID, "not_owner"},
		"a service account, for nobody":         {api, h.workspace.ID, core.NewID(), "not_shared"},
		"the owner":                             {h.by(h.ana), h.workspace.ID, h.ana.ID, ""},
		"a service account, for the owner":      {api, h.workspace.ID, h.ana.ID, ""},
	} {
		_, _, err := h.Create(t.Context(), one.cause, one.workspace, links.NewLink{Account: h.account.ID, Owner: one.owner, Recipients: []string{"ada@example.com"}})
		if one.code == "" {
			coretest.Must(t, err)
			continue
		}
		coded(t, what, err, one.code)
	}
	_, err = h.Lifecycle.Deprovision(t.Context(), coretest.System(), h.workspace.ID, h.ana.ID)
	coretest.Must(t, err)
	_, _, err = h.Create(t.Context(), h.by(h.ana), h.workspace.ID, links.NewLink{Account: h.account.ID, Owner: h.ana.ID, Recipients: []string{"ada@example.com"}})
	coded(t, "a leaver", err, "inactive")
	if made := h.Count(t, h.workspace.ID, `select count(*) from links where workspace_id = @workspace`, nil); made != 2 {
		t.Errorf("%d links", made)
	}
}

func TestWhatALinkMayBe(t *testing.T) {
	h, _ := pair(t)
	good := links.NewLink{Account: h.account.ID, Owner: h.ana.ID, Recipients: []string{"ada@example.com"}}
	for field, change := range map[string]func(n *links.NewLink){
		"account":    func(n *links.NewLink) { n.Account = core.ID{} },
		"owner":      func(n *links.NewLink) { n.Owner = core.ID{} },
		"recipients": func(n *links.NewLink) { n.Recipients = nil },
		"recipients many": func(n *links.NewLink) {
			for i := range 21 {
				n.Recipients = append(n.Recipients, fmt.Sprintf("a%d@example.com", i))
			}
		},
		"recipients bad":  func(n *links.NewLink) { n.Recipients = []string{"Ada <ada@example.com>"} },
		"recipients line": func(n *links.NewLink) { n.Recipients = []string{"ada@example.com\r\nBcc: eve@evil.org"} },
		"domains":         func(n *links.NewLink) { n.Domains = []string{"gmail.com"} },
		"domains suffix":  func(n *links.NewLink) { n.Domains = []string{"co.uk"} },
		"domains bad":     func(n *links.NewLink) { n.Domains = []string{"a@b.com"} },
		"level":           func(n *links.NewLink) { n.Level = "injected" },
		"expires":         func(n *links.NewLink) { n.Life = 30*24*time.Hour + 1 },
		"expires short":   func(n *links.NewLink) { n.Life = time.Second },
		"linger":          func(n *links.NewLink) { n.Linger = new(25 * time.Hour) },
		"purpose":         func(n *links.NewLink) { n.Purpose = "two\nlines" },
		"purpose long":    func(n *links.NewLink) { n.Purpose = strings.Repeat("ä", 201) },
		"send":            func(n *links.NewLink) { n.Recipients, n.Domains, n.Send = nil, []string{"example.org"}, true },
	} {
		wanted := good
		change(&wanted)
		_, _, err := h.Create(t.Context(), h.by(h.ana), h.workspace.ID, wanted)
		field, _, _ = strings.Cut(field, " ")
		if fault := core.AsError(err); fault == nil || fault.Kind != core.KindInvalid || fault.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	good.Life = 30 * 24 * time.Hour
	if _, _, err := h.Create(t.Context(), h.by(h.ana), h.workspace.ID, good); err != nil {
		t.Error(err)
	}
	h.Mail.Keep = false
	_, _, err := h.Create(t.Context(), h.by(h.ana), h.workspace.ID, good)
	coded(t, "where no mail is sent", err, "mail_off")
}

func TestALinkIsMailedToItsRecipients(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{Recipients: []string{"ada@example.com", "bob@example.com"}, Send: true, Purpose: "the audit"})
	mails, err := h.Mail.Kept(t.Context(), h.Links.DB, h.workspace.ID, 10)
	coretest.Must(t, err)
	if len(mails) != 2 {
		t.Fatalf("%d mails", len(mails))
	}
	text, err := h.Mail.Text(t.Context(), h.Links.DB, h.workspace.ID, mails[0].ID)
	if err != nil || !strings.Contains(text.Reveal(), at.token.Reveal()) || !strings.Contains(text.Reveal(), "the audit") || strings.Contains(text.Reveal(), "first password") {
		t.Errorf("%s, %v", text.Reveal(), err)
	}
}

func TestWhoMayEndALink(t *testing.T) {
	h, other := pair(t)
	at := h.link(links.NewLink{})
	for what, cause := range map[string]core.Cause{
		"a collaborator": h.by(h.ben), "a stranger": h.by(h.cleo), "another workspace's owner": other.by(other.olga),
		"a recipient": core.NewCause(core.Actor{Kind: core.ActorRecipient, Name: "ada@example.com"}, h.clock.Now()),
		"nobody":      core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID()}, h.clock.Now()),
	} {
		_, err := h.Revoke(t.Context(), cause, h.workspace.ID, at.ID)
		coded(t, what, err, "not_found")
	}
	_, err := h.Revoke(t.Context(), h.by(h.olga), other.workspace.ID, at.ID)
	coded(t, "in another workspace", err, "not_found")
	ended, err := h.Revoke(t.Context(), h.by(h.olga), h.workspace.ID, at.ID)
	if err != nil || ended.Why != links.WhyRevoked || ended.Rotation.IsZero() || h.rotations() != 1 {
		t.Fatalf("an administrator: %+v, %v", ended, err)
	}
	_, err = h.Peek(t.Context(), at.token)
	coded(t, "afterwards", err, "no_link")
	if again, err := h.Revoke(t.Context(), h.by(h.ana), h.workspace.ID, at.ID); err != nil || !again.Settled.Equal(*ended.Settled) || h.events(core.LinkEnded) != 1 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	h.clock.Pass(31 * 24 * time.Hour)
	h.endNothing(t)
	if h.rotations() != 1 {
		t.Errorf("%d rotations", h.rotations())
	}
}

func (h house) endNothing(t *testing.T) {
	t.Helper()
	if ended, err := h.EndDue(t.Context()); err != nil || ended != 0 {
		t.Errorf("ended %d, %v", ended, err)
	}
}

func TestAPolicyDecidesWhetherItsEndRotates(t *testing.T) {
	h, _ := pair(t)
	_, err := h.Policies.Create(t.Context(), coretest.System(), h.workspace.ID, policies.Policy{
		Name: "never", Trigger: policies.TriggerLinkEnd, Enabled: false, Scope: policies.Scope{Covers: policies.All},
	})
	coretest.Must(t, err)
	at := h.link(links.NewLink{})
	if _, err := h.opens(at, "ada@example.com", seal.Secret{}); err != nil {
		t.Fatal(err)
	}
	ended, err := h.Revoke(t.Context(), h.by(h.ana), h.workspace.ID, at.ID)
	if err != nil || !ended.Rotation.IsZero() || h.rotations() != 0 || h.events(core.LinkEnded) != 1 {
		t.Errorf("%+v, %v", ended, err)
	}
}

func TestWhoSeesWhichLinks(t *testing.T) {
	h, other := pair(t)
	first, second := h.link(links.NewLink{}), h.link(links.NewLink{Account: h.other.ID})
	other.link(links.NewLink{})
	for user, want := range map[core.ID]bool{h.ana.ID: true, h.olga.ID: true, h.ben.ID: false, h.cleo.ID: false, other.olga.ID: false} {
		if err := h.MayRead(t.Context(), h.Links.DB, h.workspace.ID, user, first.Link); (err == nil) != want {
			t.Errorf("%s: %v", user, err)
		}
	}
	list := func(query links.Query) (ids []core.ID) {
		found, err := h.List(t.Context(), h.Links.DB, h.workspace.ID, query)
		coretest.Must(t, err)
		for _, one := range found {
			ids = append(ids, one.ID)
		}
		return ids
	}
	if all := list(links.Query{}); len(all) != 2 || all[0] != second.ID {
		t.Errorf("all are %v", all)
	}
	if page := list(links.Query{Limit: 1, Before: second.ID}); len(page) != 1 || page[0] != first.ID {
		t.Errorf("behind the second is %v", page)
	}
	if of := list(links.Query{Account: h.other.ID, Owner: h.ana.ID}); len(of) != 1 || of[0] != second.ID {
		t.Errorf("of the other account: %v", of)
	}
	h.clock.Pass(8 * 24 * time.Hour)
	if live := list(links.Query{Live: true}); len(live) != 0 {
		t.Errorf("live are %v", live)
	}
	if none, err := h.Views(t.Context(), h.Links.DB, other.workspace.ID, first.ID, core.ID{}, 10); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}
