package api_test

import (
	"strings"
	"testing"

	"postern/core/coretest"
	"postern/core/mailbox"
	"postern/core/seal"
)

// messageCanary is what a message says.
const messageCanary = "Your verification code is 778899. Not for the log: CANARY"

// messaged gives an account an address and a number, and has a message come.
func (w *world) messaged(t *testing.T, account string) string {
	t.Helper()
	w.must(t, 200, "PUT", "/accounts/"+account+"/mailbox/phone", bodies["putMailboxPhone"])
	address := w.must(t, 200, "PUT", "/accounts/"+account+"/mailbox/address", "")["address"].(string)
	to, err := w.mailboxes.Expected(t.Context(), address)
	coretest.Must(t, err)
	made, err := w.mailboxes.Receive(t.Context(), to, mailbox.Incoming{
		Sender: "no-reply@wiki.example.com", Subject: seal.NewSecret("778899 is your code"), Text: seal.NewSecret(messageCanary), SPF: "pass example.com", DKIM: "none",
	})
	coretest.Must(t, err)
	return made.ID.String()
}

func TestMessagesOfAnAccount(t *testing.T) {
	w := newWorld(t)
	_, account, _ := w.account(t)
	at := "/accounts/" + account
	ana, ben := `{"user":"`+w.ana.ID.String()+`"}`, `{"user":"`+w.ben.ID.String()+`"}`
	if box := w.must(t, 200, "GET", at+"/mailbox", ""); box["address"] != "" || box["phone"] != "" {
		t.Errorf("got %v", box)
	}
	w.must(t, 404, "DELETE", at+"/mailbox/address", "")
	w.must(t, 404, "DELETE", at+"/mailbox/phone", "")
	for _, phone := range []string{"", "030", "+49 30 x", "\\u0000"} {
		w.must(t, 400, "PUT", at+"/mailbox/phone", `{"phone":"`+phone+`"}`)
	}
	message := w.messaged(t, account)
	box := w.must(t, 200, "GET", at+"/mailbox", "")
	if address, _ := box["address"].(string); !strings.HasSuffix(address, "@in.example.com") || box["phone"] != "+4930123456" || box["received"] != 1.0 {
		t.Errorf("got %v", box)
	}
	if again := w.must(t, 200, "PUT", at+"/mailbox/address", ""); again["address"] != box["address"] {
		t.Errorf("another address: %v", again)
	}
	list := items(w.must(t, 200, "GET", at+"/messages", ""))
	if len(list) != 1 || list[0]["subject"] != "••• is your code" || list[0]["has_code"] != true || list[0]["spf"] != "pass example.com" || list[0]["text"] != nil {
		t.Errorf("got %v", list)
	}
	page := w.must(t, 200, "GET", at+"/messages?limit=1", "")
	if rest := items(w.must(t, 200, "GET", at+"/messages?limit=1&cursor="+page["next"].(string), "")); len(rest) != 0 {
		t.Errorf("got %v", rest)
	}
	read := w.must(t, 200, "POST", at+"/messages/"+message+"/read", ana)
	if read["code"] != "778899" || read["text"] != messageCanary || read["full_subject"] != "778899 is your code" || read["link"] != "" {
		t.Errorf("got %v", read)
	}
	if got := w.must(t, 403, "POST", at+"/messages/"+message+"/read", ben); got["code"] != "not_shared" {
		t.Errorf("got %v", got)
	}
	if seen := items(w.must(t, 200, "GET", at+"/exposures", "")); len(seen) != 1 || seen[0]["level"] != "message" {
		t.Errorf("got %v", seen)
	}
	w.must(t, 204, "DELETE", at+"/mailbox/address", "")
	w.must(t, 204, "DELETE", at+"/mailbox/phone", "")
	if box = w.must(t, 200, "GET", at+"/mailbox", ""); box["address"] != "" || box["phone"] != "" {
		t.Errorf("got %v", box)
	}
	if strings.Contains(w.log.String(), "CANARY") || strings.Contains(w.log.String(), "778899") {
		t.Error("the log tells what a message says")
	}
}
