package sampleapp

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

func visit(t *testing.T, app *App) *visitor {
	t.Helper()
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return visitAt(t, server.URL)
}

func visitAt(t *testing.T, base string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, base, &http.Client{Jar: jar}}
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (v *visitor) get(path string) (int, string) {
	v.t.Helper()
	response, err := v.client.Get(v.base + path)
	return v.read(response, err)
}

func (v *visitor) read(response *http.Response, err error) (int, string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// submit opens a page and posts its form, as a person would.
func (v *visitor) submit(path string, fields map[string]string) (int, string) {
	v.t.Helper()
	_, page := v.get(path)
	form := url.Values{}
	if found := csrf.FindAllStringSubmatch(page, -1); found != nil {
		form.Set("csrf", found[len(found)-1][1])
	}
	for name, value := range fields {
		form.Set(name, value)
	}
	return v.read(v.client.PostForm(v.base+path, form))
}

func (v *visitor) signIn(username, password string) (int, string) {
	v.t.Helper()
	return v.submit("/sign-in", map[string]string{"username": username, "password": password})
}

func newApp(t *testing.T, folder string) *App {
	t.Helper()
	app, err := New(folder)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func TestSignInAndChange(t *testing.T) {
	folder := t.TempDir()
	app := newApp(t, folder)
	if err := app.SetPassword("quay", "first-password-1"); err != nil {
		t.Fatal(err)
	}
	v := visit(t, app)
	if status, body := v.signIn("quay", "wrong"); status != http.StatusUnauthorized || !strings.Contains(body, "Invalid username or password") {
		t.Fatalf("wrong password: %d", status)
	}
	if status, body := v.signIn("quay", "first-password-1"); status != http.StatusOK || !strings.Contains(body, "Sign out") {
		t.Fatalf("right password: %d", status)
	}
	other := visitAt(t, v.base)
	other.signIn("quay", "first-password-1")

	for name, fields := range map[string]map[string]string{
		"current password is wrong": {"current_password": "no", "new_password": "second-password-2", "confirm_password": "second-password-2"},
		"not the same":              {"current_password": "first-password-1", "new_password": "second-password-2", "confirm_password": "x"},
		"too short":                 {"current_password": "first-password-1", "new_password": "short1", "confirm_password": "short1"},
		"too long":                  {"current_password": "first-password-1", "new_password": strings.Repeat("a1", 40), "confirm_password": strings.Repeat("a1", 40)},
		"a letter and a digit":      {"current_password": "first-password-1", "new_password": "onlyletters", "confirm_password": "onlyletters"},
		"must differ":               {"current_password": "first-password-1", "new_password": "first-password-1", "confirm_password": "first-password-1"},
	} {
		if status, body := v.submit("/account/password", fields); status != http.StatusUnprocessableEntity || !strings.Contains(body, name) {
			t.Errorf("%s: %d", name, status)
		}
	}
	status, body := v.submit("/account/password", map[string]string{"current_password": "first-password-1", "new_password": "second-password-2", "confirm_password": "second-password-2"})
	if status != http.StatusOK || !strings.Contains(body, "has been changed") || app.Changes() != 1 {
		t.Fatalf("change: %d", status)
	}
	if _, body := other.get("/berths"); strings.Contains(body, "Maren Lund") {
		t.Error("another session survived the change")
	}

	// A restart keeps the users.
	again := newApp(t, folder)
	if again.Works("quay", "first-password-1") || !again.Works("quay", "second-password-2") || !again.Has("quay") {
		t.Error("the change did not survive a restart")
	}
	content, err := os.ReadFile(filepath.Join(folder, "users.json"))
	if err != nil || strings.Contains(string(content), "second-password") {
		t.Error("the password is in the file")
	}
}

func TestLockoutAndDisable(t *testing.T) {
	app := newApp(t, t.TempDir())
	now := time.Now()
	app.Now = func() time.Time { return now }
	if err := app.SetPassword("quay", "first-password-1"); err != nil {
		t.Fatal(err)
	}
	v := visit(t, app)
	for range lockAfter {
		v.signIn("quay", "wrong")
	}
	if _, body := v.signIn("quay", "first-password-1"); !strings.Contains(body, "locked") {
		t.Error("not locked")
	}
	now = now.Add(lockFor + time.Second)
	if status, _ := v.signIn("quay", "first-password-1"); status != http.StatusOK {
		t.Error("still locked")
	}
	if err := app.Disable("quay", true); err != nil {
		t.Fatal(err)
	}
	if _, body := visitAt(t, v.base).signIn("quay", "first-password-1"); !strings.Contains(body, "disabled") {
		t.Error("not disabled")
	}
	if err := app.Disable("nobody", true); err == nil {
		t.Error("disabled a user who does not exist")
	}
}

func TestForgedForms(t *testing.T) {
	app := newApp(t, t.TempDir())
	if err := app.SetPassword("quay", "first-password-1"); err != nil {
		t.Fatal(err)
	}
	v := visit(t, app)
	if status, _ := v.read(v.client.PostForm(v.base+"/sign-in", url.Values{"username": {"quay"}, "password": {"first-password-1"}})); status != http.StatusForbidden {
		t.Errorf("sign-in without the form's token: %d", status)
	}
	v.signIn("quay", "first-password-1")
	if status, _ := v.read(v.client.PostForm(v.base+"/account/password", url.Values{
		"current_password": {"first-password-1"}, "new_password": {"second-password-2"}, "confirm_password": {"second-password-2"},
	})); status != http.StatusForbidden || app.Changes() != 0 {
		t.Errorf("change without the form's token: %d", status)
	}
}

func TestBehaviour(t *testing.T) {
	app := newApp(t, t.TempDir())
	v := visit(t, app)
	app.Behave(Behaviour{Down: true})
	if status, _ := v.get("/sign-in"); status != http.StatusServiceUnavailable {
		t.Errorf("down: %d", status)
	}
	app.Behave(Behaviour{Hang: true})
	v.client.Timeout = 100 * time.Millisecond
	if response, err := v.client.Get(v.base + "/sign-in"); err == nil {
		response.Body.Close()
		t.Error("it answered while hanging")
	}
	v.client.Timeout = 0
	app.Behave(Behaviour{NoSignInForm: true})
	if _, body := v.get("/sign-in"); strings.Contains(body, `type="password"`) {
		t.Error("the form is still there")
	}
	app.Behave(Behaviour{Captcha: true})
	if _, body := v.get("/sign-in"); !strings.Contains(body, "letters of the picture") {
		t.Error("no captcha")
	}
}
