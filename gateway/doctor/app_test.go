package doctor_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/rotation"
	"postern/gateway/doctor"
)

// mute is a connector that signs in, and can do no more.
type mute struct{}

func (mute) Verify(context.Context, rotation.Target, rotation.Credential) rotation.Report {
	return rotation.Report{Outcome: rotation.Disabled}
}

// An app's diagnosis tells its accounts' states and its rotations, its own and nobody else's.
func TestAnAppsAccountsAndRotations(t *testing.T) {
	c := coretest.Open(t, nil)
	mine, connection := c.Workspace(t, "mine", directory.NewConnection{Kind: directory.Okta, Name: "Okta", Issuer: "https://okta.example.com"})
	other, theirs := c.Workspace(t, "other", directory.NewConnection{Kind: directory.Okta, Name: "Okta", Issuer: "https://okta.example.com"})
	made := c.SharedAccounts(t, c.Person(t, connection, directory.User{UserName: "ana", DisplayName: "Ana"}))
	c.SharedAccounts(t, c.Person(t, theirs, directory.User{UserName: "ana", DisplayName: "Ana"}))
	engine := c.Rotations
	engine.Connectors = rotation.Connectors{"browser": mute{}}
	var blocked rotation.Rotation
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) (err error) {
		blocked, err = engine.Plan(ctx, tx, core.NewCause(core.System, time.Now()), mine.ID, made[0].ID, rotation.ReasonVerify, 0)
		return err
	})
	if err := engine.Advance(t.Context(), mine.ID, blocked.ID); err != nil {
		t.Fatal(err)
	}
	examiner := &doctor.Apps{
		DB: c.DB, Accounts: c.Accounts, Rotations: engine, Connectors: engine.Connectors,
		Settings: map[string]func(json.RawMessage) error{"browser": func(json.RawMessage) error { return nil }},
	}
	found, err := examiner.Diagnose(t.Context(), mine.ID, made[0].App)
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, one := range found.Findings {
		said += string(one.Level) + " " + one.Says + " " + one.Advice + "\n"
	}
	for _, part := range []string{
		"warning The connector browser signs in and cannot change passwords.", "cannot look at an app", "1 of its accounts are locked or disabled", "2 of its accounts have not been proved",
		"warning 1 wait for a person", "postern rotation show " + blocked.ID.String(),
	} {
		if !strings.Contains(said, part) {
			t.Errorf("it lacks %q:\n%s", part, said)
		}
	}
	if !found.Healthy || found.Changes || found.States[accounts.Unvalidated] != 2 || len(found.Recent) != 1 {
		t.Errorf("%+v", found)
	}
	if _, err := examiner.Diagnose(t.Context(), other.ID, made[0].App); core.KindOf(err) != core.KindNotFound {
		t.Errorf("another workspace's app: %v", err)
	}
	examiner.Settings["browser"] = func(json.RawMessage) error { return core.Invalid("settings", "there is no field colour") }
	if found, err := examiner.Diagnose(t.Context(), mine.ID, made[0].App); err != nil || found.Healthy || !strings.Contains(found.Findings[0].Says, "no field colour") {
		t.Errorf("%+v, %v", found, err)
	}
	examiner.Connectors = nil
	if found, err := examiner.Diagnose(t.Context(), mine.ID, made[0].App); err != nil || found.Healthy || !strings.Contains(found.Findings[0].Says, "no connector named browser") {
		t.Errorf("%+v, %v", found, err)
	}
}
