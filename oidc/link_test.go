package oidc

import (
	"net/http"
	"strings"
	"testing"

	"postern/core/directory"
	"postern/oidc/devidp"
	"postern/oidc/devidp/push"
)

func TestWhoIsLinked(t *testing.T) {
	h := newHouse(t)
	ana, ben := h.person("ana.lima@acme.example"), h.person("ben.okoro@acme.example")
	entra := h.connect("entra", directory.Entra, push.Entra)
	generic := h.connect("generic", directory.Generic, push.Okta)
	tests := map[string]struct {
		connection directory.Connection
		user       directory.User
		person     devidp.Person
		works      bool
	}{
		"Okta's id":                      {h.acme, directory.User{UserName: "renamed", ExternalID: ana.ID}, ana, true},
		"Okta's id of somebody else":     {h.acme, directory.User{UserName: ben.UserName, ExternalID: "00u0000000000000000x"}, ben, false},
		"a name, whatever its case":      {generic, directory.User{UserName: strings.ToUpper(ana.UserName), ExternalID: "17"}, ana, true},
		"Entra's oid":                    {entra, directory.User{UserName: "somebody", ExternalID: ana.ObjectID}, ana, true},
		"a name with Entra's other ids":  {entra, directory.User{UserName: ben.UserName, ExternalID: "ben.okoro"}, ben, true},
		"a user of another connection's": {h.other, directory.User{UserName: "x"}, ben, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			user := h.provision(test.connection, test.user)
			b := newBrowser(t)
			done := h.signIn(b, test.connection, test.person, "")
			if got := h.signedInAs(b) == user.UserName; got != test.works {
				t.Fatalf("%d, signed in as %q\n%s", done.status, h.signedInAs(b), done.body)
			}
			if !test.works {
				return
			}
			// Once linked, the link is what counts, whatever SCIM changes.
			h.change(user, func(user *directory.User) {
				user.UserName, user.ExternalID = "changed-"+user.ID.String(), "changed-"+user.ID.String()
			})
			h.signIn(b, test.connection, test.person, "")
			if got := h.signedInAs(b); got != "changed-"+user.ID.String() {
				t.Errorf("after a change signed in as %q", got)
			}
		})
	}
}

func TestNameIsNotTakenOver(t *testing.T) {
	h := newHouse(t)
	generic := h.connect("generic", directory.Generic, push.Okta)
	ana := h.person("ana.lima@acme.example")
	user := h.provision(generic, directory.User{UserName: ana.UserName, ExternalID: "17"})
	b := newBrowser(t)
	if h.signIn(b, generic, ana, ""); h.signedInAs(b) != user.UserName {
		t.Fatal("not signed in")
	}
	// At the IdP Ana goes, and somebody new gets her user name: another sub, the same name.
	if _, err := h.idp.Delete(t.Context(), ana.UserName); err != nil {
		t.Fatal(err)
	}
	heir, err := h.idp.AddPerson("Ana", "Lima", ana.UserName)
	if err != nil {
		t.Fatal(err)
	}
	other := newBrowser(t)
	if got := h.signIn(other, generic, heir, ""); got.status != http.StatusForbidden || h.signedInAs(other) != "" {
		t.Errorf("the heir of a name became its first owner: %d", got.status)
	}
}
