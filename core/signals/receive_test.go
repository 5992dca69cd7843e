package signals_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/coretest"
	"postern/core/signals"
)

func TestLogoutEndsSessionsAndRotatesWhatCouldBeSeen(t *testing.T) {
	h, other := pair(t)
	token, their, bobs := h.signIn(t, h.ana, "sid-1"), other.signIn(t, other.ana, "sid-1"), h.signIn(t, h.bob, "sid-2")
	untouched := other.snapshot(t)
	receipt := h.receive(t, h.about(h.ana))
	if h.alive(t, token) || !h.alive(t, bobs) || !other.alive(t, their) {
		t.Fatal("the wrong sessions ended")
	}
	if receipt.Outcome != signals.Done || receipt.Sessions != 1 || len(receipt.Rotations) != 3 || len(receipt.Users) != 1 || receipt.Users[0] != h.ana.ID {
		t.Fatalf("%+v", receipt)
	}
	if diff := cmp.Diff([]signals.Command{signals.EndSessions, signals.Rotate}, receipt.Commands); diff != "" {
		t.Fatal(diff)
	}
	kept, err := h.Read(t.Context(), h.DB, h.workspace, receipt.ID)
	coretest.Must(t, err)
	if kept.Subject != "email ana@example.com" || kept.Sessions != 1 || kept.Open != 3 || kept.Rotated != nil || kept.Names[0] != "ana" ||
		string(kept.Evidence.Digest) != "digest" || kept.Evidence.Issuer != issuer {
		t.Fatalf("%+v", kept)
	}
	for kind, want := range map[core.EventType]int{core.SignalAccepted: 1, core.UserLoggedOut: 1, core.SessionEnded: 1, core.RotationPlanned: 3} {
		if got := h.events(t, kind); got != want {
			t.Errorf("%s: %d events, want %d", kind, got, want)
		}
	}
	if diff := cmp.Diff(untouched, other.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	if _, err := other.Read(t.Context(), h.DB, other.workspace, receipt.ID); core.KindOf(err) != core.KindNotFound {
		t.Fatal("the other workspace reads the receipt")
	}
}

func TestSubjectsAreFoundInsideTheConnectionAlone(t *testing.T) {
	h, other := pair(t)
	_ = other
	twin := h.join(t, "Twin")
	for name, one := range map[string]struct {
		subject signals.Subject
		want    []core.ID
	}{
		"e-mail":                       {signals.EmailSubject("ANA@Example.com"), []core.ID{h.ana.ID}},
		"user name":                    {signals.EmailSubject("twin"), []core.ID{twin.ID}},
		"issuer and subject":           {signals.IssSubSubject(issuer, "sub-ana"), []core.ID{h.ana.ID}},
		"with a slash":                 {signals.IssSubSubject(issuer+"/", "sub-ana"), []core.ID{h.ana.ID}},
		"another name of the issuer":   {signals.IssSubSubject(alias, "sub-ana"), []core.ID{h.ana.ID}},
		"an issuer's external id":      {signals.IssSubSubject(issuer, "ext-bob"), []core.ID{h.bob.ID}},
		"our own id by our address":    {signals.IssSubSubject(public, h.bob.ID.String()), []core.ID{h.bob.ID}},
		"another issuer":               {signals.IssSubSubject("https://else.example.com", "sub-ana"), nil},
		"another issuer's external id": {signals.IssSubSubject("https://else.example.com", "ext-bob"), nil},
		"opaque: our id":               {signals.OpaqueSubject(h.bob.ID.String()), []core.ID{h.bob.ID}},
		"opaque: theirs":               {signals.OpaqueSubject("ext-bob"), []core.ID{h.bob.ID}},
		"opaque: a subject":            {signals.OpaqueSubject("sub-bob"), []core.ID{h.bob.ID}},
		"opaque: of another workspace": {signals.OpaqueSubject(other.bob.ID.String()), nil},
		"account":                      {signals.Subject{Format: signals.FormatAccount, URI: "acct:bob@example.com"}, []core.ID{h.bob.ID}},
		"phone":                        {signals.Subject{Format: signals.FormatPhoneNumber, Phone: "+15551234"}, nil},
		"aliases": {signals.Subject{Format: signals.FormatAliases, Aliases: []signals.Subject{
			signals.EmailSubject("nobody@example.com"), signals.OpaqueSubject("ext-ana"), signals.EmailSubject("ana@example.com"),
		}}, []core.ID{h.ana.ID}},
		"complex": {signals.Subject{Format: signals.FormatComplex, Members: map[signals.Member]signals.Subject{
			signals.MemberUser: signals.EmailSubject("eve@example.com"), signals.MemberTenant: signals.OpaqueSubject("t1"),
		}}, []core.ID{h.eve.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			signal := h.about(h.ana)
			signal.Kind, signal.Subject = signals.SessionPresented, one.subject
			receipt, err := h.Receive(t.Context(), h.cause, signal, nil)
			if one.want == nil {
				coretest.Wants(t, err, core.KindNotFound, "")
				if receipt.Outcome != signals.Nobody {
					t.Fatalf("%+v", receipt)
				}
				return
			}
			coretest.Must(t, err)
			if diff := cmp.Diff(one.want, receipt.Users); diff != "" {
				t.Fatal(diff)
			}
			if receipt.Outcome != signals.Ignored {
				t.Fatalf("%+v", receipt)
			}
		})
	}
}

// Two that tell each other of logouts do not tell them for ever: what comes back is a telling of the same, unless it ended something.
func TestWhatComesBackIsNotToldOn(t *testing.T) {
	h, _ := pair(t)
	for times, want := range []int{1, 1, 1} {
		h.receive(t, h.about(h.ana))
		if got := h.events(t, core.UserLoggedOut); got != want {
			t.Fatalf("told %d times: %d logouts, want %d", times+1, got, want)
		}
	}
	token := h.signIn(t, h.ana, "sid-9")
	if receipt := h.receive(t, h.about(h.ana)); receipt.Outcome != signals.Duplicate || receipt.Sessions != 1 || h.alive(t, token) || h.events(t, core.UserLoggedOut) != 2 {
		t.Fatalf("%+v, %d logouts", receipt, h.events(t, core.UserLoggedOut))
	}
}

func TestCarrierWorksOnceForOneRequest(t *testing.T) {
	h, _ := pair(t)
	once := &signals.Once{TokenID: "jti-1", BodyHash: []byte("body"), Status: 204, Nobody: 404, Expires: h.Now().Add(time.Minute)}
	first, err := h.Receive(t.Context(), h.cause, h.about(h.ana), once)
	coretest.Must(t, err)
	if first.Replayed || first.Status != 204 {
		t.Fatalf("%+v", first)
	}
	before := h.snapshot(t)
	again, err := h.Receive(t.Context(), h.cause, h.about(h.ana), once)
	coretest.Must(t, err)
	if !again.Replayed || again.Status != 204 {
		t.Fatalf("%+v", again)
	}
	other := *once
	other.BodyHash = []byte("other")
	_, err = h.Receive(t.Context(), h.cause, h.about(h.bob), &other)
	coretest.Wants(t, err, core.KindUnauthenticated, "replayed")
	if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
		t.Fatal(diff)
	}
	nobody := h.about(h.ana)
	nobody.Subject = signals.EmailSubject("nobody@example.com")
	once.TokenID = "jti-2"
	_, err = h.Receive(t.Context(), h.cause, nobody, once)
	coretest.Wants(t, err, core.KindNotFound, "")
	again, err = h.Receive(t.Context(), h.cause, nobody, once)
	coretest.Must(t, err)
	if !again.Replayed || again.Status != 404 {
		t.Fatalf("%+v", again)
	}
}

func TestOneIncidentByManyDoorsRotatesOnce(t *testing.T) {
	h, _ := pair(t)
	first := h.receive(t, h.about(h.ana))
	for _, door := range []signals.Door{signals.BackChannelLogout, signals.SSFPush, signals.OktaEventHook} {
		token := h.signIn(t, h.ana, "sid")
		signal := h.about(h.ana)
		signal.Door, signal.Kind, signal.Subject = door, signals.SessionRevoked, signals.IssSubSubject(issuer, "sub-ana")
		receipt := h.receive(t, signal)
		if receipt.Outcome != signals.Duplicate || receipt.Duplicate != first.ID || len(receipt.Rotations) != 0 || receipt.Sessions != 1 || h.alive(t, token) {
			t.Fatalf("%s: %+v", door, receipt)
		}
	}
	if got := h.planned(t); got != 3 {
		t.Fatalf("%d rotations were asked for, want 3", got)
	}
	late := h.about(h.ana)
	late.Occurred = h.Now().Add(-20 * time.Minute)
	if receipt := h.receive(t, late); receipt.Outcome != signals.Late || receipt.Duplicate != first.ID {
		t.Fatalf("%+v", receipt)
	}
	compromised := h.about(h.ana)
	compromised.Kind = signals.CredentialCompromised
	if receipt := h.receive(t, compromised); receipt.Outcome != signals.Done || len(receipt.Rotations) != 3 {
		t.Fatalf("another class is another incident: %+v", receipt)
	}
	h.ahead = 10 * time.Minute
	if receipt := h.receive(t, h.about(h.ana)); receipt.Outcome != signals.Done || len(receipt.Rotations) != 3 {
		t.Fatalf("a later incident is another one: %+v", receipt)
	}
	told := h.about(h.bob)
	told.Transaction = "txn-1"
	h.receive(t, told)
	h.ahead = time.Hour
	if receipt := h.receive(t, told); receipt.Outcome != signals.Duplicate {
		t.Fatalf("the same transaction is the same incident, however late: %+v", receipt)
	}
}

func TestTellingThatAsksForMoreIsDone(t *testing.T) {
	h, _ := pair(t)
	coretest.Must(t, h.SetPolicy(t.Context(), h.system, h.workspace, core.ID{}, "logout", []signals.Command{signals.EndSessions}))
	if receipt := h.receive(t, h.about(h.ana)); receipt.Outcome != signals.Done || len(receipt.Rotations) != 0 {
		t.Fatalf("%+v", receipt)
	}
	revoked := h.about(h.ana)
	revoked.Kind = signals.SessionRevoked
	if receipt := h.receive(t, revoked); receipt.Outcome != signals.Done || len(receipt.Rotations) != 3 {
		t.Fatalf("%+v", receipt)
	}
	if receipt := h.receive(t, revoked); receipt.Outcome != signals.Duplicate {
		t.Fatalf("%+v", receipt)
	}
}

func TestSessionIsEndedByItsName(t *testing.T) {
	h, _ := pair(t)
	one, two, unnamed := h.signIn(t, h.ana, "sid-1"), h.signIn(t, h.ana, "sid-2"), h.signIn(t, h.ana, "")
	signal := h.about(h.ana)
	signal.Door, signal.Subject, signal.SID = signals.FrontChannelLogout, signals.NoSubject(), "sid-2"
	if receipt := h.receive(t, signal); receipt.Sessions != 1 || len(receipt.Rotations) != 0 || h.alive(t, two) || !h.alive(t, one) || !h.alive(t, unnamed) {
		t.Fatalf("%+v", receipt)
	}
	signal.Door, signal.Subject, signal.SID = signals.BackChannelLogout, signals.IssSubSubject(issuer, "sub-ana"), "sid-1"
	if receipt := h.receive(t, signal); receipt.Sessions != 2 || h.alive(t, one) || h.alive(t, unnamed) {
		t.Fatalf("%+v", receipt)
	}
	if _, err := h.trySignIn(t, h.ana, "sid-1", h.Now().Add(-time.Second)); core.KindOf(err) != core.KindDenied {
		t.Fatal("a sign-in under way of an ended session survived", err)
	}
	if !h.alive(t, h.signIn(t, h.ana, "sid-3")) {
		t.Fatal("another session of the person cannot begin")
	}
	signal.Subject, signal.SID = signals.NoSubject(), "sid-9"
	_, err := h.Receive(t.Context(), h.cause, signal, nil)
	coretest.Wants(t, err, core.KindNotFound, "")
	if _, err := h.trySignIn(t, h.bob, "sid-9", h.Now().Add(-time.Second)); core.KindOf(err) != core.KindDenied {
		t.Fatal("a sign-in under way of a session that nobody knew yet survived", err)
	}
}
