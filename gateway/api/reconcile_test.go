package api_test

import (
	"fmt"
	"testing"

	"postern/core"
)

func TestReconcileAccount(t *testing.T) {
	w := newWorld(t)
	app, account, _ := w.account(t)
	other := w.must(t, 201, "POST", "/accounts", `{"app":"`+app+`","username":"boss","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)["id"].(string)
	at := "/apps/" + app + "/reconcile-account"
	if got := w.must(t, 200, "GET", "/apps/"+app, ""); got["reconcile_account"] != nil || fmt.Sprint(got["capabilities"]) != "[verify change reset disable list]" {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 409, "POST", "/accounts/"+account+"/reset", ""); got["code"] != "no_reconcile_account" {
		t.Errorf("got %v", got)
	}
	for what, body := range map[string]string{
		"nothing": `{}`, "no id": `{"account":"boss"}`, "an unknown one": `{"account":"` + core.NewID().String() + `"}`, "none": `{"account":null}`,
	} {
		if got := w.must(t, 400, "PUT", at, body); got["code"] == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
	if got := w.must(t, 200, "PUT", at, `{"account":"`+other+`"}`); got["reconcile_account"] != other {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 409, "POST", "/accounts/"+other+"/reset", ""); got["code"] != "reconcile_account" {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 202, "POST", "/accounts/"+account+"/reset", ""); got["state"] != "planned" || got["account"] != account {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "DELETE", at, ""); got["reconcile_account"] != nil {
		t.Errorf("got %v", got)
	}
	connectors := items(w.must(t, 200, "GET", "/connectors", ""))
	if len(connectors) != 1 || connectors[0]["name"] != "browser" || fmt.Sprint(connectors[0]["capabilities"]) != "[verify change reset disable list]" {
		t.Errorf("got %v", connectors)
	}
}
