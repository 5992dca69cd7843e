package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Backup codes are shown one at a time, each once, to those with a grant; who manages the account stores them.
func TestBackupCodesInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.sequence(t)
	wiki := "/accounts/" + w.wiki.ID.String()
	button := `action="` + wiki + `/backup-code"`
	w.expect(t, "ana", wiki, 200, []string{"No backup codes are stored", `action="` + wiki + `/backup-codes"`}, []string{button})
	w.expect(t, "ben", wiki, 200, nil, []string{`action="` + wiki + `/backup-codes"`})
	w.post(t, "ana", wiki+"/backup-code", nil, 404, "backup codes")
	for who, status := range map[string]int{"ben": 403, "eve": 404, "gus": 404, "": 401} {
		w.post(t, who, wiki+"/backup-codes", url.Values{"codes": {"CANARY-1"}}, status)
	}
	for _, garbage := range []string{"", " , ,", "CANARY-0," + strings.Repeat("x", 5000)} {
		if body := w.post(t, "ana", wiki+"/backup-codes", url.Values{"codes": {garbage}}, 400); strings.Contains(body, "CANARY") {
			t.Error("the page shows what was typed")
		}
	}
	w.post(t, "ana", wiki+"/backup-codes", url.Values{"codes": {"CANARY-1, CANARY-2"}}, 303)
	w.expect(t, "ana", wiki, 200, []string{"2 of 2 backup codes are left", button}, []string{"CANARY"})

	answer, body := w.ask(t, "ben", http.MethodPost, wiki+"/backup-code", nil)
	if answer.StatusCode != 200 || !strings.Contains(body, `<output id="backup-code">CANARY-1</output>`) || strings.Contains(body, "CANARY-2") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("the code is kept by caches")
	}
	// An administrator without a grant stores them and is given none.
	w.expect(t, "zoe", wiki, 200, []string{"1 of 2 backup codes are left", `action="` + wiki + `/backup-codes"`}, []string{button})
	for who, status := range map[string]int{"zoe": 403, "eve": 404, "gus": 404, "": 401} {
		if body := w.post(t, who, wiki+"/backup-code", nil, status); strings.Contains(body, "CANARY") {
			t.Errorf("%q is shown a code", who)
		}
	}
	if answer, _ := w.ask(t, "ben", http.MethodPost, wiki+"/backup-code", nil, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != 403 {
		t.Errorf("another site's form gets a code: %d", answer.StatusCode)
	}
	if body := w.post(t, "ana", wiki+"/backup-code", nil, 200); !strings.Contains(body, "CANARY-2") || strings.Contains(body, "CANARY-1") {
		t.Errorf("the second: %s", body)
	}
	w.settle(t)
	w.expect(t, "ana", wiki, 200, []string{"0 of 2 backup codes are left"}, []string{button, "CANARY"})
	w.expect(t, "zoe", "/activity", 200, []string{"was given a backup code of", "stored the backup codes of"}, []string{"CANARY"})
	w.post(t, "ana", wiki+"/backup-code", nil, 409, "make new ones")
}
