package hooks_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"postern/core/seal"
	"postern/webhooks/hooks"
)

// Whatever a stranger writes into the headers, a message is accepted exactly when the specification's own library
// accepts it too, except that ours bounds what it looks at, takes any white space between signatures, has what was
// signed be the time as it is written, and nothing stand behind a signature.
func FuzzStandardWebhook(f *testing.F) {
	secret := seal.NewSecret("whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret that both of us know")))
	reference, err := standardwebhooks.NewWebhook(secret.Reveal())
	must(f, err)
	at := time.Unix(1_795_255_200, 0)
	good, err := reference.Sign("msg_1", at, []byte("{}"))
	must(f, err)
	f.Add("msg_1", "1795255200", good, []byte("{}"), byte(0))
	f.Add("msg_1", "1795255200", "v1,AAAA v1a,x "+good, []byte("{}"), byte(1))
	f.Add("msg_1", "1795255200", strings.Replace(good, "v1,", "v1a,", 1), []byte("{}"), byte(0))
	f.Add("msg_1", "+1795255200", good+",", []byte("{}"), byte(2))
	f.Add("msg_1.1795255200", "1", "v1,", []byte(""), byte(3))
	f.Add("", "", "", []byte(nil), byte(4))
	f.Fuzz(func(t *testing.T, id, stamp, list string, body []byte, at byte) {
		// As a server reads them: no line breaks, no white space around.
		clean := func(text string) string {
			return strings.TrimSpace(strings.NewReplacer("\n", "", "\r", "", "\x00", "").Replace(text))
		}
		id, stamp, list = clean(id), clean(stamp), clean(list)
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {list}}
		plain := header.Clone()
		plain.Set("Webhook-Signature", strings.Join(slices.DeleteFunc(strings.Fields(list), func(one string) bool { return strings.Count(one, ",") > 1 }), " "))
		seconds, _ := strconv.ParseInt(stamp, 10, 64)
		want := reference.VerifyIgnoringTimestamp(body, plain) == nil && len(id) <= 256 && len(list) <= 4096 && stamp == strconv.FormatInt(seconds, 10)
		if got := hooks.StandardAccepts(secret, header, body); got != want {
			t.Fatalf("accepted is %v, the library says %v: %q %q %q %q", got, want, id, stamp, list, body)
		}
		if !want {
			return
		}
		// What is signed cannot be moved: another body, id or time is another message.
		for name, other := range map[string]http.Header{
			"Webhook-Id":        {"Webhook-Id": {id + "x"}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {list}},
			"Webhook-Timestamp": {"Webhook-Id": {id}, "Webhook-Timestamp": {stamp + "0"}, "Webhook-Signature": {list}},
		} {
			if hooks.StandardAccepts(secret, other, body) {
				t.Errorf("%s can be changed", name)
			}
		}
		changed := append([]byte{at}, body...)
		if hooks.StandardAccepts(secret, header, changed) {
			t.Error("the body can be changed")
		}
	})
}
