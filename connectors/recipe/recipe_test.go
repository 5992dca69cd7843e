package recipe_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"postern/connectors/recipe"
	"postern/core"
	"postern/core/seal"
)

const (
	old   = "Canary-typed-old-1"
	fresh = "Canary-typed-new-2"
)

func given(username string, domains ...string) recipe.Given {
	return recipe.Given{Username: username, Password: seal.NewSecret(old), New: seal.NewSecret(fresh), Domains: domains}
}

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func typed(steps []recipe.Step) []string {
	var values []string
	for _, step := range steps {
		if step.Type == recipe.Change {
			values = append(values, step.Value)
		}
	}
	return values
}

// A recording as Chrome exports it becomes two parts that hold nothing of what was typed.
func TestImport(t *testing.T) {
	for file, want := range map[string]struct {
		username, domain string
		signIn, change   []string
		steps            int
	}{
		"harbour.json":  {"quay", "harbour.example", []string{recipe.Username, recipe.CurrentPassword}, []string{recipe.CurrentPassword, recipe.NewPassword, recipe.NewPassword}, 9},
		"dokuwiki.json": {"shared", "wiki.example", []string{recipe.Username, recipe.CurrentPassword}, []string{recipe.NewPassword, recipe.NewPassword, recipe.CurrentPassword}, 9},
	} {
		t.Run(file, func(t *testing.T) {
			made, notes, err := recipe.Import(recorded(t, file), given(want.username, want.domain))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(typed(made.SignIn()), want.signIn) || !slices.Equal(typed(made.Change()), want.change) || len(made.Steps) != want.steps {
				t.Errorf("signs in by %q, changes by %q, %d steps", typed(made.SignIn()), typed(made.Change()), len(made.Steps))
			}
			written, err := made.Encode()
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"Canary", old, fresh, want.username + " ", `"` + want.username + `"`} {
				if text := string(written) + strings.Join(notes, "\n"); strings.Contains(text, secret) {
					t.Errorf("%q is left in %s", secret, text)
				}
			}
			// What is written is taken again, without the secrets and just the same.
			again, _, err := recipe.Import(written, recipe.Given{Domains: []string{want.domain}})
			if err != nil {
				t.Fatal(err)
			}
			if a, b := encoded(t, made), encoded(t, again); a != b {
				t.Errorf("%s\n%s", a, b)
			}
		})
	}
}

func encoded(t *testing.T, made *recipe.Recipe) string {
	t.Helper()
	text, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func flow(steps ...string) string {
	return `{"title": "t", "steps": [` + strings.Join(steps, ",") + `]}`
}

const (
	open     = `{"type": "navigate", "url": "https://app.example/login"}`
	user     = `{"type": "change", "value": "quay", "selectors": [["#user"]]}`
	password = `{"type": "change", "value": "` + old + `", "selectors": [["#p"]]}`
	enter    = `{"type": "click", "selectors": [["#go"]], "offsetX": 1, "offsetY": 1, "assertedEvents": [{"type": "navigation", "url": "https://app.example/home?sid=4711"}]}`
	newer    = `{"type": "change", "value": "` + fresh + `", "selectors": [["#n"]]}`
	code     = `{"type": "change", "value": "123456", "selectors": [["aria/Verification code"], "#otp"]}`
	save     = `{"type": "click", "selectors": ["#save"], "offsetX": 1, "offsetY": 1}`
)

func TestRefusals(t *testing.T) {
	for name, one := range map[string]struct{ file, says string }{
		"no recording":       {`[]`, "no recording"},
		"cut off":            {`{"steps": [`, "no recording"},
		"empty":              {`{"steps": []}`, "no steps"},
		"a script":           {flow(open, `{"type": "customStep", "name": "x", "parameters": {}}`, user, password, enter), "step 2 runs a script"},
		"an expression":      {flow(open, user, `{"type": "waitForExpression", "expression": "fetch('https://evil.example/')"}`, password, enter), "step 3 runs a script"},
		"unknown":            {flow(open, user, password, `{"type": "drag"}`, enter), "step 4 is of a type that is not followed"},
		"another host":       {flow(`{"type": "navigate", "url": "https://evil.example/login"}`, user, password, enter), "step 1 leads to evil.example"},
		"a look-alike":       {flow(`{"type": "navigate", "url": "https://evilapp.example/"}`, user, password, enter), "step 1 leads to evilapp.example"},
		"led elsewhere":      {flow(open, user, password, strings.Replace(enter, "app.example", "idp.example", 1)), "step 4 leads to idp.example"},
		"a file":             {flow(`{"type": "navigate", "url": "file:///etc/passwd"}`, user, password, enter), "step 1 leads to something that is not a web address"},
		"javascript":         {flow(`{"type": "navigate", "url": "javascript:alert(1)"}`, user, password, enter), "step 1 leads to something that is not a web address"},
		"user in address":    {flow(`{"type": "navigate", "url": "https://u:p@app.example/"}`, user, password, enter), "step 1 has a password in its address"},
		"secret in address":  {flow(open, user, password, enter, `{"type": "navigate", "url": "https://app.example/`+old+`/x"}`, newer, save), "step 5 has a password in its address"},
		"another window":     {flow(open, user, password, `{"type": "click", "target": "https://app.example/popup", "selectors": ["#x"]}`, enter), "step 4 is in another window"},
		"right button":       {flow(open, user, password, `{"type": "click", "button": "secondary", "selectors": ["#x"]}`, enter), "step 4 presses a mouse button"},
		"a text of its own":  {flow(open, `{"type": "change", "value": "acme", "selectors": ["#tenant"]}`, user, password, enter), "--keep 2"},
		"half a password":    {flow(open, user, `{"type": "change", "value": "Canary-typed", "selectors": ["#x"]}`, password, enter), "step 3 types a part of a password"},
		"twice a password":   {flow(open, user, `{"type": "change", "value": "`+old+old+`", "selectors": ["#x"]}`, password, enter), "step 3 types a part of a password"},
		"a third password":   {flow(open, user, password, enter, `{"type": "change", "value": "something", "selectors": ["input[type=password]"]}`, save), "step 5 types something into a password field"},
		"secret selector":    {flow(open, user, password, `{"type": "click", "selectors": ["aria/`+old+`"]}`, enter), "step 4 is found only by"},
		"username selector":  {flow(open, user, password, enter, `{"type": "click", "selectors": ["aria/Signed in as quay"]}`, newer, save), "step 5 is found only by"},
		"no selector":        {flow(open, user, password, `{"type": "click", "selectors": []}`, enter), "step 4 needs between 1"},
		"empty selector":     {flow(open, user, password, `{"type": "click", "selectors": ["aria/ "]}`, enter), "step 4 has a selector that is empty"},
		"no password":        {flow(open, user, enter), "no password"},
		"nothing pressed":    {flow(open, user, password), "step 3 types the password, and nothing is pressed"},
		"change not sent":    {flow(open, user, password, enter, newer), "step 5 types the new password, and nothing is pressed"},
		"too many elements":  {flow(open, `{"type": "waitForElement", "selectors": ["#x"], "operator": "==", "count": 3}`, user, password, enter), "step 2 waits for more than"},
		"too many steps":     {flow(append(slices.Repeat([]string{save}, recipe.MaxSteps), user, password, enter)...), "at most"},
		"an unknown name":    {flow(open, `{"type": "change", "value": "{{totp}}", "selectors": ["#x"]}`, user, password, enter), "step 2 types a text of its own"},
		"variable as a host": {flow(`{"type": "navigate", "url": "https://{{username}}/"}`, user, password, enter), "step 1 "},
	} {
		t.Run(name, func(t *testing.T) {
			made, _, err := recipe.Import([]byte(one.file), given("quay", "app.example"))
			if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), one.says) {
				t.Fatalf("%v, %v; expected it to say %q", made, err, one.says)
			}
			if strings.Contains(err.Error(), "Canary") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func imported(t *testing.T, file string, by recipe.Given) *recipe.Recipe {
	t.Helper()
	made, _, err := recipe.Import([]byte(file), by)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestParts(t *testing.T) {
	by := given("quay", "app.example")
	other := by
	other.ChangeFrom = 6
	for name, one := range map[string]struct {
		file           string
		by             recipe.Given
		signIn, change []string
	}{
		"signs in":           {flow(open, user, password, enter, save), by, []string{recipe.Username, recipe.CurrentPassword}, nil},
		"with a code after":  {flow(open, user, password, enter, code, enter, newer, save), by, []string{recipe.Username, recipe.CurrentPassword, recipe.Code}, []string{recipe.NewPassword}},
		"with a code beside": {flow(open, user, password, code, enter, newer, save), by, []string{recipe.Username, recipe.CurrentPassword, recipe.Code}, []string{recipe.NewPassword}},
		"changes alone":      {flow(open, password, newer, save), by, nil, []string{recipe.CurrentPassword, recipe.NewPassword}},
		"where it was said":  {flow(open, user, password, enter, enter, password, newer, save), other, []string{recipe.Username, recipe.CurrentPassword}, []string{recipe.CurrentPassword, recipe.NewPassword}},
		"by other words": {
			flow(open, user, `{"type": "change", "value": "mistyped", "selectors": ["aria/Passwort"]}`, enter, `{"type": "change", "value": "also mistyped", "selectors": ["#newPassword"]}`, save),
			by, []string{recipe.Username, recipe.CurrentPassword}, []string{recipe.NewPassword},
		},
	} {
		t.Run(name, func(t *testing.T) {
			made := imported(t, one.file, one.by)
			if !slices.Equal(typed(made.SignIn()), one.signIn) || !slices.Equal(typed(made.Change()), one.change) {
				t.Errorf("signs in by %q, changes by %q", typed(made.SignIn()), typed(made.Change()))
			}
		})
	}
}

// What belongs to one visit or one account goes; what the way needs stays.
func TestAddresses(t *testing.T) {
	made := imported(t, flow(`{"type": "navigate", "url": "https://app.example/quay/login?do=login&sectok=abc&user=quay#/in"}`, user, password, enter), given("quay", "app.example"))
	if want := "https://app.example/{{username}}/login?do=login&user={{username}}#/in"; made.Steps[0].URL != want {
		t.Errorf("%s, expected %s", made.Steps[0].URL, want)
	}
	if want := "https://app.example/home"; made.Steps[3].Leads() != want {
		t.Errorf("%s, expected %s", made.Steps[3].Leads(), want)
	}
	by := given("quay", "app.example")
	by.Keep = []int{2}
	kept := imported(t, flow(open, `{"type": "change", "value": "acme", "selectors": ["#tenant"]}`, user, password, enter), by)
	if kept.Steps[1].Value != "acme" || !kept.Steps[1].Literal {
		t.Errorf("%+v", kept.Steps[1])
	}
	by.Keep = []int{3, 4}
	if made := imported(t, flow(open, open, user, password, enter), by); made.Steps[2].Value != recipe.Username || made.Steps[3].Value != recipe.CurrentPassword {
		t.Error("a secret is kept because somebody said so")
	}
}

// What comes without an import is looked at as closely.
func TestCheck(t *testing.T) {
	for name, text := range map[string]string{
		"a text":           `{"steps": [{"type": "change", "value": "hunter2", "selectors": [["#x"]]}]}`,
		"a password":       `{"steps": [{"type": "change", "value": "hunter2", "literal": true, "selectors": [["#password"]]}]}`,
		"a code":           `{"steps": [{"type": "change", "value": "123456", "literal": true, "selectors": [["#otp"]]}]}`,
		"no part's end":    `{"steps": [{"type": "change", "value": "{{current_password}}", "selectors": [["#x"]]}]}`,
		"new in a sign-in": `{"steps": [{"type": "change", "value": "{{new_password}}", "selectors": [["#x"]]}, {"type": "keyDown", "key": "Enter"}]}`,
		"user in a change": `{"change_from": 1, "steps": [{"type": "change", "value": "{{username}}", "selectors": [["#x"]]}, {"type": "change", "value": "{{new_password}}", "selectors": [["#x"]]}, {"type": "keyDown", "key": "Enter"}]}`,
		"beyond the end":   `{"change_from": 9, "steps": [{"type": "keyDown", "key": "Enter"}]}`,
		"another key":      `{"steps": [{"type": "keyDown", "key": "a"}]}`,
		"deep":             `{"steps": [{"type": "click", "selectors": [["#x"]], "frame": [1,2,3,4,5,6,7,8,9]}]}`,
		"nothing":          `{}`,
	} {
		var made recipe.Recipe
		if err := json.Unmarshal([]byte(text), &made); err != nil {
			t.Fatal(err)
		}
		if err := made.Check(nil); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCompare(t *testing.T) {
	before := `{"address": "https://a.example/p", "forms": [{"kind": "change", "submit": "Save", "fields": [{"kind": "new", "type": "password", "name": "new"}, {"kind": "confirm", "type": "password", "name": "again"}]}]}`
	after := strings.NewReplacer(`"again"`, `"repeat"`, `"Save"`, `"Go"`).Replace(before)
	got := recipe.Compare([]byte(before), []byte(after))
	want := recipe.Difference{
		Gone: []string{`the field "again" (password) of the change form`, `the button "Save" of the change form`},
		New:  []string{`the field "repeat" (password) of the change form`, `the button "Go" of the change form`},
	}
	if !slices.Equal(got.Gone, want.Gone) || !slices.Equal(got.New, want.New) {
		t.Errorf("%q", got)
	}
	if same := recipe.Compare([]byte(before), []byte(before)); same.Gone != nil || same.New != nil {
		t.Errorf("%q", same)
	}
	if gone := recipe.Compare([]byte(before), nil); len(gone.Gone) != 4 || gone.New != nil {
		t.Errorf("%q", gone)
	}
}

// Whatever a file holds, no recipe holds a password that was typed, and what is made is taken again.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"harbour.json", "dokuwiki.json"} {
		f.Add(recorded(f, name), "harbour.example")
	}
	f.Add([]byte(flow(open, user, password, enter, code, enter, newer, save)), "app.example")
	f.Add([]byte(flow(`{"type": "navigate", "url": "https://app.example/`+old+`?x=`+fresh+`"}`, user, password, enter)), "app.example")
	f.Fuzz(func(t *testing.T, file []byte, domain string) {
		made, notes, err := recipe.Import(file, given("quay", domain))
		if err != nil {
			if core.KindOf(err) != core.KindInvalid || strings.Contains(err.Error(), old) || strings.Contains(err.Error(), fresh) {
				t.Fatal(err)
			}
			return
		}
		written, err := made.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if text := string(written) + strings.Join(notes, "\n"); strings.Contains(text, old) || strings.Contains(text, fresh) {
			t.Fatalf("a password is left in %s", text)
		}
		again, _, err := recipe.Import(written, recipe.Given{Domains: []string{domain}})
		if err != nil {
			t.Fatalf("%s is not taken again: %v", written, err)
		}
		if err := again.Check([]string{domain}); err != nil {
			t.Fatal(err)
		}
	})
}
