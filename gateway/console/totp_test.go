package console_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

const totpSeed = "CANARYGEZDGNBVGY3TQOJQGEZDGNBVGY"

var codeOnPage = regexp.MustCompile(`<output id="one-time-code">(\d{6})</output>`)

func TestCodesInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.sequence(t)
	wiki := "/accounts/" + w.wiki.ID.String()
	button := `action="` + wiki + `/code"`
	w.expect(t, "ana", wiki, 200, []string{"One-time codes", `action="` + wiki + `/totp"`}, []string{button, "one-time-code"})
	w.post(t, "ana", wiki+"/code", nil, 404, "TOTP secret")
	w.post(t, "ana", wiki+"/totp/remove", nil, 404, "TOTP secret")

	for who, status := range map[string]int{"ben": 403, "eve": 404, "gus": 404, "": 401} {
		w.post(t, who, wiki+"/totp", url.Values{"secret": {totpSeed}}, status)
	}
	for _, garbage := range []string{"", totpSeed + "1", "otpauth://hotp/x?counter=1&secret=" + totpSeed} {
		if body := w.post(t, "ana", wiki+"/totp", url.Values{"secret": {garbage}}, 400); strings.Contains(body, totpSeed) {
			t.Error("the page shows what was typed")
		}
	}
	w.post(t, "ana", wiki+"/totp", url.Values{"secret": {"otpauth://totp/Wiki:team?issuer=Wiki&secret=" + totpSeed}}, 303)

	// Without scripts the page shows the code, and until when it is good.
	for _, who := range []string{"ana", "ben"} {
		w.expect(t, who, wiki, 200, []string{button}, []string{totpSeed})
		body := w.post(t, who, wiki+"/code", nil, 200, "good until <time")
		if codeOnPage.FindString(body) == "" || strings.Contains(body, totpSeed) {
			t.Errorf("%s is given no code: %s", who, body)
		}
	}
	answer, body := w.ask(t, "ben", http.MethodPost, wiki+"/code", nil, "X-Postern-Console", "1", "Accept", "application/json")
	var given struct {
		Code  string
		Left  int
		Spent bool
	}
	if err := json.Unmarshal([]byte(body), &given); err != nil || len(given.Code) != 6 || given.Left <= 0 || given.Left > 30_000 || given.Spent {
		t.Errorf("%s, %v", body, err)
	}
	if answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("the code is kept by caches")
	}
	// An administrator without a grant manages the secret and is given no code.
	w.expect(t, "zoe", wiki, 200, []string{`action="` + wiki + `/totp"`}, []string{button})
	w.post(t, "zoe", wiki+"/code", nil, 403)
	for who, status := range map[string]int{"eve": 404, "gus": 404, "": 401} {
		w.post(t, who, wiki+"/code", nil, status)
	}
	if answer, _ := w.ask(t, "ben", http.MethodPost, wiki+"/code", nil, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
		t.Errorf("another site's form gets a code: %d", answer.StatusCode)
	}
	w.settle(t)
	w.expect(t, "ana", wiki, 200, []string{"was given a one-time code"}, []string{totpSeed})
	w.expect(t, "ana", wiki+"?totp=remove", 200, []string{"Yes, remove it"}, nil)
	w.expect(t, "ben", wiki+"?totp=remove", 200, nil, []string{"Yes, remove it"})
	w.post(t, "ana", wiki+"/totp/enrol", nil, 409)
	w.post(t, "ana", wiki+"/totp/remove", nil, 303)
	w.expect(t, "ben", wiki, 200, nil, []string{button})
}

// enroller is a connector that could turn on a second factor; nothing here lets it.
type enroller struct{ rotation.Connector }

func (enroller) Enrol(context.Context, rotation.Target, rotation.Credential, func(context.Context, seal.Secret) (seal.Secret, error)) rotation.Report {
	return rotation.Report{Outcome: rotation.NotSent}
}

func TestTurningASecondFactorOn(t *testing.T) {
	w := newWorld(t)
	wiki := "/accounts/" + w.wiki.ID.String()
	button := `action="` + wiki + `/totp/enrol"`
	w.expect(t, "ana", wiki, 200, nil, []string{button})
	w.post(t, "ana", wiki+"/totp/enrol", nil, 409, "cannot turn on a second factor")
	w.rotations.Connectors = rotation.Connectors{"browser": enroller{}}
	w.expect(t, "ana", wiki, 200, []string{button}, nil)
	w.expect(t, "ben", wiki, 200, nil, []string{button})
	for who, status := range map[string]int{"ben": 403, "eve": 404, "gus": 404, "": 401} {
		w.post(t, who, wiki+"/totp/enrol", nil, status)
	}
	w.post(t, "ana", wiki+"/totp/enrol", nil, 303)
	w.expect(t, "ana", wiki, 200, []string{"To turn on the second factor", "Planned"}, nil)
}
