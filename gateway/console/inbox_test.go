package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"postern/core/coretest"
	"postern/core/mailbox"
	"postern/core/seal"
)

// PopulateInbox gives wiki an address and messages.
func (w *world) PopulateInbox(t testing.TB) {
	w.messaged(t, "Your verification code is 778899.")
	w.messaged(t, "Sign in: https://wiki.example.com/verify?token=0123456789abcdef0123")
}

// messaged has a message come to wiki, which is given an address first if it has none.
func (w *world) messaged(t testing.TB, text string) mailbox.Message {
	t.Helper()
	box, err := w.mailboxes.Mailbox(t.Context(), w.db, w.acme.ID, w.wiki.ID)
	coretest.Must(t, err)
	if box.Address == "" {
		w.post(t, "ana", "/accounts/"+w.wiki.ID.String()+"/address", nil, http.StatusSeeOther)
		box, err = w.mailboxes.Mailbox(t.Context(), w.db, w.acme.ID, w.wiki.ID)
		coretest.Must(t, err)
	}
	to, err := w.mailboxes.Expected(t.Context(), box.Address)
	coretest.Must(t, err)
	made, err := w.mailboxes.Receive(t.Context(), to, mailbox.Incoming{
		Sender: "no-reply@wiki.example.com", Subject: seal.NewSecret("<b>Signing in</b> 778899"), Text: seal.NewSecret(text), SPF: "pass example.com", DKIM: "none",
	})
	coretest.Must(t, err)
	return made
}

func TestTheInboxInTheConsole(t *testing.T) {
	w := newWorld(t)
	w.sequence(t)
	wiki := "/accounts/" + w.wiki.ID.String()
	w.expect(t, "ana", wiki, 200, []string{`href="` + wiki + `/inbox"`}, nil)
	w.expect(t, "ana", wiki+"/inbox", 200, []string{"No messages", "Give it an address"}, []string{`name="phone"`})
	w.expect(t, "ben", wiki+"/inbox", 200, []string{"No messages"}, []string{"Give it an address"})
	for who, status := range map[string]int{"ben": 403, "eve": 404, "gus": 404, "": 401} {
		w.post(t, who, wiki+"/address", nil, status)
		w.post(t, who, wiki+"/address/remove", nil, status)
	}
	message := w.messaged(t, "Your <i>code</i> is 778899. Open https://wiki.example.com/verify?token=0123456789abcdef0123")
	w.post(t, "ana", wiki+"/address", nil, 409, "has an address")
	w.expect(t, "ana", wiki+"/inbox", 200, []string{"&lt;b&gt;Signing in", "a code and a link", "@in.example.com"}, []string{"778899", "<b>Signing"})
	read := wiki + "/inbox/" + message.ID.String() + "/show"
	for _, who := range []string{"ana", "ben"} {
		body := w.post(t, who, read, nil, 200, `<output id="message-code">778899</output>`, "SPF pass example.com")
		if !strings.Contains(body, "&lt;i&gt;code") || !regexp.MustCompile(`verify\?token=0123456789abcdef0123`).MatchString(body) {
			t.Errorf("%s reads %s", who, body)
		}
	}
	answer, _ := w.ask(t, "ben", http.MethodPost, read, nil)
	if answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("the message is kept by caches")
	}
	// An administrator without a grant reads nothing, and assigns the number.
	w.expect(t, "zoe", wiki+"/inbox", 200, []string{"Only those the account is shared with", `name="phone"`}, []string{"Signing in"})
	w.post(t, "zoe", read, nil, 403)
	for who, status := range map[string]int{"eve": 404, "gus": 404, "": 401} {
		w.post(t, who, read, nil, status)
		w.post(t, who, wiki+"/phone", url.Values{"phone": {"+49 30 123456"}}, status)
	}
	w.post(t, "ana", wiki+"/inbox/"+w.wiki.ID.String()+"/show", nil, 404)
	w.post(t, "ana", wiki+"/inbox/nonsense/show", nil, 404)
	w.post(t, "ana", "/accounts/"+w.theirs.ID.String()+"/inbox/"+message.ID.String()+"/show", nil, 404)
	w.expect(t, "ana", wiki+"/inbox?before=nonsense", 400, nil, nil)
	w.post(t, "ana", wiki+"/phone", url.Values{"phone": {"+49 30 123456"}}, 403)
	w.post(t, "zoe", wiki+"/phone", url.Values{"phone": {"030"}}, 400, "with its country")
	w.post(t, "zoe", wiki+"/phone", url.Values{"phone": {"+49 30 123456"}}, 303)
	w.expect(t, "ben", wiki+"/inbox", 200, []string{"4930123456"}, nil)
	w.post(t, "zoe", wiki+"/phone", url.Values{"phone": {""}}, 303)
	w.expect(t, "ana", wiki+"/inbox?address=remove", 200, []string{"Yes, remove it"}, nil)
	w.post(t, "ana", wiki+"/address/remove", nil, 303)
	w.expect(t, "ana", wiki+"/inbox", 200, []string{"Give it an address", "Signing in"}, nil)
	w.expect(t, "ana", wiki, 200, []string{"read a message"}, nil)
}
