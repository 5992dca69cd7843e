package links_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/links"
	"postern/core/seal"
)

func TestARecipientOpensALink(t *testing.T) {
	h, other := pair(t)
	tables := []string{"links", "link_views", "codes", "mails", "exposures", "rotations", "audit_outbox"}
	before := h.Snapshot(t, other.workspace.ID, tables...)
	at := h.link(links.NewLink{Recipients: []string{" Ada@Example.com "}, Level: links.Revealed, Purpose: "the audit"})
	if at.State(h.clock.Now()) != links.Active || at.Expires.Sub(at.Created) != 7*24*time.Hour || at.Recipients[0] != "ada@example.com" {
		t.Fatalf("made %+v", at.Link)
	}
	if name, err := h.Peek(t.Context(), at.token); err != nil || name != "acme" {
		t.Fatalf("its page says %q, %v", name, err)
	}
	shown, err := h.opens(at, "ADA@example.com", seal.Secret{})
	coretest.Must(t, err)
	if shown.Password.Reveal() != "first password 0" || shown.Link.Username != "shared0" || shown.SignInURL != "https://wiki.example.com/" || shown.Device.IsZero() {
		t.Errorf("shown %+v", shown)
	}
	views, err := h.Views(t.Context(), h.Links.DB, h.workspace.ID, at.ID, core.ID{}, 10)
	coretest.Must(t, err)
	if len(views) != 1 || views[0].Recipient != "ada@example.com" || views[0].Address != phone.Address || views[0].Agent != "Phone" || !views[0].Seen.Equal(h.clock.Now()) {
		t.Errorf("receipts %+v", views)
	}
	exposed, err := h.Core.Accounts.Exposures(t.Context(), h.Links.DB, h.workspace.ID, h.account.ID, 10)
	coretest.Must(t, err)
	if len(exposed) != 1 || exposed[0].Link != at.ID || !exposed[0].User.IsZero() || exposed[0].Name != "ada@example.com" || exposed[0].Level != "revealed" {
		t.Errorf("exposures %+v", exposed)
	}
	if h.events(core.LinkCreated) != 1 || h.events(core.LinkViewed) != 1 || h.rotations() != 0 {
		t.Error("it is told, and nothing is rotated while the link lives")
	}
	// Once more: the same device needs another code.
	challenge, code := h.asks(at, "ada@example.com")
	if _, err := h.Open(t.Context(), phone, at.token, challenge, code, shown.Device); err != nil {
		t.Error(err)
	}
	after := h.Snapshot(t, other.workspace.ID, tables...)
	for name := range before {
		if before[name] != after[name] {
			t.Errorf("the other workspace's %s changed", name)
		}
	}
	var stored string
	coretest.Must(t, h.Links.DB.QueryRow(t.Context(), `select string_agg(x, ' ') from (select l::text x from links l union all select c::text from codes c union all select m::text from mails m
		union all select o.event::text from audit_outbox o union all select args::text from river_job) y`).Scan(&stored))
	for _, secret := range []string{at.token.Reveal(), "first password", code.Reveal(), strings.ReplaceAll(code.Reveal(), " ", ""), challenge.Reveal()} {
		if secret == "" || strings.Contains(stored, secret) {
			t.Errorf("%q stands in the database in clear", secret)
		}
	}
}

func TestOnlyRecipientsAreWrittenTo(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{Recipients: []string{"ada@example.com"}, Domains: []string{"@partner.example.org"}})
	for email, written := range map[string]bool{
		"ada@example.com": true, "anybody@PARTNER.example.org": true, "eve@example.com": false, "ada@example.com.evil.org": false,
		"x@sub.partner.example.org": false, "partner.example.org@evil.org": false, "ana@acme.example": false,
	} {
		challenge, code := h.asks(at, email)
		if challenge.IsZero() || code.IsZero() == written {
			t.Errorf("%s: written to %v", email, !code.IsZero())
		}
	}
	// Nobody learns from what is stored, or from what is waited for, who is a recipient; and a decoy's code opens nothing, though guessed.
	challenge, err := h.Ask(t.Context(), phone, at.token, "eve@example.com")
	coretest.Must(t, err)
	var decoys int
	coretest.Must(t, h.Links.DB.QueryRow(t.Context(), `select count(*) from mails where workspace_id = @workspace and decoy`, pgx.StrictNamedArgs{"workspace": h.workspace.ID}).Scan(&decoys))
	if decoys != 6 {
		t.Errorf("%d decoys", decoys)
	}
	coretest.Must(t, func() error {
		_, err := h.Links.DB.Exec(t.Context(), `update codes c set answer = sha256(convert_to('mailed code' || chr(10) || @challenge || chr(10) || '00000000', 'UTF8')) where c.challenge = @hash`,
			pgx.StrictNamedArgs{"challenge": challenge.Reveal(), "hash": seal.HashToken(challenge.Reveal())})
		return err
	}())
	_, err = h.Open(t.Context(), phone, at.token, challenge, seal.NewSecret("00000000"), seal.Secret{})
	coded(t, "a decoy's code", err, "wrong_code")
}

func TestAViewForOneIsHadByOne(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{Domains: []string{"partner.example.org"}, Once: true})
	type ready struct{ challenge, code seal.Secret }
	var all []ready
	for i := range 20 {
		challenge, code := h.asks(at, fmt.Sprintf("p%d@partner.example.org", i))
		all = append(all, ready{challenge, code})
	}
	processes := []*links.Links{h.Links, h.another(t), h.another(t)}
	var seen atomic.Int32
	var together sync.WaitGroup
	for i, one := range all {
		together.Go(func() {
			shown, err := processes[i%len(processes)].Open(t.Context(), phone, at.token, one.challenge, one.code, seal.Secret{})
			if err == nil && !shown.Password.IsZero() {
				seen.Add(1)
			} else if core.AsError(err).Code != "no_link" {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if views := h.Count(t, h.workspace.ID, `select count(*) from link_views where workspace_id = @workspace`, nil); seen.Load() != 1 || views != 1 || h.events(core.LinkViewed) != 1 {
		t.Errorf("%d saw it, %d receipts", seen.Load(), views)
	}
	// The password stays good for an hour, then it is rotated, once, whoever does it.
	found, err := h.Link(t.Context(), h.Links.DB, h.workspace.ID, at.ID)
	coretest.Must(t, err)
	if found.State(h.clock.Now()) != links.Viewed || found.Due.Sub(h.clock.Now()) != time.Hour {
		t.Errorf("after its view %+v", found)
	}
	h.clock.Pass(time.Hour - time.Microsecond)
	if ended, err := h.EndDue(t.Context()); err != nil || ended != 0 {
		t.Errorf("ended %d a moment too early, %v", ended, err)
	}
	h.clock.Pass(time.Microsecond)
	h.endEverywhere(t, processes)
	if found, err = h.Link(t.Context(), h.Links.DB, h.workspace.ID, at.ID); err != nil || found.Settled == nil || found.Why != links.WhyViewed || found.Rotation.IsZero() {
		t.Errorf("%+v, %v", found, err)
	}
}

// endEverywhere has every process end what is due at once, and wants one end and one rotation.
func (h house) endEverywhere(t *testing.T, processes []*links.Links) {
	t.Helper()
	var ended atomic.Int32
	var together sync.WaitGroup
	for range 4 {
		for _, process := range processes {
			together.Go(func() {
				number, err := process.EndDue(t.Context())
				if err != nil {
					t.Error(err)
				}
				ended.Add(int32(number))
			})
		}
	}
	together.Wait()
	if ended.Load() != 1 || h.events(core.LinkEnded) != 1 || h.rotations() != 1 {
		t.Errorf("%d ends, %d told, %d rotations", ended.Load(), h.events(core.LinkEnded), h.rotations())
	}
}

func TestALinkExpiresAtTheInstant(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{Life: time.Hour})
	h.clock.Pass(time.Hour - time.Microsecond)
	challenge, code := h.asks(at, "ada@example.com")
	if _, err := h.opens(at, "ada@example.com", seal.Secret{}); err != nil {
		t.Fatal(err)
	}
	h.clock.Pass(time.Microsecond)
	_, err := h.Open(t.Context(), phone, at.token, challenge, code, seal.Secret{})
	coded(t, "a right code at the instant", err, "no_link")
	_, err = h.Ask(t.Context(), phone, at.token, "ada@example.com")
	coded(t, "asking at the instant", err, "no_link")
	_, err = h.Peek(t.Context(), at.token)
	coded(t, "looking at the instant", err, "no_link")
	h.endEverywhere(t, []*links.Links{h.Links, h.another(t)})
}

func TestCodesAreNotTried(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{})
	challenge, code := h.asks(at, "ada@example.com")
	var wrong atomic.Int32
	var together sync.WaitGroup
	for i := range 30 { // at once, so that none slips through between counting and judging
		together.Go(func() {
			_, err := h.Open(t.Context(), phone, at.token, challenge, seal.NewSecret(fmt.Sprintf("1234%04d", i)), seal.Secret{})
			if core.AsError(err).Code == "wrong_code" {
				wrong.Add(1)
			}
		})
	}
	together.Wait()
	if wrong.Load() != 30 {
		t.Errorf("%d refused", wrong.Load())
	}
	_, err := h.Open(t.Context(), phone, at.token, challenge, code, seal.Secret{})
	coded(t, "the right one after that", err, "wrong_code")
	if attempts := h.Count(t, h.workspace.ID, `select attempts from codes where workspace_id = @workspace`, nil); attempts != 5 || h.events(core.LinkRefused) != 1 {
		t.Errorf("%d attempts were judged, %d refusals told", attempts, h.events(core.LinkRefused))
	}
}

func TestACodeIsForOneLinkInOneBrowserOnce(t *testing.T) {
	h, other := pair(t)
	at, next, theirs := h.link(links.NewLink{}), h.link(links.NewLink{}), other.link(links.NewLink{})
	challenge, code := h.asks(at, "ada@example.com")
	elsewhere, _ := h.asks(next, "ada@example.com")
	try := func(what string, to door, challenge, code seal.Secret) {
		t.Helper()
		_, err := h.Open(t.Context(), phone, to.token, challenge, code, seal.Secret{})
		coded(t, what, err, "wrong_code")
	}
	try("for another link", next, challenge, code)
	try("for another workspace's link", theirs, challenge, code)
	try("in another browser", at, seal.NewToken("pst_code"), code)
	try("in no browser", at, seal.Secret{}, code)
	try("with another link's challenge", at, elsewhere, code)
	try("an empty one", at, challenge, seal.Secret{})
	try("letters", at, challenge, seal.NewSecret("abcdefgh"))
	try("garbage", at, challenge, seal.NewSecret("\x00\xff"+strings.Repeat("1", 1000)))
	if _, err := h.Open(t.Context(), phone, at.token, challenge, seal.NewSecret(" "+strings.ReplaceAll(code.Reveal(), " ", "-")+" "), seal.Secret{}); err != nil {
		t.Errorf("as people type it: %v", err)
	}
	try("again", at, challenge, code)
	late, code := h.asks(at, "ada@example.com")
	h.clock.Pass(10 * time.Minute)
	try("ten minutes later", at, late, code)
	for _, token := range []string{"", "pst_link_", "pst_link_" + strings.Repeat("0", 43), strings.Repeat("x", 5000), "pst_session_" + strings.Repeat("0", 43), "\x00"} {
		_, err := h.Peek(t.Context(), seal.NewSecret(token))
		coded(t, "an address that leads nowhere", err, "no_link")
	}
}

func TestTheSameCodeAtOnceOpensOnce(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{})
	challenge, code := h.asks(at, "ada@example.com")
	var seen atomic.Int32
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() {
			if _, err := h.Open(t.Context(), phone, at.token, challenge, code, seal.Secret{}); err == nil {
				seen.Add(1)
			}
		})
	}
	together.Wait()
	if seen.Load() != 1 {
		t.Errorf("%d saw it", seen.Load())
	}
}

func TestTheFirstDeviceIsTheOne(t *testing.T) {
	h, _ := pair(t)
	at := h.link(links.NewLink{Recipients: []string{"ada@example.com", "bob@example.com"}, DeviceLock: true})
	first, err := h.opens(at, "ada@example.com", seal.Secret{})
	coretest.Must(t, err)
	for what, device := range map[string]seal.Secret{
		"another device": {}, "a device of its own making": seal.NewToken("pst_device"), "garbage": seal.NewSecret("x"), "a long one": seal.NewSecret("pst_device_" + strings.Repeat("x", 9999)),
	} {
		_, err := h.opens(at, "ada@example.com", device)
		coded(t, what, err, "other_device")
	}
	if _, err := h.opens(at, "bob@example.com", seal.Secret{}); err != nil {
		t.Errorf("each recipient has a first device: %v", err)
	}
	shown, err := h.opens(at, "ada@example.com", first.Device)
	if err != nil || !shown.Device.IsZero() {
		t.Errorf("the first device again: %v", err)
	}
	if h.events(core.LinkRefused) != 4 {
		t.Errorf("%d refusals told", h.events(core.LinkRefused))
	}
	// Of two that are first at once, one is.
	race := h.link(links.NewLink{Recipients: []string{"eve@example.com"}, DeviceLock: true})
	var seen atomic.Int32
	var together sync.WaitGroup
	for range 6 {
		challenge, code := h.asks(race, "eve@example.com")
		together.Go(func() {
			if _, err := h.Open(t.Context(), phone, race.token, challenge, code, seal.Secret{}); err == nil {
				seen.Add(1)
			}
		})
	}
	together.Wait()
	if seen.Load() != 1 {
		t.Errorf("%d devices were first", seen.Load())
	}
}

func TestALinkEndsWithItsOwnersRight(t *testing.T) {
	grantOf := func(h house, user core.ID) accounts.Grant {
		found, err := h.Core.Accounts.Grants(t.Context(), h.Links.DB, h.workspace.ID, h.account.ID)
		coretest.Must(t, err)
		return found[slices.IndexFunc(found, func(one accounts.Grant) bool { return one.User == user })]
	}
	for what, gone := range map[string]func(h house){
		"left": func(h house) {
			_, err := h.Lifecycle.Deprovision(t.Context(), coretest.System(), h.workspace.ID, h.ana.ID)
			coretest.Must(t, err)
		},
		"is a collaborator": func(h house) { h.share(h.ben.ID, accounts.Owner); h.share(h.ana.ID, accounts.Collaborator) },
		"owns it no more": func(h house) {
			h.share(h.ben.ID, accounts.Owner)
			h.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
				return h.Core.Accounts.Unshare(ctx, tx, coretest.System(), h.workspace.ID, grantOf(h, h.ana.ID).ID)
			})
		},
		"is login-only": func(h house) {
			_, err := h.Lifecycle.Change(t.Context(), coretest.System(), h.workspace.ID, h.ana.ID, func(user *directory.User) error { user.Role = directory.RoleLoginOnly; return nil })
			coretest.Must(t, err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			h, other := pair(t)
			at, theirs := h.link(links.NewLink{}), other.link(links.NewLink{})
			if _, err := h.opens(at, "ada@example.com", seal.Secret{}); err != nil {
				t.Fatal(err)
			}
			challenge, code := h.asks(at, "ada@example.com")
			gone(h)
			_, err := h.Open(t.Context(), phone, at.token, challenge, code, seal.Secret{})
			coded(t, "before anybody looked", err, "not_now")
			coretest.Must(t, h.Disown(t.Context()))
			_, err = h.Peek(t.Context(), at.token)
			coded(t, "afterwards", err, "no_link")
			if ended, err := h.EndDue(t.Context()); err != nil || ended != 1 {
				t.Fatalf("ended %d, %v", ended, err)
			}
			coretest.Must(t, h.Disown(t.Context()))
			found, err := h.Link(t.Context(), h.Links.DB, h.workspace.ID, at.ID)
			if err != nil || found.Why != links.WhyOwnerGone || found.Rotation.IsZero() || h.rotations() != 1 {
				t.Errorf("%+v, %d rotations, %v", found, h.rotations(), err)
			}
			if _, err := other.opens(theirs, "ada@example.com", seal.Secret{}); err != nil {
				t.Errorf("the other workspace's link: %v", err)
			}
		})
	}
}

func TestWhoIsLimited(t *testing.T) {
	h, other := pair(t)
	at := h.link(links.NewLink{Recipients: []string{"ada@example.com", "bob@example.com"}})
	limited := map[string]int{}
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		for range 12 {
			if _, err := h.Ask(t.Context(), core.Origin{Address: "198.51.100." + email[:1]}, at.token, email); err != nil {
				coded(t, "too many", err, "too_many_codes")
				limited[email]++
			}
		}
	}
	if limited["ada@example.com"] != 2 || limited["nobody@example.com"] != 2 {
		t.Errorf("whoever asks is limited alike: %v", limited)
	}
	if _, err := h.Ask(t.Context(), phone, at.token, "bob@example.com"); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if _, err := h.Ask(t.Context(), phone, other.link(links.NewLink{}).token, "ada@example.com"); err != nil {
		t.Errorf("in the other workspace: %v", err)
	}
	h.clock.Pass(time.Hour)
	if _, err := h.Ask(t.Context(), phone, at.token, "ada@example.com"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	refused := 0
	for i := range 70 {
		if _, err := h.Ask(t.Context(), core.Origin{Address: "192.0.2.1"}, at.token, fmt.Sprintf("x%d@example.com", i)); err != nil {
			refused++
		}
	}
	if refused != 10 {
		t.Errorf("%d of 70 from one address were refused", refused)
	}
}
