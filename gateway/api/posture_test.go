package api_test

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/posture"
	"postern/gateway/api"
)

// orphan takes the owners of an account as if they had left.
func (w *world) orphan(t *testing.T, accounts ...string) {
	t.Helper()
	err := w.db.Tx(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `update grants set revoked = now(), revoke_cause = 'left' where workspace_id = $1 and account_id = any($2::text[]::uuid[])`, w.acme.ID, accounts); err != nil {
			return err
		}
		_, err := w.accounts.CheckOwners(t.Context(), tx, core.NewCause(core.System, w.now()), w.acme.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPostureByAPI(t *testing.T) {
	w := newWorld(t)
	if empty := w.must(t, 200, "GET", "/posture", ""); empty["score"] != nil || len(empty["milestones"].([]any)) != 5 || len(empty["findings"].([]any)) != len(posture.Kinds()) {
		t.Fatal(empty)
	}
	_, account, _ := w.account(t)
	w.orphan(t, account)
	now := w.must(t, 200, "GET", "/posture", "")
	if score := now["score"].(float64); score < 0 || score > 99 || now["accounts"] != 1.0 {
		t.Fatal(now)
	}
	for _, goal := range now["milestones"].([]any) {
		if one := goal.(map[string]any); one["available"] != true || one["met"] != 0.0 {
			t.Error(one)
		}
	}
	w.must(t, 200, "PUT", "/accounts/"+account+"/mailbox/address", "")
	for _, step := range w.must(t, 200, "GET", "/accounts/"+account+"/posture", "")["steps"].([]any) {
		if one := step.(map[string]any); one["met"] != (one["milestone"] == "managed_email") {
			t.Error(one)
		}
	}
	found := items(w.must(t, 200, "GET", "/posture/findings?kind=orphaned", ""))
	if len(found) != 1 || found[0]["account"] != account || found[0]["severity"] != "high" || found[0]["next"] == "" {
		t.Fatal(found)
	}
	all, _ := w.walk(t, "/posture/findings", 1)
	if whole := items(w.must(t, 200, "GET", "/posture/findings", "")); len(all) != len(whole) || len(whole) < 2 {
		t.Errorf("%d page by page, %d at once", len(all), len(whole))
	}
	standing := w.must(t, 200, "GET", "/accounts/"+account+"/posture", "")
	if len(standing["steps"].([]any)) != 5 || standing["complete"] != false || standing["orphaned"] != true {
		t.Error(standing)
	}
	if lacking := items(w.must(t, 200, "GET", "/posture/accounts?missing=shared", "")); len(lacking) != 1 {
		t.Error(lacking)
	}
	if days := items(w.must(t, 200, "GET", "/posture/days", "")); len(days) != 0 {
		t.Error(days)
	}
	for _, query := range []string{"kind=else", "severity=else", "cursor=%21", "tag=a%20b", "app=7", "owner="} {
		if status, _ := w.ask(t, "acme", "GET", "/posture/findings?"+query, ""); status != 400 {
			t.Errorf("%s: %d", query, status)
		}
	}
	if status, _ := w.ask(t, "globex", "GET", "/accounts/"+account+"/posture", ""); status != 404 {
		t.Errorf("another workspace's account: %d", status)
	}
	if status, theirs := w.ask(t, "globex", "GET", "/posture/findings", ""); status != 200 || len(items(theirs)) != 0 {
		t.Errorf("another workspace's findings: %v", theirs)
	}
}

func TestFindingsAsAFile(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	w.orphan(t, account)
	get := func(as, query string) *httptest.ResponseRecorder {
		t.Helper()
		request := httptest.NewRequest(http.MethodGet, api.ExportFindingsRoute+query, nil)
		request.Header.Set("Authorization", "Bearer "+w.tokens[as])
		recorder := httptest.NewRecorder()
		w.engine.ServeHTTP(recorder, request)
		return recorder
	}
	answer := get("acme", "?kind=orphaned")
	rows, err := csv.NewReader(answer.Body).ReadAll()
	if err != nil || answer.Code != 200 || len(rows) != 2 || !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/csv") || !strings.Contains(answer.Header().Get("Content-Disposition"), "findings.csv") {
		t.Fatal(answer.Code, rows, err, answer.Header())
	}
	if answer := get("acme", "?format=jsonl"); answer.Header().Get("Content-Type") != "application/jsonl" || strings.Contains(answer.Body.String(), canary) || !strings.Contains(answer.Body.String(), `"kind":"orphaned"`) {
		t.Error(answer.Header(), answer.Body)
	}
	if answer := get("acme", "?kind=else"); answer.Code != 400 || answer.Header().Get("Content-Disposition") != "" {
		t.Error(answer.Code, answer.Header())
	}
	if answer := get("globex", "?format=jsonl"); answer.Code != 200 || answer.Body.Len() != 0 {
		t.Error(answer.Code, answer.Body)
	}
	if answer := get(api.AccountsRead, ""); answer.Code != 403 {
		t.Errorf("without the scope: %d", answer.Code)
	}
}

func TestReassigningByAPI(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	w.orphan(t, account)
	body := `{"owners":[{"user":"` + w.ben.ID.String() + `"}],"orphaned":{}}`
	plan := w.must(t, 200, "POST", "/posture/reassignment-previews", body)
	if plan["total"] != 1.0 || plan["owners"].([]any)[0].(map[string]any)["name"] != "Ben" {
		t.Fatal(plan)
	}
	if status, _ := w.ask(t, "acme", "POST", "/posture/reassignments", strings.Replace(body, `{}`, `{},"expected":2`, 1)); status != 412 {
		t.Errorf("other than expected: %d", status)
	}
	if status, _ := w.ask(t, "globex", "POST", "/posture/reassignments", `{"owners":[{"user":"`+w.gus.ID.String()+`"}],"accounts":["`+account+`"]}`); status != 400 {
		t.Errorf("another workspace's account: %d", status)
	}
	if status, _ := w.ask(t, api.PostureRead, "POST", "/posture/reassignments", body); status != 403 {
		t.Errorf("who may only read: %d", status)
	}
	made := w.must(t, 202, "POST", "/posture/reassignments", body)
	id := made["id"].(string)
	if made["done"] != 1.0 || made["finished"] == nil {
		t.Fatal(made)
	}
	if rows := items(w.must(t, 200, "GET", "/posture/reassignments/"+id+"/accounts", "")); len(rows) != 1 || rows[0]["outcome"] != "done" {
		t.Error(rows)
	}
	if listed := items(w.must(t, 200, "GET", "/posture/reassignments", "")); len(listed) != 1 || listed[0]["id"] != id {
		t.Error(listed)
	}
	for _, path := range []string{"", "/accounts"} {
		if status, _ := w.ask(t, "globex", "GET", "/posture/reassignments/"+id+path, ""); status != 404 {
			t.Errorf("another workspace reads %s: %d", path, status)
		}
	}
	if found := items(w.must(t, 200, "GET", "/posture/findings?kind=orphaned", "")); len(found) != 0 {
		t.Error(found)
	}
}
