package api_test

import (
	"testing"
)

func TestDisableAndEnable(t *testing.T) {
	w := newWorld(t)
	app, account, _ := w.account(t)
	boss := w.must(t, 201, "POST", "/accounts", `{"app":"`+app+`","username":"boss","password":"`+canary+`","owner":"`+w.ana.ID.String()+`"}`)["id"].(string)
	at := "/accounts/" + account
	if got := w.must(t, 409, "POST", at+"/disable", ""); got["code"] != "no_reconcile_account" {
		t.Errorf("got %v", got)
	}
	w.must(t, 200, "PUT", "/apps/"+app+"/reconcile-account", `{"account":"`+boss+`"}`)
	if got := w.must(t, 202, "POST", "/apps/"+app+"/logins", ""); got["listed"] != nil || got["next_attempt"] == nil {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "GET", "/apps/"+app+"/listing", ""); got["asked"] == nil {
		t.Errorf("got %v", got)
	}
	if got := items(w.must(t, 200, "GET", "/apps/"+app+"/logins?unmanaged=true", "")); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 409, "POST", "/accounts/"+boss+"/disable", ""); got["code"] != "reconcile_account" {
		t.Errorf("got %v", got)
	}
	first := w.must(t, 202, "POST", at+"/disable", "")
	if first["state"] != "wanted" || first["enabled"] != false || first["account"] != account {
		t.Errorf("got %v", first)
	}
	if got := w.must(t, 202, "POST", at+"/enable", ""); got["id"] != first["id"] || got["enabled"] != true {
		t.Errorf("got %v", got)
	}
	if got := items(w.must(t, 200, "GET", at+"/switches", "")); len(got) != 1 || got[0]["enabled"] != true {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "GET", "/apps/"+app, ""); got["disable_on_leave"] != false {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "PUT", "/apps/"+app+"/disable-on-leave", `{"disable":true}`); got["disable_on_leave"] != true {
		t.Errorf("got %v", got)
	}
	w.must(t, 400, "PUT", "/apps/"+app+"/disable-on-leave", `{}`)
	if got := w.must(t, 200, "PATCH", "/apps/"+app, `{"risk":4}`); got["risk"] != 4.0 {
		t.Errorf("got %v", got)
	}
	w.must(t, 400, "PATCH", "/apps/"+app, `{"risk":6}`)
	if got := w.must(t, 200, "PUT", at+"/risk", `{"risk":1}`); got["risk"] != 1.0 {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "PUT", at+"/risk", `{"risk":0}`); got["risk"] != nil {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "PUT", "/apps/"+app+"/pace", `{"at_once":1,"spacing_seconds":2.5}`); got["at_once"] != 1.0 || got["spacing_seconds"] != 2.5 {
		t.Errorf("got %v", got)
	}
	if got := w.must(t, 200, "GET", "/apps/"+app+"/pace", ""); got["at_once"] != 1.0 || got["spacing_seconds"] != 2.5 {
		t.Errorf("got %v", got)
	}
	w.must(t, 400, "PUT", "/apps/"+app+"/pace", `{"at_once":1,"spacing_seconds":3601}`)
}
