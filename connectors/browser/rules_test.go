package browser

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postern/core/passwordrules"
	"postern/core/rotation"
	"postern/core/seal"
)

// bureau is an app whose change form has the attributes given, and which answers a change with a sentence if it does
// not like it.
func bureau(t *testing.T, attributes, refusal string, script string) (rotation.Target, *atomic.Int64) {
	t.Helper()
	var changes atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><form method=post action=/in><label>User <input name=user></label><label>Password <input type=password name=pw></label><button>Sign in</button></form>`)
	})
	form := func(w http.ResponseWriter, error string) {
		fmt.Fprintf(w, `<!doctype html><a href=/logout>Sign out</a>%s<form method=post action=/change><label>Current password <input type=password name=old autocomplete=current-password></label>
			<label>New password <input type=password name=new autocomplete=new-password %s></label><button>Change password</button></form>%s`, error, attributes, script)
	}
	mux.HandleFunc("POST /in", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("pw") != first {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		form(w, "")
	})
	mux.HandleFunc("GET /change", func(w http.ResponseWriter, _ *http.Request) { form(w, "") })
	mux.HandleFunc("POST /change", func(w http.ResponseWriter, _ *http.Request) {
		changes.Add(1)
		if refusal != "" {
			form(w, `<p role=alert>`+refusal+`</p>`)
			return
		}
		fmt.Fprint(w, `<!doctype html><a href=/logout>Sign out</a><p role=status>Your password was changed.</p>`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return rotation.Target{AppName: "Bureau", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/login", ChangeURL: server.URL + "/change"}, &changes
}

// A password that the form would not take is refused before the gate, with rules the next one satisfies; that one goes
// through.
func TestTheFormsRulesAreReported(t *testing.T) {
	b := connector(t)
	for attributes, want := range map[string]string{
		`passwordrules="minlength: 30; required: lower; required: digit; allowed: [-]; max-consecutive: 2"`: "minlength: 30; max-consecutive: 2; required: lower; required: digit; allowed: lower, digit, [-]",
		`maxlength=12`:                                 "maxlength: 12",
		`minlength=40 maxlength=60`:                    "minlength: 40; maxlength: 60",
		`pattern="(?=.*\d)(?=.*[a-z])[a-z0-9]{10,20}"`: "minlength: 10; maxlength: 20; required: digit; required: lower",
		`maxlength=20 passwordrules="minlength: 8; allowed: upper, digit"`: "minlength: 8; maxlength: 20; allowed: upper, digit",
	} {
		target, changes := bureau(t, attributes, "", "")
		var count counter
		report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second+"x1"), count.release)
		expect(t, report, rotation.Refused, rotation.StageChangeForm)
		if report.Rules != want || report.Released || count.calls != 0 || changes.Load() != 0 {
			t.Errorf("%s: rules %q, want %q; released %t after %d calls", attributes, report.Rules, want, report.Released, count.calls)
			continue
		}
		rules, err := passwordrules.Parse(report.Rules)
		if err != nil {
			t.Fatal(err)
		}
		next, err := rules.Generate(seal.PasswordPolicy{})
		if err != nil {
			t.Fatal(err)
		}
		report = b.Change(short(t), target, credential("quay", first), next, count.release)
		expect(t, report, rotation.Applied, rotation.StageSubmit)
		if count.calls != 1 || changes.Load() != 1 || report.Rules != want {
			t.Errorf("%s: %d calls, %d changes, rules %q", attributes, count.calls, changes.Load(), report.Rules)
		}
	}
}

// What a form says and cannot be read, or a person knows better, keeps no password from being sent; what the browser
// itself will not send is refused, certainly unsent.
func TestAFormsRulesThatDoNotHold(t *testing.T) {
	b := connector(t)
	for _, attributes := range []string{`passwordrules="minlenght: 30"`, `passwordrules="minlength: 8; maxlength: 4"`, `pattern="(a+)+b|.*"`, `maxlength=-1 minlength=x`} {
		target, changes := bureau(t, attributes, "", "")
		var count counter
		report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
		expect(t, report, rotation.Applied, "")
		if report.Rules != "" || changes.Load() != 1 {
			t.Errorf("%s: rules %q, %d changes", attributes, report.Rules, changes.Load())
		}
	}
	target, changes := bureau(t, `passwordrules="minlength: 60"`, "", "")
	target.PasswordRules = "minlength: 12"
	var count counter
	expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, "")
	if changes.Load() != 1 {
		t.Errorf("%d changes", changes.Load())
	}
	target, changes = bureau(t, `pattern="\p{Lu}{3}.*"`, "", "")
	count = counter{}
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.Refused, rotation.StageSubmit)
	if report.Released || count.calls != 0 || changes.Load() != 0 {
		t.Errorf("released %t after %d calls, %d changes", report.Released, count.calls, changes.Load())
	}
}

// A form that will not be sent because of a field that is none of ours says nothing against the password.
func TestAnotherFieldIsNoRefusal(t *testing.T) {
	b := connector(t)
	target, changes := bureau(t, `><input name=phone aria-label=Phone required`, "", "")
	var count counter
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.NotSent, rotation.StageSubmit)
	if changes.Load() != 0 || count.calls != 0 || report.Released {
		t.Errorf("%d changes, %d calls", changes.Load(), count.calls)
	}
}

// What the app says when it refuses is reported as rules, a used password as used, and no password is in either.
func TestARefusalIsUnderstood(t *testing.T) {
	b := connector(t)
	for refusal, want := range map[string]string{
		"Your password must be at least 30 characters long and contain an uppercase letter.": "minlength: 30; required: upper; allowed: ascii-printable",
		"Das Kennwort darf höchstens 20 Zeichen haben.":                                      "maxlength: 20",
		"You have used this password before. It must differ from your last 5 passwords.":     "",
		second + " is too weak": "",
	} {
		target, _ := bureau(t, "", refusal, "")
		var count counter
		report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
		expect(t, report, rotation.Refused, rotation.StageSubmit)
		if report.Rules != want || report.Reused != strings.Contains(refusal, "before") || !report.Released {
			t.Errorf("%q: rules %q, reused %t, released %t", refusal, report.Rules, report.Reused, report.Released)
		}
	}
	// A page that says so itself, and sends nothing.
	target, changes := bureau(t, "", "", `<p id=says role=alert></p><script>document.forms[0].addEventListener('submit', (e) => { e.preventDefault(); document.getElementById('says').textContent = 'Use at most 16 characters.' })</script>`)
	count := counter{err: errors.New("never")}
	report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
	expect(t, report, rotation.Refused, rotation.StageSubmit)
	if report.Rules != "maxlength: 16" || changes.Load() != 0 || count.calls != 0 {
		t.Errorf("rules %q, %d changes, %d calls", report.Rules, changes.Load(), count.calls)
	}
}
