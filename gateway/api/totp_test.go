package api_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// totpCanary is a TOTP secret, and stands nowhere but in what is sent.
const totpCanary = "otpauth://totp/Wiki:team?secret=" + totpSeed + "&issuer=Wiki"

const totpSeed = "CANARYGEZDGNBVGY3TQOJQGEZDGNBVGY"

func TestCodesOfAnAccount(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	at := "/accounts/" + account
	ana, ben := `{"user":"`+w.ana.ID.String()+`"}`, `{"user":"`+w.ben.ID.String()+`"}`
	w.must(t, 404, "GET", at+"/totp", "")
	w.must(t, 404, "DELETE", at+"/totp", "")
	w.must(t, 404, "POST", at+"/code", ana)
	for what, body := range map[string]string{
		"nothing": `{}`, "an empty one": `{"secret":""}`, "no text": `{"secret":["` + totpSeed + `"]}`, "garbage": `{"secret":"` + totpSeed + `!"}`,
		"by counter": `{"secret":"otpauth://hotp/x?counter=1&secret=` + totpSeed + `"}`, "too long": `{"secret":"` + strings.Repeat(totpSeed, 100) + `"}`,
	} {
		if got := w.must(t, 400, "PUT", at+"/totp", body); strings.Contains(fmt.Sprint(got), totpSeed) {
			t.Errorf("%s: the answer tells it: %v", what, got)
		}
	}
	stored := w.must(t, 200, "PUT", at+"/totp", bodies["putTOTP"])
	if len(stored) != 3 || stored["version"] != 1.0 || fmt.Sprint(w.must(t, 200, "GET", at+"/totp", "")) != fmt.Sprint(stored) {
		t.Errorf("got %v", stored)
	}
	code := w.must(t, 200, "POST", at+"/code", ana)
	if given, _ := code["code"].(string); len(given) != 6 || code["seconds"].(float64) > 30 || code["spent"] != false {
		t.Errorf("got %v", code)
	}
	if got := w.must(t, 403, "POST", at+"/code", ben); got["code"] != "not_shared" {
		t.Errorf("got %v", got)
	}
	w.must(t, 201, "POST", at+"/grants", `{"user":"`+w.ben.ID.String()+`","role":"collaborator"}`)
	w.must(t, 200, "POST", at+"/code", ben)
	w.must(t, 200, "POST", "/users/"+w.ben.ID.String()+"/deprovision", "")
	if got := w.must(t, 403, "POST", at+"/code", ben); got["code"] != "inactive" {
		t.Errorf("got %v", got)
	}
	if seen := items(w.must(t, 200, "GET", at+"/exposures", "")); len(seen) != 2 || seen[0]["level"] != "code" {
		t.Errorf("got %v", seen)
	}
	asked := httptest.NewRequest("PUT", "/api/v1"+at+"/totp", strings.NewReader(bodies["putTOTP"]))
	asked.Header.Set("Authorization", "Bearer "+w.tokens["acme"])
	asked.Header.Set("Content-Type", "application/json")
	asked.Header.Set("If-Match", `"another"`)
	if recorder, got := w.send(t, asked); recorder.Code != 412 {
		t.Errorf("got %v", got)
	}
	w.must(t, 204, "DELETE", at+"/totp", "")
	w.must(t, 404, "POST", at+"/code", ana)
	if strings.Contains(w.log.String(), "CANARY") {
		t.Error("the log tells the secret")
	}
}
