package console_test

import (
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

// orphan takes the owners of an account as if they had left.
func (w *world) orphan(t testing.TB, account accounts.Account) {
	t.Helper()
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `update grants set revoked = now(), revoke_cause = 'left' where workspace_id = $1 and account_id = $2`, account.Workspace, account.ID); err != nil {
			return err
		}
		_, err := w.accounts.CheckOwners(ctx, tx, core.NewCause(core.System, time.Now()), account.Workspace)
		return err
	})
}

// PopulateSecurity has a day of history, and an account that was given a new owner.
func (w *world) PopulateSecurity(t testing.TB) {
	lost := w.account(t, w.acme, "Lost-and-Found", "nobody", "ana")
	w.orphan(t, lost)
	w.post(t, "zoe", "/security/reassign", url.Values{
		"owners": {"eve@acme.example"}, "which": {"ticked"}, "account": {lost.ID.String()}, "expected": {"1"},
	}, http.StatusSeeOther)
	if _, err := w.posture.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSecurityInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.orphan(t, w.wiki)
	w.orphan(t, w.theirs)
	if taken, err := w.posture.Take(t.Context()); taken != 2 || err != nil {
		t.Fatal(taken, err)
	}
	if _, err := w.db.Exec(t.Context(), `insert into posture_days select workspace_id, day - 10, 20, accounts, milestones, findings, taken from posture_days where workspace_id = $1`, w.acme.ID); err != nil {
		t.Fatal(err)
	}
	page := w.expect(t, "zoe", "/security", 200, []string{
		"of 100", "What raises it most", "As a table", "role=\"img\"", "<desc", "Credentials are correct", "receives no e-mail", "accounts without an owner",
		"/security/findings?kind=orphaned", "How the score is made up", "Give orphans new owners",
	}, []string{"style=", "Globex"})
	// The picture is well-formed, and says what it shows.
	picture := page[strings.Index(page, `<svg class="chart"`):]
	picture = picture[:strings.Index(picture, "</svg>")+len("</svg>")]
	for decoder := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err, picture)
		}
	}
	if !strings.Contains(picture, "From 20 on ") || strings.Contains(picture, "%!") {
		t.Error(picture)
	}
	for _, path := range []string{"/security", "/security/findings", "/security/findings/export", "/security/accounts", "/security/reassign", "/security/reassignments/" + core.NewID().String()} {
		for _, who := range []string{"ana", "ben"} {
			w.expect(t, who, path, 403, nil, []string{"team-wiki"})
		}
	}
	w.expect(t, "gus", "/security/findings", 200, []string{"globex-wiki"}, []string{"team-wiki"})
	w.expect(t, "zoe", "/security/findings", 200, []string{"team-wiki", "Nobody active owns it"}, []string{"globex-wiki"})
	w.expect(t, "zoe", "/security/findings?kind=orphaned&severity=high&tag=", 200, []string{"team-wiki"}, []string{"press@"})
	w.expect(t, "zoe", "/security/findings?kind=unvalidated&owner="+url.QueryEscape("zoe@acme.example"), 200, []string{"press@acme.example"}, []string{"team-wiki"})
	w.expect(t, "zoe", "/security/findings?owner=nobody", 400, []string{`role="alert"`}, nil)
	w.expect(t, "zoe", "/security/findings?kind=else", 400, []string{`role="alert"`}, nil)
	w.expect(t, "zoe", "/security/accounts?missing=shared", 200, []string{"team-wiki", "Verify the password"}, []string{"globex-wiki"})
	answer, text := w.ask(t, "zoe", http.MethodGet, "/security/findings/export?kind=orphaned", nil)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 2 || !strings.Contains(answer.Header.Get("Content-Disposition"), "findings.csv") {
		t.Fatal(rows, err, answer.Header)
	}
	w.expect(t, "zoe", "/security/findings/export?format=else", 400, nil, nil)
}

func TestReassigningInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/security/reassign", 200, []string{"Everybody has an owner", "/settings/succession"}, nil)
	w.orphan(t, w.wiki)
	w.expect(t, "zoe", "/security/reassign", 200, []string{"1 account has no owner", "team-wiki", "Show what it would do"}, []string{"Give them"})
	form := url.Values{"owners": {"eve@acme.example"}, "which": {"all"}}
	for _, who := range []string{"ana", "ben"} {
		if answer, _ := w.ask(t, who, http.MethodPost, "/security/reassign", form); answer.StatusCode != 403 {
			t.Errorf("%s reassigns: %d", who, answer.StatusCode)
		}
	}
	for what, fields := range map[string]url.Values{
		"nobody":       {"which": {"all"}},
		"a stranger":   {"owners": {"stranger"}, "which": {"all"}},
		"nothing":      {"owners": {"eve@acme.example"}, "which": {"ticked"}},
		"not an id":    {"owners": {"eve@acme.example"}, "which": {"ticked"}, "account": {"7"}},
		"the others'":  {"owners": {"eve@acme.example"}, "which": {"ticked"}, "account": {w.theirs.ID.String()}},
		"not expected": {"owners": {"eve@acme.example"}, "which": {"all"}, "expected": {"7"}},
		"no number":    {"owners": {"eve@acme.example"}, "which": {"all"}, "expected": {"many"}},
	} {
		if answer, text := w.ask(t, "zoe", http.MethodPost, "/security/reassign", fields); answer.StatusCode != 400 || !strings.Contains(text, `role="alert"`) {
			t.Errorf("%s: %d", what, answer.StatusCode)
		}
	}
	answer, text := w.ask(t, "zoe", http.MethodPost, "/security/reassign", form)
	if answer.StatusCode != 200 || !strings.Contains(text, "Give 1 account to Eve Moreau?") || !strings.Contains(text, `name="expected" value="1"`) {
		t.Fatal(answer.StatusCode, text)
	}
	form.Set("expected", "1")
	if answer, text = w.ask(t, "zoe", http.MethodPost, "/security/reassign", form); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	report := answer.Header.Get("Location")
	w.expect(t, "zoe", report, 200, []string{"Given", "team-wiki", "Eve Moreau", "asked for by Zoe Adler"}, []string{"data-refresh=\"1500\""})
	w.expect(t, "gus", report, 404, nil, []string{"team-wiki"})
	w.expect(t, "ana", report, 403, nil, nil)
	if role, err := w.accounts.MayUse(t.Context(), w.db, w.acme.ID, w.people["eve"].ID, w.wiki.ID); err != nil || role != accounts.Owner {
		t.Error(role, err)
	}
	w.expect(t, "zoe", "/security", 200, []string{"New owners given lately", report}, nil)
}
