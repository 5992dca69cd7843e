package console_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/importing"
)

const importCanary = "canary-Imp0rt!"

const importFile = "title,url,username,password,totp\nWiki,https://wiki.example.com,<b>new</b>," + importCanary + ",ABC\nShop,https://shop.test,x,y,\nBare,,x,y,\n"

// PopulateImports leaves one file that waits, of each of two people.
func (w *world) PopulateImports(t testing.TB) {
	t.Helper()
	for _, who := range []string{"zoe", "ana"} {
		if _, err := w.imports.Plan(t.Context(), core.NewCause(w.people[who].Actor(), time.Now()), w.acme.ID, importing.New{
			Format: importing.CSV, File: []byte(importFile), Owner: w.people[who].ID, NewApps: who == "zoe",
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// send uploads a file with a form, and gives where it leads, or the page that says what is wrong.
func (w *world) send(t *testing.T, who, file string, fields map[string]string) (*http.Response, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		_ = form.WriteField(name, value)
	}
	part, err := form.CreateFormFile("file", "export.csv")
	if err == nil {
		_, err = part.Write([]byte(file))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/imports", &body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("Cookie", w.cookies[who])
	request.Header.Set("Origin", w.server.URL)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer, text.String()
}

func TestImportInTheConsole(t *testing.T) {
	w := newWorld(t)
	answer, body := w.send(t, "zoe", importFile, map[string]string{"format": "csv", "owner": "ana@acme.example", "new_apps": "1"})
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", answer.StatusCode, body)
	}
	path := answer.Header.Get("Location")
	_, page := w.ask(t, "zoe", http.MethodGet, path, nil)
	for _, want := range []string{"2 accounts would be added", "&lt;b&gt;new&lt;/b&gt;", "It has no web address", "totp", "Drop it"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the preview:\n%s", want, page)
		}
	}
	if strings.Contains(page, importCanary) || strings.Contains(page, "<b>new") {
		t.Error("the preview shows what it must not")
	}
	// Somebody else of the workspace, and of another, sees and does nothing with it.
	for _, who := range []string{"ana", "gus"} {
		for _, one := range []string{"", "/commit", "/drop"} {
			method := map[bool]string{true: http.MethodGet, false: http.MethodPost}[one == ""]
			if answer, _ := w.ask(t, who, method, path+one, nil); answer.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s%s: %d", who, path, one, answer.StatusCode)
			}
		}
	}
	// Who is no administrator imports for themselves, whatever they write.
	if answer, body := w.send(t, "ana", importFile, map[string]string{"format": "csv", "owner": "zoe@acme.example", "new_apps": "1"}); answer.StatusCode != http.StatusForbidden {
		t.Errorf("with apps: %d %s", answer.StatusCode, body)
	}
	answer, _ = w.send(t, "ana", importFile, map[string]string{"format": "csv", "owner": "zoe@acme.example"})
	id, err := core.ParseID(strings.TrimPrefix(answer.Header.Get("Location"), "/imports/"))
	if err != nil {
		t.Fatal(answer.StatusCode, err)
	}
	if mine, err := w.imports.Import(t.Context(), w.db, w.acme.ID, id); err != nil || mine.Owner != w.people["ana"].ID {
		t.Errorf("%+v, %v", mine, err)
	}
	for name, test := range map[string]struct{ file, format, says string }{
		"encrypted":  {`{"encrypted":true}`, "bitwarden", "encrypted"},
		"no archive": {importCanary, "1password", "no 1pux"},
		"no columns": {importCanary, "csv", "names the columns"},
	} {
		if answer, body := w.send(t, "zoe", test.file, map[string]string{"format": test.format}); answer.StatusCode != http.StatusBadRequest || !strings.Contains(body, test.says) || strings.Contains(body, importCanary) {
			t.Errorf("%s: %d %s", name, answer.StatusCode, body)
		}
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, path+"/commit", nil); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("commit: %d", answer.StatusCode)
	}
	if _, page := w.ask(t, "zoe", http.MethodGet, path+"?outcome=create_with_app", nil); !strings.Contains(page, "Under way") || !strings.Contains(page, "data-refresh") || strings.Contains(page, "Bare") {
		t.Error(page)
	}
}
