package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/directory"
	"postern/core/journal"
	"postern/core/rotation"
	"postern/core/signals"
	"postern/scim/resource"
)

// populate puts something to see behind every page: every method Populate… of world does its part.
func (w *world) populate(t testing.TB) {
	t.Helper()
	w.sequence(t)
	all := reflect.TypeOf(w)
	for i := range all.NumMethod() {
		if method := all.Method(i); strings.HasPrefix(method.Name, "Populate") {
			method.Func.Call([]reflect.Value{reflect.ValueOf(w), reflect.ValueOf(t)})
		}
	}
	w.settle(t)
}

const longName = "Finance-and-Controlling-Quarterly-Reporting-of-the-Whole-Group"

// PopulateAccounts has accounts in each state, used, shared, with a rotation done, one under way and one that failed.
func (w *world) PopulateAccounts(t testing.TB) {
	ctx := t.Context()
	cause := core.NewCause(w.people["zoe"].Actor(), time.Now())
	wide := w.account(t, w.acme, longName, strings.ReplaceAll(strings.ToLower(longName), "-", ".")+"@acme.example", "ana")
	states := []accounts.State{
		accounts.Unvalidated, accounts.Validated, accounts.DesyncSuspected, accounts.Desynced, accounts.Unmanaged, accounts.AppDisabled, accounts.AtRisk,
	}
	for i, state := range states {
		one := w.account(t, w.acme, fmt.Sprintf("App-%d", i), "shared-login", "zoe")
		if _, err := w.db.Exec(ctx, `update accounts set state = $1, orphaned = $2 where id = $3`, string(state), i == 2, one.ID); err != nil {
			t.Fatal(err)
		}
	}
	team := w.team(t, longName, "ana", "ben")
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Share(ctx, tx, cause, w.acme.ID, w.mail.ID, accounts.Sharing{
			Subject: accounts.Subject{Team: team.ID}, Role: accounts.Collaborator, Purpose: "Closing the quarter", Expires: new(time.Now().Add(48 * time.Hour)),
		})
		return err
	})
	if _, _, err := w.accounts.Fill(ctx, core.NewCause(w.people["ben"].Actor(), time.Now()), w.acme.ID, w.people["ben"].ID, w.wiki.ID); err != nil {
		t.Fatal(err)
	}
	w.rotated(t, w.wiki, rotation.StateDone)
	w.rotated(t, wide, rotation.StateBlocked)
	w.rotated(t, w.mail, rotation.StateArmed)
}

// team makes one of acme's Okta.
func (w *world) team(t testing.TB, name string, members ...string) (made directory.Team) {
	t.Helper()
	var ids []core.ID
	for _, member := range members {
		ids = append(ids, w.people[member].ID)
	}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		if made, err = w.directory.InsertTeam(ctx, tx, directory.Team{Workspace: w.acme.ID, Connection: w.okta.ID, DisplayName: name}); err == nil {
			_, err = w.directory.AddMembers(ctx, tx, w.acme.ID, made.ID, ids)
		}
		return err
	})
	return made
}

// rotated puts a rotation that has come so far into the history of an account.
func (w *world) rotated(t testing.TB, account accounts.Account, state rotation.State) core.ID {
	t.Helper()
	var made rotation.Rotation
	w.tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		made, err = w.rotations.Plan(ctx, tx, core.NewCause(w.people["zoe"].Actor(), time.Now()), account.Workspace, account.ID, rotation.ReasonManual, 0)
		return err
	})
	w.advance(t, made.ID, state)
	return made.ID
}

// advance is what workers do to a rotation, without an app.
func (w *world) advance(t testing.TB, id core.ID, state rotation.State) {
	t.Helper()
	now := time.Now()
	finished, receipt := any(nil), any(nil)
	if state == rotation.StateDone || state == rotation.StateBlocked {
		finished = now
	}
	if state == rotation.StateDone {
		receipt = rotation.Receipt{
			Rotation: id, Reason: rotation.ReasonManual, Candidate: 2, NewAccepted: now.Add(-2 * time.Second), OldRefused: now.Add(-time.Second), Received: now.Add(-12 * time.Second),
			LockedOut: now.Add(-time.Second), TimeToLockout: 11 * time.Second, Hosts: []string{"wiki.example.com"}, Agent: "HeadlessChrome/140.0",
		}
	}
	_, err := w.db.Exec(t.Context(), `
with moved as (update rotations set state = $1, detail = $2, finished = $3, receipt = $4, updated = $5, steps = steps + 1 where id = $6 returning workspace_id, id, steps)
insert into rotation_steps (workspace_id, rotation_id, number, state, detail, evidence, at)
select workspace_id, id, steps, $1, $2, '{"page": "https://wiki.example.com/login", "status": 200, "model": {"difference": {"gone": ["the field user"], "new": ["the field who"]}}}', $5 from moved`,
		string(state), "what the app said", finished, receipt, now, id)
	if err != nil {
		t.Fatal(err)
	}
}

// PopulatePeople has somebody who left, somebody who is back, somebody restricted, and departures that wait.
func (w *world) PopulatePeople(t testing.TB) {
	ctx := t.Context()
	cause := core.NewCause(w.okta.Actor(), time.Now())
	for _, one := range []struct{ userName, name string }{{"gone@acme.example", "Gone Away"}, {"back@acme.example", "Back Again"}, {strings.ToLower(longName) + "@acme.example", longName}} {
		user, err := w.lifecycle.Provision(ctx, cause, directory.User{
			Workspace: w.acme.ID, Connection: w.okta.ID, UserName: one.userName, Email: one.userName, DisplayName: one.name, Active: true, Role: directory.RoleUser,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
			_, err := w.accounts.Share(ctx, tx, core.NewCause(w.people["ana"].Actor(), time.Now()), w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{User: user.ID}, Role: accounts.Collaborator})
			return err
		})
		if _, _, err := w.accounts.Fill(ctx, core.NewCause(user.Actor(), time.Now()), w.acme.ID, user.ID, w.wiki.ID); err != nil {
			t.Fatal(err)
		}
		if one.name == longName {
			continue
		}
		w.post(t, "zoe", "/users/"+user.ID.String()+"/deprovision", url.Values{}, http.StatusSeeOther)
		if one.name == "Back Again" {
			if _, err := w.lifecycle.Change(ctx, cause, w.acme.ID, user.ID, func(u *directory.User) error { u.Active = true; return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.depart(t, 4)
}

// PopulateSignals has signals, requests of an identity provider, and somebody it restricted.
func (w *world) PopulateSignals(t testing.TB) {
	ben := w.people["ben"]
	for i, kind := range []signals.Kind{signals.Logout, signals.CredentialCompromised} {
		_, err := w.signals.Receive(t.Context(), core.NewCause(core.System, time.Now()), signals.Signal{
			Workspace: ben.Workspace, Connection: ben.Connection, Door: signals.UniversalLogout, Kind: kind,
			Subject: signals.OpaqueSubject(ben.ID.String()), Evidence: signals.Evidence{Issuer: "https://idp.example.com", TokenID: fmt.Sprint("jti-", i), Digest: []byte{0xab}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	// Each departure and logout so far has its certificate issued, with what is open by then.
	if _, err := w.db.Exec(t.Context(), `update certificates set deadline = departed, due = departed where workspace_id = $1`, w.acme.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.certificates.IssueDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := `{"Operations":[{"op":"replace","path":"active","value":false}]}`
	w.keep(t, journal.Entry{Method: "PATCH", Address: "/Users/" + ben.ID.String(), Resource: ben.ID, Status: 200, Body: &body, Rules: []string{string(resource.AllRules[0]), string(resource.AllRules[1])}})
	w.keep(t, journal.Entry{Method: "DELETE", Address: "/Users/" + longName, Status: 404})
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.directory.CreateConnectionToken(ctx, tx, core.NewCause(core.System, time.Now()), w.acme.ID, w.okta.ID, new(time.Now().Add(48*time.Hour)))
		return err
	})
}

// PopulateDestinations has one of each kind of whom Postern tells and who calls it.
func (w *world) PopulateDestinations(t testing.TB) {
	w.post(t, "zoe", "/destinations/webhooks", url.Values{"name": {longName}, "url": {"https://hooks.example.com/" + longName}, "scheme": {"v1"}}, 200)
	w.post(t, "zoe", "/destinations/receivers", url.Values{"name": {"Okta"}, "subject_format": {"email"}, "sessions": {"1"}}, 200)
	w.post(t, "zoe", "/destinations/logout-targets", url.Values{"name": {"Intranet"}, "kind": {"back_channel"}, "address": {"https://intranet.example.com/logout"}, "client_id": {"intranet"}, "subject_format": {"email"}}, 200)
	for _, kind := range []string{"okta", "standard"} {
		w.post(t, "zoe", "/hooks", url.Values{"kind": {kind}, "name": {"Calls of " + kind}, "connection": {w.okta.ID.String()}, "settings": {map[string]string{
			"standard": `{"mapping": {"kinds": {"*": "other"}, "subjects": [{"format": "email", "pointer": "/data/email"}], "occurred": "/timestamp"}}`,
		}[kind]}}, 200)
	}
	w.post(t, "zoe", "/policies", url.Values{
		"name": {longName}, "trigger": {"schedule"}, "enabled": {"1"}, "covers": {"all"}, "spacing": {"24"}, "every": {"days"}, "days": {"90"},
		"from": {"02:00"}, "to": {"04:00"}, "zone": {"Europe/Berlin"},
	}, http.StatusSeeOther)
}
