package console_test

import (
	"net/http"
	"net/url"
	"testing"
)

func TestAdministratorsLogOthersOutEverywhere(t *testing.T) {
	w := newWorld(t)
	form, page := url.Values{}, "/users/"+w.people["ana"].ID.String()
	w.expect(t, "zoe", page, 200, []string{"Log out everywhere", page + "/logout"}, nil)
	before := len(w.sessionsOf(t, "ana"))
	for who, status := range map[string]int{"eve": 403, "gus": 404} {
		if answer, _ := w.ask(t, who, http.MethodPost, page+"/logout", form); answer.StatusCode != status || len(w.sessionsOf(t, "ana")) != before {
			t.Errorf("%s: %d", who, answer.StatusCode)
		}
	}
	answer, _ := w.ask(t, "zoe", http.MethodPost, page+"/logout", form)
	if answer.StatusCode != http.StatusSeeOther || len(w.sessionsOf(t, "ana")) != 0 {
		t.Errorf("%d", answer.StatusCode)
	}
	first := answer.Header.Get("Location")
	w.expect(t, "zoe", first, 200, []string{"Said by Zoe Adler", "Ana Ito", "end sessions, rotate", "<dd>console</dd>", "Done"}, []string{"Told before"})
	again, _ := w.ask(t, "zoe", http.MethodPost, page+"/logout", form)
	w.expect(t, "zoe", again.Header.Get("Location"), 200, []string{"Told before", "othing is done twice", `href="` + first + `"`}, nil)
	w.expect(t, "zoe", "/signals?user="+w.people["ana"].ID.String(), 200, []string{first, again.Header.Get("Location")}, nil)
}
