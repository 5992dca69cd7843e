package signals_test

import (
	"slices"
	"testing"

	"postern/core"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/policies"
	"postern/core/signals"
)

// What a signal rotates is said by the policies about logouts, and nothing else of it.
func TestPoliciesSayWhatASignalRotates(t *testing.T) {
	h, other := pair(t)
	kept := &policies.Policies{DB: h.DB, Accounts: h.Accounts, Rotations: h.Rotations, Now: h.Now}
	made, err := kept.Create(t.Context(), h.system, h.workspace, policies.Policy{
		Name: "one of them", Trigger: policies.TriggerLogout, Enabled: true,
		Scope: policies.Scope{Covers: policies.Accounts, Accounts: []core.ID{h.accounts[0].ID}},
	})
	coretest.Must(t, err)
	receipt := h.receive(t, h.says(signals.SessionRevoked, h.bob))
	if len(receipt.Rotations) != 1 || receipt.Note == "" || !slices.Contains(receipt.Commands, signals.EndSessions) {
		t.Fatalf("%+v", receipt)
	}
	all := other.receive(t, other.says(signals.SessionRevoked, other.bob))
	if len(all.Rotations) != 2 || all.Note != "" {
		t.Fatalf("the other workspace: %+v", all)
	}
	_, err = kept.Change(t.Context(), h.system, h.workspace, made.ID, 0, func(p *policies.Policy) { p.Enabled = false })
	coretest.Must(t, err)
	receipt = h.receive(t, h.says(signals.CredentialCompromised, h.bob))
	if len(receipt.Rotations) != 0 || receipt.Note == "" || !slices.Contains(receipt.Commands, signals.StepUp) {
		t.Fatalf("%+v", receipt)
	}
	coretest.Must(t, kept.Remove(t.Context(), h.system, h.workspace, made.ID))
	if receipt = h.receive(t, h.says(signals.CredentialCompromised, h.eve)); receipt.Note != "" {
		t.Fatalf("%+v", receipt)
	}
}

// Whose accounts a signal has rotated can ask what became of each password, once for an incident.
func TestASignalsRotationsAreCertified(t *testing.T) {
	h, other := pair(t)
	certified := func(h house, reason certificates.Reason) (people []core.ID) {
		t.Helper()
		found, err := (&certificates.Certificates{DB: h.DB, Now: h.Now}).List(t.Context(), h.DB, h.workspace, certificates.Query{})
		coretest.Must(t, err)
		for _, one := range found {
			if one.Reason != reason || one.Passwords == 0 {
				t.Errorf("%+v", one)
			}
			people = append(people, one.Person.ID)
		}
		return people
	}
	receipt := h.receive(t, h.says(signals.SessionRevoked, h.bob))
	if len(receipt.Rotations) == 0 {
		t.Fatalf("%+v", receipt)
	}
	h.receive(t, h.says(signals.SessionRevoked, h.bob))
	if people := certified(h, certificates.Logout); len(people) != 1 || people[0] != h.bob.ID {
		t.Errorf("certificates of %v", people)
	}
	other.receive(t, other.says(signals.CredentialCompromised, other.bob))
	if people := certified(other, certificates.Revocation); len(people) != 1 || people[0] != other.bob.ID {
		t.Errorf("the other workspace: certificates of %v", people)
	}
	if people := certified(h, certificates.Logout); len(people) != 1 {
		t.Errorf("certificates of %v", people)
	}
}
