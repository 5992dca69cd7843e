package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"postern/core/health"
)

func TestMailsAboutAccountsAreTurnedOff(t *testing.T) {
	w := newWorld(t)
	const box = `name="quiet" value="1"`
	w.expect(t, "zoe", "/settings/health", 200, []string{box + ">"}, nil)
	w.expect(t, "ana", "/settings/health", 403, nil, []string{box})
	for _, quiet := range []bool{true, false} {
		form, want := url.Values{"hours": {"12"}, "days": {"30"}}, box+">"
		if quiet {
			form.Set("quiet", "1")
			want = box + " checked>"
		}
		if answer, text := w.ask(t, "zoe", http.MethodPost, "/settings/health", form); answer.StatusCode != http.StatusSeeOther {
			t.Fatal(answer.StatusCode, text)
		}
		w.expect(t, "zoe", "/settings/health", 200, []string{want}, nil)
		set, err := w.console.Health.Settings(t.Context(), w.db, w.acme.ID)
		if err != nil || set != (health.Settings{Interval: 12 * time.Hour, Retention: 30 * 24 * time.Hour, Quiet: quiet}) {
			t.Fatal(set, err)
		}
	}
}
