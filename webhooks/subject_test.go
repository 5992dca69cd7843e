package webhooks_test

import (
	"testing"
	"unicode/utf8"

	"postern/core"
	"postern/webhooks"
)

func FuzzParseSubject(f *testing.F) {
	for _, body := range []string{
		`{"sub_id":{"format":"email","email":"ana@example.com"}}`, `{"subject":{"format":"opaque","id":"1"}}`,
		`{"sub_id":{"format":"iss_sub","iss":"https://idp.example","sub":"1"}}`, `{"sub_id":{"format":"email","email":"a@b","email":"c@d"}}`,
		`{}`, `[]`, ``, `{"sub_id":null}`, `{"sub_id":{"format":"emai\u006c","email":"a\u0000@b"}}`, "{\"sub_id\":{\"format\":\"opaque\",\"id\":\"\xff\"}}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		subject, err := webhooks.ParseSubject(body)
		if err != nil {
			if core.KindOf(err) != core.KindInvalid {
				t.Fatalf("%v is no client's fault", err)
			}
			return
		}
		for _, text := range []string{subject.Email, subject.Issuer, subject.Subject, subject.ID} {
			if !utf8.ValidString(text) || len(text) > 1024 {
				t.Fatalf("%q", text)
			}
		}
		email, pair, opaque := subject.Email != "", subject.Issuer != "" && subject.Subject != "", subject.ID != ""
		switch subject.Format {
		case webhooks.FormatEmail:
			opaque = opaque || pair
			if !email || opaque {
				t.Fatalf("%+v", subject)
			}
		case webhooks.FormatIssSub:
			if !pair || email || opaque {
				t.Fatalf("%+v", subject)
			}
		case webhooks.FormatOpaque:
			if !opaque || email || pair {
				t.Fatalf("%+v", subject)
			}
		default:
			t.Fatalf("format %q", subject.Format)
		}
	})
}
