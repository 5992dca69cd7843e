package browser

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/conformance/partstest"
	"postern/connectors/connectortest"
	"postern/connectors/hostile"
	"postern/connectors/recipe"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/core/seal"
)

// TestARotationTellsWhatBecameOfThePages: an app that was rotated without a recipe and without a dry run changes its pages.
// The rotation that does not get through any more says what is different, and so does a sign-in check.
func TestARotationTellsWhatBecameOfThePages(t *testing.T) {
	partstest.Long(t, "browser")
	for _, one := range []struct {
		behaves   hostile.Behaviour
		outcome   rotation.Outcome
		gone, new string
	}{
		{hostile.LeavesLabelsOpen, rotation.FormNotFound, `the field "current" (password) of the change form`, ""},
		{hostile.RequiresMore, rotation.NotSent, "", `the field "ticket" (text) of the change form`},
		{hostile.AsksMore, rotation.Unknown, "", `the field "ticket" (text) of the change form`},
	} {
		t.Run(string(one.behaves), func(t *testing.T) {
			b, err := New(Options{Timeout: 4 * time.Second})
			partstest.Need(t, "browser", err)
			t.Cleanup(func() { _ = b.Close() })
			app := &hostile.App{}
			app.Add("quay", first)
			var closed atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if closed.Load() {
					_, _ = w.Write([]byte("<h1>Pier</h1><p>Sign in at the portal.</p>"))
					return
				}
				app.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			engine := connectortest.Engine{
				Connector: b,
				App: accounts.NewApp{
					Name: "Pier", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/sign-in", ChangeURL: server.URL + "/account/password", Connector: Name,
				},
				Account: rotation.Credential{Username: "quay", Password: seal.NewSecret(first)},
			}.Open(t)
			engine.Rotated(t, seal.NewSecret(first))
			app.Behave(one.behaves)
			rests := engine.Asked(t, 2)
			steps, err := engine.Rotations.Steps(t.Context(), engine.DB, rests.Workspace, rests.ID)
			if err != nil {
				t.Fatal(err)
			}
			told := slices.ContainsFunc(steps, func(step rotation.Step) bool {
				var seen evidence
				if json.Unmarshal(step.Evidence, &seen) != nil || seen.Outcome != one.outcome {
					return false
				}
				what := recipe.Told(seen.Model)
				return (one.gone == "" || slices.Contains(what.Gone, one.gone) && strings.Contains(seen.Detail, one.gone)) &&
					(one.new == "" || slices.Contains(what.New, one.new) && strings.Contains(seen.Detail, one.new))
			})
			if !told {
				t.Errorf("%s: %s", rests.State, rests.Detail)
				for _, step := range steps {
					t.Logf("%s %s %s", step.State, step.Detail, step.Evidence)
				}
			}
			closed.Store(true)
			account, err := engine.Accounts.Account(t.Context(), engine.DB, rests.Workspace, rests.Account)
			if err != nil {
				t.Fatal(err)
			}
			const gone = `the field "username" (text) of the sign-in form`
			check, err := engine.Rotations.Try(short(t), account, 2)
			if err != nil || check.Outcome != rotation.FormNotFound || !strings.Contains(check.Detail, gone) || !slices.Contains(recipe.Told(check.Model).Gone, gone) {
				t.Errorf("%s: %s, %v", check.Outcome, check.Detail, err)
			}
		})
	}
}

// evidence is what a step keeps of a report.
type evidence struct {
	Outcome rotation.Outcome `json:"outcome"`
	Detail  string           `json:"detail"`
	Model   json.RawMessage  `json:"model"`
}
