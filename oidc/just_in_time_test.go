package oidc

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/oidc/devidp/push"
)

// users are how many a connection has, and how many of its users were made by signing in.
func (h *house) users(connection directory.Connection) (all, made int) {
	h.t.Helper()
	err := h.db.QueryRow(h.t.Context(), `
		select (select count(*) from users where workspace_id = @workspace and connection_id = @connection and deleted is null),
		       (select count(*) from audit_outbox where workspace_id = @workspace and type = 'user.provisioned' and event->'data'->>'just_in_time' = 'true')`,
		pgx.StrictNamedArgs{"workspace": connection.Workspace, "connection": connection.ID}).Scan(&all, &made)
	if err != nil {
		h.t.Fatal(err)
	}
	return all, made
}

// second makes one more connection of acme's, to the forge.
func (h *house) second(name string, f *forge, signIn directory.SignIn) directory.Connection {
	h.t.Helper()
	var made directory.Connection
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) (err error) {
		made, err = h.directory.CreateConnection(h.t.Context(), tx, core.NewCause(core.System, h.service.now()), h.acme.Workspace, directory.NewConnection{
			Name: name, Kind: directory.Generic, Issuer: f.URL, ClientID: "client-" + name, ClientSecret: "env:SECRET",
		})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.lead(made, f, signIn)
}

func TestAUserMadeJustInTime(t *testing.T) {
	h, f := newHouse(t), newForge(t)
	for _, connection := range []*directory.Connection{&h.acme, &h.other} {
		*connection = h.lead(*connection, f, directory.SignIn{JustInTime: true, Domains: []string{"acme.example"}})
		for range 2 {
			b := newBrowser(t)
			if done := h.forged(b, f, *connection, "rs256", nil); done.status != http.StatusSeeOther || h.signedInAs(b) != "ana" {
				t.Fatalf("%d, signed in as %q\n%s", done.status, h.signedInAs(b), done.body)
			}
		}
		if all, made := h.users(*connection); all != 1 || made != 1 {
			t.Errorf("%d users, %d of them made by two sign-ins", all, made)
		}
	}
}

// Nobody is made, and nobody signed in, whom the settings, SCIM or somebody else's name speak against.
func TestJustInTimeRefusals(t *testing.T) {
	on := directory.SignIn{JustInTime: true, Domains: []string{"acme.example"}}
	says := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
	}
	for name, test := range map[string]struct {
		kind    directory.ConnectionKind
		signIn  directory.SignIn
		prepare func(h *house, connection directory.Connection)
		claims  func(map[string]any)
		code    string
	}{
		"off":                        {directory.Okta, directory.SignIn{Domains: []string{"acme.example"}}, nil, nil, codeNotProvisioned},
		"another domain":             {directory.Okta, on, nil, says("email", "ana@globex.example"), codeOtherDomain},
		"a domain that ends alike":   {directory.Okta, on, nil, says("email", "ana@evil-acme.example"), codeOtherDomain},
		"two addresses in one":       {directory.Okta, on, nil, says("email", "ana@acme.example@evil.example"), codeOtherDomain},
		"an unverified address":      {directory.Okta, on, nil, says("email_verified", false), codeOtherDomain},
		"no word on the address":     {directory.Okta, on, nil, says("email_verified", nil), codeOtherDomain},
		"no address":                 {directory.Okta, on, nil, says("email", nil), codeOtherDomain},
		"a guest of an Entra tenant": {directory.Entra, on, nil, says("preferred_username", "ana_acme.example#EXT#@acme.example"), codeOtherDomain},
		"no name": {directory.Okta, directory.SignIn{JustInTime: true}, nil, func(claims map[string]any) {
			delete(claims, "preferred_username")
			claims["email_verified"] = false
		}, codeNotProvisioned},
		"taken out by SCIM": {directory.Okta, on, func(h *house, connection directory.Connection) {
			h.remove(h.provision(connection, directory.User{UserName: "ana-before", ExternalID: "sub-ana"}))
		}, nil, codeGone},
		"taken out after signing in": {directory.Okta, on, func(h *house, connection directory.Connection) {
			user := h.provision(connection, directory.User{UserName: "ana-before", ExternalID: "17"})
			h.link(connection, "sub-ana", user)
			h.remove(user)
		}, nil, codeGone},
		"deactivated": {directory.Okta, on, func(h *house, connection directory.Connection) {
			h.change(h.provision(connection, directory.User{UserName: "ana", ExternalID: "sub-ana"}), func(user *directory.User) { user.Active = false })
		}, nil, codeInactive},
		"a name that is somebody else's": {directory.Okta, on, func(h *house, connection directory.Connection) {
			h.link(connection, "sub-of-the-first", h.provision(connection, directory.User{UserName: "ANA", ExternalID: "17"}))
		}, nil, codeNameTaken},
		"an address alone, of Entra": {directory.Entra, directory.SignIn{}, func(h *house, connection directory.Connection) {
			h.provision(connection, directory.User{UserName: "ana@acme.example", ExternalID: "17", Email: "ana@acme.example"})
		}, nil, codeNotProvisioned},
		"a name with another id of Okta's": {directory.Okta, on, func(h *house, connection directory.Connection) {
			h.provision(connection, directory.User{UserName: "ana", ExternalID: "00u0000000000000001"})
		}, says("sub", "00u0000000000000002"), codeNameTaken},
	} {
		t.Run(name, func(t *testing.T) {
			h, f := newHouse(t), newForge(t)
			connection := h.lead(h.connect("this", test.kind, push.Okta), f, test.signIn)
			// The other workspace has the very person, which helps nobody here.
			h.other = h.lead(h.other, f, on)
			h.provision(h.other, directory.User{UserName: "ana", ExternalID: "sub-ana", Email: "ana@acme.example"})
			if test.prepare != nil {
				test.prepare(h, connection)
			}
			before, _ := h.users(connection)
			b := newBrowser(t)
			done := h.forged(b, f, connection, "rs256", func(claims map[string]any) {
				claims["oid"], claims["tid"] = "1f0e1a52-0000-4000-8000-000000000001", "1f0e1a52-0000-4000-8000-000000000002"
				if test.claims != nil {
					test.claims(claims)
				}
			})
			failures := h.failures(connection.Workspace)
			if done.status != http.StatusForbidden || h.signedInAs(b) != "" || len(failures) != 1 || failures[0] != test.code {
				t.Errorf("%d, signed in as %q, %v; want %s\n%s", done.status, h.signedInAs(b), failures, test.code, done.body)
			}
			if all, made := h.users(connection); all != before || made != 0 {
				t.Errorf("%d users were made", made)
			}
		})
	}
}

// Two connections of one workspace know a person by one address: they are two users, whoever comes first.
func TestAnAddressMergesNobodyAcrossConnections(t *testing.T) {
	h, f := newHouse(t), newForge(t)
	on := directory.SignIn{JustInTime: true, Domains: []string{"acme.example"}}
	first, second := h.second("first", f, on), h.second("second", f, on)
	provisioned := h.provision(h.acme, directory.User{UserName: "ana@acme.example", ExternalID: "17", Email: "ana@acme.example"})
	ids := map[core.ID]bool{provisioned.ID: true}
	for _, connection := range []directory.Connection{first, second} {
		b := newBrowser(t)
		h.forged(b, f, connection, "rs256", func(claims map[string]any) { claims["preferred_username"] = "ana@acme.example" })
		user, err := h.directory.UserByIdentity(t.Context(), h.db, connection.Workspace, connection.ID, f.URL, "sub-ana")
		if err != nil || user.Connection != connection.ID || user.Email != "ana@acme.example" || h.signedInAs(b) == "" {
			t.Fatalf("%+v, %v", user, err)
		}
		ids[user.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("three connections share users: %v", ids)
	}
	if live, err := h.directory.Sessions(t.Context(), h.db, provisioned.Workspace, provisioned.ID); err != nil || len(live) != 0 {
		t.Errorf("somebody is signed in as the user of another connection: %v, %v", live, err)
	}
}

// Google writes its issuer in two ways and signs everybody in: hd says who may come.
func TestGoogleSpellingsAndDomains(t *testing.T) {
	h, f := newHouse(t), newForge(t)
	google := h.lead(h.connect("google", directory.Generic, push.Okta), f, directory.SignIn{
		Preset: directory.Google, HostedDomains: []string{"acme.example", "acme.test"}, JustInTime: true,
	})
	short := f.URL[len("http://"):]
	for _, test := range []struct {
		name   string
		issuer string
		hd     any
		code   string
	}{
		{"its issuer", f.URL, "acme.example", ""},
		{"in capitals", f.URL, "ACME.test", ""},
		{"another domain", f.URL, "globex.example", codeOutsider},
		{"a domain under it", f.URL, "evil.acme.example", codeOutsider},
		{"a consumer's account", f.URL, nil, codeOutsider},
		{"an empty one", f.URL, "", codeOutsider},
		{"another issuer", "https://accounts.google.com.evil.example", "acme.example", codeTokenRefused},
		{"the issuer of another scheme", "ftp://" + short, "acme.example", codeTokenRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBrowser(t)
			before := len(h.failures(google.Workspace))
			done := h.forged(b, f, google, "rs256", func(claims map[string]any) {
				claims["iss"] = test.issuer
				if test.hd != nil {
					claims["hd"] = test.hd
				}
			})
			failures := h.failures(google.Workspace)[before:]
			if in := h.signedInAs(b) == "ana"; in != (test.code == "") || test.code != "" && (len(failures) != 1 || failures[0] != test.code) {
				t.Errorf("%d, %v; want %q\n%s", done.status, failures, test.code, done.body)
			}
		})
	}
	for address, want := range map[string][]string{
		directory.GoogleIssuer: {"https://accounts.google.com", "accounts.google.com"}, "https://op.example": {"https://op.example"},
	} {
		if got := (directory.Connection{Kind: directory.Generic, Issuer: address}).SignInIssuers(); len(got) != len(want) || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func (h *house) remove(user directory.User) {
	h.t.Helper()
	if _, err := h.db.Exec(h.t.Context(), `update users set deleted = now(), active = false where workspace_id = $1 and id = $2`, user.Workspace, user.ID); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) link(connection directory.Connection, subject string, user directory.User) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(tx pgx.Tx) error {
		return h.directory.LinkIdentity(h.t.Context(), tx, connection.Workspace, connection.ID, connection.Issuer, subject, user.ID)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}
