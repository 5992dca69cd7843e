package cli_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"postern/conformance/partstest"
	"postern/connectors/browser"
	"postern/deploy/local/sampleapp"
)

func TestDoctorOfAnApp(t *testing.T) {
	executable, err := browser.Find("")
	partstest.Need(t, "browser", err)
	d := newDesk(t)
	d.workspace("acme")
	d.workspace("other")
	f := d.far("acme", "other")
	app, err := sampleapp.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	f.ask("acme", "app", "add", "Harbour", "--sign-in-url", server.URL+"/sign-in", "--password-rules", "maxlength: 20")
	f.ask("acme", "app", "add", "Lost", "--sign-in-url", server.URL+"/nowhere")
	f.ask("acme", "app", "add", "Directory", "--sign-in-url", "ldap://127.0.0.1:1", "--connector", "ldap")

	of := func(app string, more ...string) []string {
		return append([]string{"doctor", "app", app, "--workspace", "acme", "--browser", executable}, more...)
	}
	out := d.do(of("Harbour", "--allow-private")...)
	for _, part := range []string{"Harbour (browser)", "signs in and changes passwords", "The sign-in form is there.", "maxlength: 20", "has no accounts"} {
		if !strings.Contains(out, part) {
			t.Errorf("it lacks %q:\n%s", part, out)
		}
	}
	if found := d.json(of("harbour", "--allow-private")...); found["healthy"] != true || found["changes"] != true {
		t.Errorf("%v", found)
	}
	for _, test := range []struct {
		arguments []string
		says      []string
	}{
		{of("Harbour"), []string{"private address", "--allow-private"}},
		{of("Lost", "--allow-private"), []string{"FAULT", "has no sign-in form there", "name its fields in the settings"}},
		{of("Directory", "--allow-private"), []string{"FAULT", "cannot be reached", "Try the address from this machine"}},
	} {
		code, out, told := run(append(test.arguments, "--database", d.database)...)
		if code != 1 || !strings.Contains(told, "faults") {
			t.Errorf("%v: %d %s", test.arguments, code, told)
		}
		for _, part := range test.says {
			if !strings.Contains(out, part) {
				t.Errorf("%v lacks %q:\n%s", test.arguments, part, out)
			}
		}
	}
	d.refused(4, "there is none yet", "doctor", "app", "Harbour", "--workspace", "other", "--browser", executable)
}
