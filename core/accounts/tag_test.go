package accounts_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
)

func TestTagsAreKeptInOrder(t *testing.T) {
	for _, one := range []struct {
		given, kept []string
		refused     bool
	}{
		{nil, []string{}, false},
		{[]string{"Prod", " finance", "prod"}, []string{"finance", "prod"}, false},
		{[]string{"größe/1:2.3_4-5"}, []string{"größe/1:2.3_4-5"}, false},
		{[]string{""}, nil, true},
		{[]string{"two words"}, nil, true},
		{[]string{"a,b"}, nil, true},
		{[]string{"nul\x00"}, nil, true},
		{[]string{"\xff"}, nil, true},
		{[]string{string(make([]byte, 41))}, nil, true},
	} {
		kept, err := accounts.CheckTags(one.given)
		if one.refused != (err != nil) || !one.refused && !slices.Equal(kept, one.kept) {
			t.Errorf("%q: %q, %v", one.given, kept, err)
		}
	}
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprint("tag", i))
	}
	if _, err := accounts.CheckTags(many); core.AsError(err).Field != "tags" {
		t.Errorf("21 tags: %v", err)
	}
}

func TestOwnersAndAdministratorsTag(t *testing.T) {
	w := open(t)
	here, there := w.side(t), w.side(t)
	account := here.account(t, "shared", "ana")
	neighbour := there.account(t, "shared", "ana")
	tag := func(s *side, cause core.Cause, account core.ID, tags ...string) (tagged accounts.Account, err error) {
		err = w.DB.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			tagged, err = w.SetTags(t.Context(), tx, cause, s.workspace, account, tags)
			return err
		})
		return tagged, err
	}
	tagged, err := tag(here, here.as("ana"), account.ID, "B", "a")
	if err != nil || !slices.Equal(tagged.Tags, []string{"a", "b"}) {
		t.Fatal(tagged.Tags, err)
	}
	if _, err := tag(here, here.cause, account.ID, "a", "b"); err != nil {
		t.Fatal(err)
	}
	equal(t, "events", here.events(t, core.AccountTagged), 1)
	_, err = tag(here, here.as("ben"), account.ID, "mine")
	coretest.Wants(t, err, core.KindDenied, "not_shared")
	_, err = tag(here, here.cause, neighbour.ID, "theirs")
	coretest.Wants(t, err, core.KindNotFound, "")
	if _, err := tag(there, there.cause, neighbour.ID, "elsewhere"); err != nil {
		t.Fatal(err)
	}
	found, err := w.Tags(t.Context(), w.DB, here.workspace)
	if err != nil || !slices.Equal(found, []string{"a", "b"}) {
		t.Fatal(found, err)
	}
}
