package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPoliciesInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/policies", 200, []string{"Whoever leaves", "as soon as a link to them ends", "New policy"}, nil)
	w.expect(t, "ana", "/policies", 403, nil, []string{"Whoever leaves"})
	w.expect(t, "zoe", "/policies/new?trigger=deprovision", 200, []string{"New policy", "Which accounts"}, nil)
	form := url.Values{
		"name": {"Quarterly"}, "trigger": {"schedule"}, "enabled": {"1"}, "covers": {"all"}, "spacing": {"24"}, "every": {"days"}, "days": {"90"},
		"from": {"02:00"}, "to": {"04:00"}, "zone": {"Europe/Berlin"}, "preview": {"1"},
	}
	answer, text := w.ask(t, "zoe", http.MethodPost, "/policies", form)
	if answer.StatusCode != 200 || !strings.Contains(text, "every 90 days, 02:00–04:00 Europe/Berlin") || !strings.Contains(text, "What it would do") || !strings.Contains(text, `value="Quarterly"`) {
		t.Fatal(answer.StatusCode, text)
	}
	w.expect(t, "zoe", "/policies", 200, nil, []string{"Quarterly"})
	form.Del("preview")
	if answer, text := w.ask(t, "ana", http.MethodPost, "/policies", form); answer.StatusCode != 403 {
		t.Fatal(answer.StatusCode, text)
	}
	if answer, text = w.ask(t, "zoe", http.MethodPost, "/policies", form); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	address := answer.Header.Get("Location")
	w.expect(t, "zoe", address, 200, []string{"Quarterly", "every 90 days", "What it would do", "Remove…"}, []string{"Remove this policy?"})
	w.expect(t, "gus", address, 404, nil, []string{"Quarterly"})
	for what, fields := range map[string]url.Values{
		"a name that is taken": form,
		"no days":              {"name": {"x"}, "trigger": {"schedule"}, "covers": {"all"}, "every": {"days"}, "days": {"never"}},
		"no weekday":           {"name": {"x"}, "trigger": {"schedule"}, "covers": {"all"}, "every": {"weekdays"}},
		"no zone":              {"name": {"x"}, "trigger": {"schedule"}, "covers": {"all"}, "every": {"days"}, "days": {"1"}, "zone": {"Nowhere"}},
		"no app":               {"name": {"x"}, "trigger": {"logout"}, "covers": {"apps"}},
		"not an id":            {"name": {"x"}, "trigger": {"logout"}, "covers": {"accounts"}, "accounts": {"7"}},
		"endless hours":        {"name": {"x"}, "trigger": {"logout"}, "covers": {"all"}, "spacing": {"NaN"}},
		"no trigger":           {"name": {"x"}, "covers": {"all"}},
	} {
		if answer, text := w.ask(t, "zoe", http.MethodPost, "/policies", fields); answer.StatusCode != 400 || !strings.Contains(text, `role="alert"`) {
			t.Errorf("%s: %d", what, answer.StatusCode)
		}
	}
	form.Set("version", "1")
	form.Set("name", "Each week")
	form.Set("every", "weekdays")
	form["weekday"] = []string{"Monday", "Thursday"}
	form.Set("preview", "1")
	if answer, text := w.ask(t, "zoe", http.MethodPost, address, form); answer.StatusCode != 200 || !strings.Contains(text, "on Mondays and Thursdays") {
		t.Fatal(answer.StatusCode, text)
	}
	w.expect(t, "zoe", address, 200, []string{"every 90 days"}, []string{"Mondays and Thursdays, "})
	form.Del("preview")
	if answer, text := w.ask(t, "zoe", http.MethodPost, address, form); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode, text)
	}
	w.expect(t, "zoe", address, 200, []string{"Each week", "on Mondays and Thursdays"}, nil)
	form.Set("name", "Too late")
	if answer, text := w.ask(t, "zoe", http.MethodPost, address, form); answer.StatusCode != 400 || !strings.Contains(text, "changed meanwhile") {
		t.Fatal(answer.StatusCode, text)
	}
	w.expect(t, "zoe", address+"?remove=1", 200, []string{"Remove this policy?", "Keep it"}, nil)
	if answer, _ := w.ask(t, "gus", http.MethodPost, address+"/remove", url.Values{}); answer.StatusCode != 404 {
		t.Errorf("another workspace removes it: %d", answer.StatusCode)
	}
	if answer, _ := w.ask(t, "zoe", http.MethodPost, address+"/remove", url.Values{}); answer.StatusCode != http.StatusSeeOther {
		t.Errorf("removing: %d", answer.StatusCode)
	}
	w.expect(t, "zoe", address, 404, nil, nil)
}

func TestTagsInTheConsole(t *testing.T) {
	w := newWorld(t)
	address := "/accounts/" + w.wiki.ID.String()
	if answer, _ := w.ask(t, "ana", http.MethodPost, address+"/tags", url.Values{"tags": {"Prod, finance"}}); answer.StatusCode != http.StatusSeeOther {
		t.Fatal(answer.StatusCode)
	}
	w.expect(t, "ana", address, 200, []string{`value="finance prod"`}, nil)
	if answer, _ := w.ask(t, "ben", http.MethodPost, address+"/tags", url.Values{"tags": {"mine"}}); answer.StatusCode != 403 {
		t.Errorf("a collaborator tags: %d", answer.StatusCode)
	}
	w.post(t, "zoe", address+"/risk", url.Values{"risk": {"5"}}, 303)
	w.expect(t, "zoe", address, 200, []string{`name="risk" min="0" max="5" required value="5"`}, nil)
	for _, risk := range []string{"6", "high", ""} {
		w.post(t, "zoe", address+"/risk", url.Values{"risk": {risk}}, 400)
	}
	w.post(t, "ben", address+"/risk", url.Values{"risk": {"1"}}, 403)
	w.expect(t, "zoe", "/policies/new", 200, []string{`<option value="finance">`}, nil)
}
