package directory_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
)

func TestUserRoundTrip(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	attributes := json.RawMessage(`{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"employeeNumber":"7","manager":null},"roles":[{"value":"{\"id\":\"1\"}"}]}`)
	var made directory.User
	w.tx(t, func(tx pgx.Tx) (err error) {
		made, err = w.InsertUser(ctx, tx, directory.User{
			Workspace: acme, Connection: w.acme.connection.ID, UserName: "Bob@Example.com", ExternalID: "00U1", DisplayName: "Bob",
			GivenName: "Bob", FamilyName: "Bø", Email: "bob@example.com", Active: true, Attributes: attributes,
		})
		return err
	})
	got, err := w.User(ctx, w.DB, acme, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got, cmp.Transformer("json", readJSON)); diff != "" {
		t.Fatal(diff)
	}
	if made.Version != 1 || made.Role != directory.RoleUser {
		t.Fatalf("got %+v", made)
	}
	for name, find := range map[string]func() (directory.User, error){
		"name": func() (directory.User, error) {
			return w.UserByName(ctx, w.DB, acme, w.acme.connection.ID, "BOB@example.COM")
		},
		"external": func() (directory.User, error) {
			return w.UserByExternalID(ctx, w.DB, acme, w.acme.connection.ID, "00U1")
		},
		"email": func() (directory.User, error) {
			list, err := w.UsersByEmail(ctx, w.DB, acme, "BOB@EXAMPLE.COM")
			if err != nil || len(list) != 1 {
				return directory.User{}, fmt.Errorf("%v, %w", list, err)
			}
			return list[0], nil
		},
	} {
		if found, err := find(); err != nil || found.ID != made.ID {
			t.Errorf("by %s: %v, %v", name, found, err)
		}
	}
	if _, err := w.UserByExternalID(ctx, w.DB, acme, w.acme.connection.ID, "00u2"); core.KindOf(err) != core.KindNotFound {
		t.Fatal("an unknown external id was found")
	}
	if list, err := w.UsersByEmail(ctx, w.DB, acme, ""); err != nil || len(list) != 0 {
		t.Fatalf("no address found %v, %v", list, err)
	}
}

func readJSON(raw json.RawMessage) any {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return string(raw)
	}
	return value
}

func TestUserCollisionsNameTheField(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	insert := func(name, external string) func(tx pgx.Tx) error {
		return func(tx pgx.Tx) error {
			_, err := w.InsertUser(ctx, tx, directory.User{Workspace: acme, Connection: w.acme.connection.ID, UserName: name, ExternalID: external})
			return err
		}
	}
	w.refused(t, core.KindConflict, "userName", insert("ANA@EXAMPLE.COM", "x"))
	w.refused(t, core.KindConflict, "externalId", insert("eve@example.com", "00u1"))
	w.tx(t, insert("eve@example.com", "00U1")) // case matters in an external id
	w.tx(t, insert("fay@example.com", ""))
	w.tx(t, insert("gil@example.com", "")) // many may have none
	eve, err := w.UserByName(ctx, w.DB, acme, w.acme.connection.ID, "eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	eve.UserName = "Ana@example.com"
	w.refused(t, core.KindConflict, "userName", func(tx pgx.Tx) error {
		_, err := w.UpdateUser(ctx, tx, eve)
		return err
	})
	for field, user := range map[string]directory.User{
		"userName":    {},
		"externalId":  {UserName: "x", ExternalID: strings.Repeat("x", 1001)},
		"displayName": {UserName: "x", DisplayName: strings.Repeat("x", 1001)},
		"attributes":  {UserName: "x", Attributes: json.RawMessage(`[1]`)},
		"role":        {UserName: "x", Role: "king"},
	} {
		user.Workspace = acme
		w.refused(t, core.KindInvalid, field, func(tx pgx.Tx) error {
			_, err := w.InsertUser(ctx, tx, user)
			return err
		})
	}
	w.refused(t, core.KindInvalid, "", func(tx pgx.Tx) error {
		_, err := w.InsertUser(ctx, tx, directory.User{Workspace: acme, UserName: "nul\x00"})
		return err
	})
	// As long as is accepted, and nothing an index could compress.
	random := make([]byte, 500)
	_, _ = rand.Read(random)
	w.tx(t, insert(hex.EncodeToString(random), hex.EncodeToString(random)))
}

func TestUpdateUser(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	w.clock.Pass(time.Minute)
	var updated directory.User
	w.tx(t, func(tx pgx.Tx) error {
		user, err := w.LockUser(ctx, tx, acme, w.acme.ana.ID)
		if err != nil {
			return err
		}
		user.DisplayName, user.Active = "Ana B", false
		updated, err = w.UpdateUser(ctx, tx, user)
		return err
	})
	got, err := w.User(ctx, w.DB, acme, w.acme.ana.ID)
	if err != nil || !cmp.Equal(got, updated) || got.Version != 2 || got.Active || !got.Updated.Equal(w.clock.Now()) {
		t.Fatal(err, cmp.Diff(updated, got))
	}
	w.refused(t, core.KindStale, "", func(tx pgx.Tx) error {
		_, err := w.UpdateUser(ctx, tx, w.acme.ana) // version 1
		return err
	})
	w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
		elsewhere := updated
		elsewhere.Workspace = w.other.workspace.ID
		_, err := w.UpdateUser(ctx, tx, elsewhere)
		return err
	})
}

func TestADeletedUserIsFoundNowhere(t *testing.T) {
	w := open(t)
	ctx, acme, connection := t.Context(), w.acme.workspace.ID, w.acme.connection.ID
	w.tx(t, func(tx pgx.Tx) error {
		if err := w.LinkIdentity(ctx, tx, acme, connection, "iss", "sub", w.acme.ana.ID); err != nil {
			return err
		}
		user := w.acme.ana
		user.Deleted = new(w.clock.Now())
		_, err := w.UpdateUser(ctx, tx, user)
		return err
	})
	_, err := w.User(ctx, w.DB, acme, w.acme.ana.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = w.UserByName(ctx, w.DB, acme, w.acme.connection.ID, w.acme.ana.UserName)
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = w.UserByExternalID(ctx, w.DB, acme, connection, "00u1")
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = w.UserByIdentity(ctx, w.DB, acme, connection, "iss", "sub")
	coretest.Wants(t, err, core.KindNotFound, "")
	if page, total, err := w.Users(ctx, w.DB, acme, directory.UserQuery{}); err != nil || total != 0 || len(page) != 0 {
		t.Fatalf("got %v, %d, %v", page, total, err)
	}
	if members, err := w.Members(ctx, w.DB, acme, w.acme.team.ID, 0, 0); err != nil || len(members) != 0 {
		t.Fatalf("got %v, %v", members, err)
	}
	w.refused(t, core.KindInvalid, "members", func(tx pgx.Tx) error {
		_, err := w.AddMembers(ctx, tx, acme, w.acme.team.ID, []core.ID{w.acme.ana.ID})
		return err
	})
	// The names are free again, and the identity goes to who has them now.
	again := w.user(t, w.acme, "ana@example.com")
	w.tx(t, func(tx pgx.Tx) error { return w.LinkIdentity(ctx, tx, acme, connection, "iss", "sub", again.ID) })
	if got, err := w.UserByIdentity(ctx, w.DB, acme, connection, "iss", "sub"); err != nil || got.ID != again.ID {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestIdentities(t *testing.T) {
	w := open(t)
	ctx, acme, connection := t.Context(), w.acme.workspace.ID, w.acme.connection.ID
	link := func(user core.ID) func(tx pgx.Tx) error {
		return func(tx pgx.Tx) error { return w.LinkIdentity(ctx, tx, acme, connection, "iss", "sub", user) }
	}
	w.tx(t, link(w.acme.ana.ID))
	w.tx(t, link(w.acme.ana.ID))
	if got, err := w.UserByIdentity(ctx, w.DB, acme, connection, "iss", "sub"); err != nil || got.ID != w.acme.ana.ID {
		t.Fatalf("got %v, %v", got, err)
	}
	w.refused(t, core.KindConflict, "sub", link(w.user(t, w.acme, "bob@example.com").ID))
	w.refused(t, core.KindInvalid, "sub", func(tx pgx.Tx) error {
		return w.LinkIdentity(ctx, tx, acme, connection, "iss", "", w.acme.ana.ID)
	})
	_, err := w.UserByIdentity(ctx, w.DB, w.other.workspace.ID, w.other.connection.ID, "iss", "sub")
	coretest.Wants(t, err, core.KindNotFound, "")
	// A user of another workspace can never be meant.
	w.refused(t, core.KindConflict, "", func(tx pgx.Tx) error {
		return w.LinkIdentity(ctx, tx, acme, connection, "iss", "other", w.other.ana.ID)
	})
}

func TestUserPagesAreStable(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	want := []core.ID{w.acme.ana.ID}
	for i := range 24 {
		if i%5 == 0 {
			w.clock.Pass(time.Millisecond) // most share their moment of creation
		}
		want = append(want, w.user(t, w.acme, fmt.Sprintf("u%02d@example.com", i)).ID)
	}
	var got []core.ID
	for offset := 0; ; offset += 7 {
		page, total, err := w.Users(ctx, w.DB, acme, directory.UserQuery{Connection: w.acme.connection.ID, Offset: offset, Limit: 7})
		if err != nil || total != 25 {
			t.Fatalf("%d, %v", total, err)
		}
		if len(page) == 0 {
			break
		}
		for _, user := range page {
			got = append(got, user.ID)
		}
		// A change does not move anybody.
		w.tx(t, func(tx pgx.Tx) error {
			page[0].DisplayName = fmt.Sprint("changed at ", offset)
			_, err := w.UpdateUser(ctx, tx, page[0])
			return err
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestUserQueries(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	bob := w.user(t, w.acme, "bob@example.com")
	w.tx(t, func(tx pgx.Tx) error {
		bob.Active = false
		_, err := w.UpdateUser(ctx, tx, bob)
		return err
	})
	for name, c := range map[string]struct {
		query directory.UserQuery
		want  int
		total int
	}{
		"all":             {directory.UserQuery{}, 2, 2},
		"name":            {directory.UserQuery{UserName: "ANA@example.com"}, 1, 1},
		"unknown name":    {directory.UserQuery{UserName: "nobody"}, 0, 0},
		"external":        {directory.UserQuery{ExternalID: "00u1"}, 1, 1},
		"external case":   {directory.UserQuery{ExternalID: "00U1"}, 0, 0},
		"email":           {directory.UserQuery{Email: "BOB@example.com"}, 1, 1},
		"active":          {directory.UserQuery{Active: new(true)}, 1, 1},
		"inactive":        {directory.UserQuery{Active: new(false)}, 1, 1},
		"both":            {directory.UserQuery{UserName: "ana@example.com", Active: new(false)}, 0, 0},
		"count only":      {directory.UserQuery{Limit: -1}, 0, 2},
		"beyond the end":  {directory.UserQuery{Offset: 9, Limit: 5}, 0, 2},
		"exactly full":    {directory.UserQuery{Limit: 2}, 2, 2},
		"negative offset": {directory.UserQuery{Offset: -3, Limit: 1}, 1, 2},
		"not mine":        {directory.UserQuery{Connection: w.other.connection.ID}, 0, 0},
	} {
		page, total, err := w.Users(ctx, w.DB, acme, c.query)
		if err != nil || len(page) != c.want || total != c.total {
			t.Errorf("%s: got %d of %d, %v, want %d of %d", name, len(page), total, err, c.want, c.total)
		}
	}
}

func TestAGuestHasNoConnection(t *testing.T) {
	w := open(t)
	w.tx(t, func(tx pgx.Tx) error {
		guest, err := w.InsertUser(t.Context(), tx, directory.User{Workspace: w.acme.workspace.ID, UserName: "guest@partner.example", Active: true})
		if err == nil && (guest.Role != directory.RoleGuest || !guest.Connection.IsZero() || guest.Role.MayOwn()) {
			t.Errorf("got %+v", guest)
		}
		return err
	})
}

func TestOtherOwners(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme.workspace.ID
	bob := w.user(t, w.acme, "bob@example.com")
	w.tx(t, func(tx pgx.Tx) error {
		for _, user := range []directory.User{w.acme.ana, bob} {
			user.Role = directory.RoleOwner
			if _, err := w.UpdateUser(ctx, tx, user); err != nil {
				return err
			}
		}
		return nil
	})
	for workspace, want := range map[core.ID]int{acme: 1, w.other.workspace.ID: 0} {
		w.tx(t, func(tx pgx.Tx) error {
			others, err := w.Directory.OtherOwners(ctx, tx, workspace, w.acme.ana.ID)
			if others != want {
				t.Errorf("%d other owners, want %d", others, want)
			}
			return err
		})
	}
}
