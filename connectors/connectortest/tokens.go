package connectortest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// tokens are made, kept once, found, tried and ended, each for its account alone.
func (a App) tokens(t *testing.T) {
	issuer, ok := a.Connector.(rotation.Issuer)
	if !ok {
		t.Fatal("the connector makes no tokens")
	}
	admin, account, other := a.Administrator(t), a.Account(t), a.Account(t)
	told := func(username string) (list []rotation.Token) {
		t.Helper()
		outcome(t, issuer.Tokens(t.Context(), a.target(), admin, username, func(token rotation.Token) error {
			list = append(list, token)
			return nil
		}), rotation.Applied, admin.Password)
		return list
	}
	var ids []string
	var values []seal.Secret
	keep := func(_ context.Context, id string, value seal.Secret) error {
		ids, values = append(ids, id), append(values, value)
		return nil
	}
	for _, name := range []string{"robot", "crawler"} {
		outcome(t, issuer.Issue(t.Context(), a.target(), admin, account.Username, name, keep), rotation.Applied, admin.Password, account.Password)
	}
	if len(ids) != 2 || ids[0] == "" || ids[0] == ids[1] || values[0].IsZero() || values[0].Equal(values[1]) {
		t.Fatalf("kept %v", ids)
	}
	if list := told(account.Username); !slices.Contains(list, rotation.Token{ID: ids[0], Name: "robot"}) || !slices.Contains(list, rotation.Token{ID: ids[1], Name: "crawler"}) || len(list) != 2 {
		t.Errorf("told %v", list)
	}
	if list := told(other.Username); len(list) != 0 {
		t.Errorf("told %v of another account", list)
	}
	try := func(token seal.Secret, want rotation.Outcome) {
		t.Helper()
		outcome(t, issuer.TryToken(t.Context(), a.target(), account.Username, token), want, token)
	}
	try(values[0], rotation.Accepted)
	try(password(), rotation.Rejected)
	for range 2 { // one that is not there any more is ended too
		outcome(t, issuer.Withdraw(t.Context(), a.target(), admin, account.Username, ids[0]), rotation.Applied, admin.Password)
	}
	try(values[0], rotation.Rejected)
	try(values[1], rotation.Accepted)
	// What is not kept was made all the same, and Tokens tells of it.
	report := issuer.Issue(t.Context(), a.target(), admin, account.Username, "lost", func(context.Context, string, seal.Secret) error { return errors.New("no room") })
	if report.Outcome == rotation.Applied {
		t.Error("what was not kept counts as kept")
	}
	if list := told(account.Username); len(list) != 2 {
		t.Errorf("told %v", list)
	}
	kept := len(ids)
	outcome(t, issuer.Issue(t.Context(), a.target(), with(admin, password()), account.Username, "robot", keep), rotation.AdminRejected, admin.Password)
	outcome(t, issuer.Issue(t.Context(), a.target(), other, account.Username, "robot", keep), rotation.AdminDenied, other.Password)
	if len(ids) != kept {
		t.Error("a token was made for somebody who may not")
	}
	a.opens(t, account, rotation.Accepted)
}
