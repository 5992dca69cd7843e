package console_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
)

func TestPartnersInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.expect(t, "zoe", "/partners", 200, []string{"No partners"}, nil)
	form := url.Values{"name": {"Auditors <i>"}, "domains": {"Auditors.example, audit.example"}, "sponsor": {"ana@acme.example"}, "last": {"2099-12-31"}}
	for _, who := range []string{"ana", "eve"} {
		w.expect(t, who, "/partners", 403, nil, []string{"E-mail domains"})
		w.post(t, who, "/partners", form, 403)
	}
	w.post(t, "zoe", "/partners", form, http.StatusSeeOther)
	page := w.expect(t, "zoe", "/partners", 200, []string{"Auditors &lt;i&gt;", "audit.example, auditors.example", "Ana Ito", "2100-01-01 00:00:00 UTC"}, nil)
	id := regexp.MustCompile(`/partners\?end=([0-9a-f-]{36})`).FindStringSubmatch(page)[1]
	for name, status := range map[string]int{"sponsor": 400, "domains": 400, "last": 400} {
		wrong := url.Values{"name": {"Other"}, "domains": {"other.example"}, "sponsor": {"ana@acme.example"}}
		wrong.Set(name, "gmail.com")
		if refused := w.post(t, "zoe", "/partners", wrong, status); !strings.Contains(refused, `role="alert"`) || !strings.Contains(refused, `value="Other"`) {
			t.Errorf("%s: what was typed is gone", name)
		}
	}
	w.expect(t, "zoe", "/partners?change="+id, 200, []string{`action="/partners/` + id + `"`, `value="2099-12-31"`, `value="ana@acme.example"`}, nil)
	form.Set("sponsor", "nobody")
	if refused := w.post(t, "zoe", "/partners/"+id, form, 400); !strings.Contains(refused, `action="/partners/`+id+`"`) || !strings.Contains(refused, `value="nobody"`) {
		t.Error("a form that was refused makes another partner")
	}
	form.Set("sponsor", "zoe@acme.example")
	form.Set("last", "")
	w.post(t, "zoe", "/partners/"+id, form, http.StatusSeeOther)
	w.expect(t, "zoe", "/partners", 200, []string{"Zoe Adler", "no end is set"}, []string{"Ana Ito"})

	w.post(t, "zoe", "/guests", url.Values{"email": {"hal@audit.example"}, "name": {"Hal"}, "days": {"7"}}, http.StatusSeeOther)
	w.expect(t, "zoe", "/guests", 200, []string{"of Auditors &lt;i&gt;"}, nil)
	guests, err := w.links.Guests(t.Context(), w.db, w.acme.ID, core.ID{}, core.ID{}, core.ID{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	w.tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.accounts.Share(ctx, tx, core.NewCause(core.System, guests[0].Invited), w.acme.ID, w.wiki.ID, accounts.Sharing{Subject: accounts.Subject{User: guests[0].User}, Role: accounts.Collaborator})
		return err
	})
	w.expect(t, "zoe", "/partners?end="+id, 200, []string{"End Auditors &lt;i&gt;?", "1 guest is out at once", "hal@audit.example", "team-wiki", "its password is changed"}, nil)
	for _, path := range []string{"/partners?end=" + id, "/partners?change=" + id} {
		w.expect(t, "gus", path, 404, nil, []string{"Auditors"})
	}
	w.post(t, "gus", "/partners/"+id+"/end", nil, 404)
	w.post(t, "ana", "/partners/"+id+"/end", nil, 403)
	w.post(t, "zoe", "/settings/guests", url.Values{"inviters": {"administrators"}, "partners": {"only"}}, http.StatusSeeOther)
	if refused := w.post(t, "zoe", "/guests", url.Values{"email": {"x@stranger.example"}, "days": {"7"}}, 403); !strings.Contains(refused, "partners alone") {
		t.Error("a stranger is invited")
	}
	w.expect(t, "zoe", "/guests", 200, []string{`<option value="only" selected>`}, nil)
	w.post(t, "zoe", "/partners/"+id+"/end", nil, http.StatusSeeOther)
	w.expect(t, "zoe", "/partners", 200, []string{"ended"}, []string{"/partners?end="})
	w.expect(t, "zoe", "/guests", 200, []string{"Removed"}, nil)
}
