package signals_test

import (
	"slices"
	"testing"

	"postern/core"
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
	must(t, err)
	receipt := h.receive(t, h.says(signals.SessionRevoked, h.bob))
	if len(receipt.Rotations) != 1 || receipt.Note == "" || !slices.Contains(receipt.Commands, signals.EndSessions) {
		t.Fatalf("%+v", receipt)
	}
	all := other.receive(t, other.says(signals.SessionRevoked, other.bob))
	if len(all.Rotations) != 2 || all.Note != "" {
		t.Fatalf("the other workspace: %+v", all)
	}
	_, err = kept.Change(t.Context(), h.system, h.workspace, made.ID, 0, func(p *policies.Policy) { p.Enabled = false })
	must(t, err)
	receipt = h.receive(t, h.says(signals.CredentialCompromised, h.bob))
	if len(receipt.Rotations) != 0 || receipt.Note == "" || !slices.Contains(receipt.Commands, signals.StepUp) {
		t.Fatalf("%+v", receipt)
	}
	must(t, kept.Remove(t.Context(), h.system, h.workspace, made.ID))
	if receipt = h.receive(t, h.says(signals.CredentialCompromised, h.eve)); receipt.Note != "" {
		t.Fatalf("%+v", receipt)
	}
}
