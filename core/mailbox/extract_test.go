package mailbox

import (
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"postern/core/seal"
)

// sample is a message and what is to be found in it. All were made up, in the manner of real ones.
type sample struct {
	name, subject, text, html string
	code, link, origin        string
}

var samples = []sample{
	// Bound to an origin.
	{name: "bound", text: "Your Wiki code is 747723.\n\n@wiki.example.com #747723", code: "747723", origin: "wiki.example.com"},
	{name: "bound to the site", text: "747723 is your code\n@example.com #747723", code: "747723", origin: "example.com"},
	{name: "bound with an embedded frame", text: "Code 123456\n@wiki.example.com #123456 %pay.example.net", code: "123456", origin: "wiki.example.com"},
	{name: "bound, of letters", text: "Use the last line.\n@wiki.example.com #aB3-xY9\n", code: "aB3-xY9", origin: "wiki.example.com"},
	{name: "bound to another host", text: "Your code is 747723.\n\n@evil.example.net #747723", origin: "evil.example.net"},
	{name: "bound to a lookalike", text: "Your code is 111222\n@notexample.com #111222", origin: "notexample.com"},
	{name: "bound to a public suffix", text: "Your code is 111222\n@com #111222", origin: "com"},
	{name: "bound to another subdomain", text: "Your code is 111222\n@files.example.com #111222", origin: "files.example.com"},
	{name: "bound to another host, with a link", text: "Sign in: https://wiki.example.com/magic?token=0123456789abcdef0123\n@bank.example #4455", origin: "bank.example"},

	// English.
	{name: "google", text: "G-481516 is your Google verification code.", code: "481516"},
	{name: "google in a subject", subject: "G-230942 ist dein Bestätigungscode", text: "Gib ihn nicht weiter.", code: "230942"},
	{name: "plain", text: "Your verification code is 482913. It expires in 10 minutes.", code: "482913"},
	{name: "code first", text: "482913 is your Acme login code. Don't share it with anyone.", code: "482913"},
	{name: "in the subject", subject: "Your one-time code: 7391", text: "Hello Ana,\nsomebody signs in.", code: "7391"},
	{name: "a line of its own", text: "Hi Ana,\n\nUse this code to sign in:\n\n    905 112\n\nIt is good for 15 minutes.\nAcme Inc, 1600 Main Street, CA 94043", code: "905112"},
	{name: "with a dash", text: "Enter 482-913 as your security code", code: "482913"},
	{name: "a phone number besides", text: "Your PIN is 4821. Trouble? Call 1-800-555-0199 or +1 (800) 555-0199.", code: "4821"},
	{name: "a phone number before", text: "Questions about this code: call 1-800-555-0199. Your code: 60917", code: "60917"},
	{name: "an order number besides", text: "For order 88123456 enter verification code 552901.", code: "552901"},
	{name: "an order number alone", subject: "Order confirmation", text: "Thank you for your order 88123456. Track it at https://wiki.example.com/orders/88123456."},
	{name: "a promo code", text: "Use promo code 20252 for 15% off until 2026!"},
	{name: "a zip code", text: "We deliver to zip code 94043 from now on."},
	{name: "a year", text: "© 2026 Acme. All rights reserved. Code of conduct 2025 attached."},
	{name: "no code", subject: "Password changed", text: "The password of your account was changed on 2026-11-22 at 14:30."},
	{name: "card number", text: "Card ending in 4242: your one-time passcode is 919273", code: "919273"},
	{name: "minutes first", text: "Within 1440 minutes enter the code 338211.", code: "338211"},
	{name: "an amount", text: "You pay $1250 to Shop. Confirm with code 7712", code: "7712"},
	{name: "digits apart", text: "Your code: 4 8 2 9 1 3", code: "482913"},
	{name: "longer than a code", text: "Your tracking token 123456789012 is registered."},
	{name: "a PIN that looks like a year", text: "Your PIN is 2024.", code: "2024"},
	{name: "soft wrapped", text: "You asked to sign in to Wiki. Your verification code\nis 663920. If it was not you, ignore this.", code: "663920"},

	// HTML.
	{name: "html", html: `<html><head><style>.a{color:#123456}</style><title>99887766</title></head><body><p>Your verification code is</p><h1 style="color:#654321">771 204</h1><p>&copy; 2026 Acme</p></body></html>`, code: "771204"},
	{name: "html cells", html: `<p>Your sign-in code:</p><table><tr><td>1</td><td>9</td><td>8</td><td>4</td><td>7</td><td>2</td></tr></table>`, code: "198472"},
	{name: "html with entities", html: `<div>Code:&nbsp;<b>44&#8203;71&zwnj;23</b></div><div>Ref. 20261122</div>`, code: "447123"},
	{name: "a stub of plain text", text: "Open this message in a client that shows HTML.", html: `<p>Your passcode is <strong>5521</strong></p>`, code: "5521"},
	{name: "a magic link", html: `<p>Click to sign in</p><a href="https://wiki.example.com/auth/magic?token=tok_0123456789abcdefghij">Sign in</a><a href="https://wiki.example.com/unsubscribe?u=0123456789abcdef0123">Unsubscribe</a>`, link: "https://wiki.example.com/auth/magic?token=tok_0123456789abcdefghij"},
	{name: "a link to somebody else", html: `<a href="https://wiki.example.com.evil.net/verify?token=0123456789abcdef0123">Sign in to wiki.example.com</a>`},
	{name: "a link that is not what it says", html: `<a href="https://evil.example.net/reset?token=0123456789abcdef0123">https://wiki.example.com/reset?token=0123456789abcdef0123</a>`},
	{name: "a link with a user", text: "Sign in: https://wiki.example.com@evil.net/verify?token=0123456789abcdef0123"},
	{name: "a link to another port", text: "Reset: http://127.0.0.1:8082/reset?token=0123456789abcdef0123"},
	{name: "a link to the right port", text: "Reset: http://127.0.0.1:8081/reset?token=0123456789abcdef0123", link: "http://127.0.0.1:8081/reset?token=0123456789abcdef0123"},
	{name: "a reset link", text: "Reset your password:\nhttps://wiki.example.com/reset/8f14e45fceea167a5a36dedd4bea2543.\nIf you did not ask for it, ignore this.", link: "https://wiki.example.com/reset/8f14e45fceea167a5a36dedd4bea2543"},
	{name: "both", text: "Enter 190234 as verification code, or open https://wiki.example.com/verify?t=0123456789abcdef0123", code: "190234", link: "https://wiki.example.com/verify?t=0123456789abcdef0123"},

	// German.
	{name: "de", text: "Ihr Bestätigungscode lautet 482913. Er ist 10 Minuten gültig.", code: "482913"},
	{name: "de, TAN", text: "Die mTAN für Ihre Überweisung über 1250,00 EUR auf Konto 12345678 lautet: 778123", code: "778123"},
	{name: "de, on a line", subject: "Anmeldung bei Wiki", text: "Guten Tag,\n\nIhr Einmalpasswort:\n\n665 241\n\nFragen? Telefon 030 1234567, Mo-Fr 8-18 Uhr.", code: "665241"},
	{name: "de, Rechnung", text: "Ihre Rechnung 20261134 über 120,00 EUR. PLZ 10115 Berlin, Gutscheincode 5555 beim nächsten Kauf."},
	{name: "de, with a customer number", text: "Kundennummer 55512345. Mit dem Sicherheitscode 9012 melden Sie sich an.", code: "9012"},

	// French.
	{name: "fr", text: "Votre code de vérification est le 482 913. Il expire dans 10 minutes.", code: "482913"},
	{name: "fr, first", text: "482913 est votre code de connexion. Ne le communiquez à personne.", code: "482913"},
	{name: "fr, commande", text: "Commande n° 77123456 : saisissez le code 5512 pour confirmer.", code: "5512"},
	{name: "fr, code postal", text: "Livraison au code postal 75011, facture 20260087."},
	{name: "fr, one use", html: `<p>Mot de passe à usage unique&nbsp;:</p><p><b>83 12 90</b></p><p>Service client : 01 23 45 67 89</p>`, code: "831290"},

	// Spanish.
	{name: "es", text: "Tu código de verificación es 482913. Caduca en 10 minutos.", code: "482913"},
	{name: "es, clave", text: "Clave dinámica: 771-209. No la compartas. Llame al 900 123 456.", code: "771209"},
	{name: "es, pedido", text: "Tu pedido 66123456 está en camino. Código postal 28013."},
	{name: "es, token", subject: "Inicia sesión", text: "Hola, Ana:\n\n5581\n\nes tu código de acceso.", code: "5581"},

	// Portuguese.
	{name: "pt", text: "Seu código de verificação é 482913. Válido por 10 minutos.", code: "482913"},
	{name: "pt, token", text: "Use o token 90121 para entrar na conta 00123456.", code: "90121"},
	{name: "pt, senha", text: "Sua senha de uso único:\n\n401 776\n\nLigue 0800 123 4567 em caso de dúvida.", code: "401776"},
	{name: "pt, pedido", text: "Pedido 55123456 confirmado. Cupom: código promocional 2211."}, //nolint:misspell // Portuguese

	// Japanese.
	{name: "ja", text: "認証コード:482913\n有効期限は10分です。", code: "482913"},
	{name: "ja, full width", text: "お客様の確認コードは１２３４５６です。第三者に教えないでください。", code: "123456"},
	{name: "ja, first", text: "554210 があなたのワンタイムパスワードです。", code: "554210"},
	{name: "ja, order", text: "ご注文番号 12345678 を承りました。クーポンコード 7788 をご利用ください。お電話 03-1234-5678。"},
	{name: "ja, on a line", subject: "【Wiki】認証番号のお知らせ", text: "以下の認証番号を入力してください。\n\n882 019\n\nお問い合わせ番号 20264455\n2026年11月22日", code: "882019"},

	// What is no message of an app.
	{name: "nothing"},
	{name: "NUL", text: "Your code is\x00 482913", code: "482913"},
	{name: "invalid UTF-8", text: "Ihr Best\xe4tigungscode: 482913", code: "482913"},
	{name: "broken HTML", html: `<p>Your code is <b>120934<table></p></b><td <a href="`, code: "120934"},
	{name: "a script", html: `<script>var code = 111111</script><p>Your code is 222333</p>`, code: "222333"},
}

var sampleDomains = []string{"wiki.example.com", "127.0.0.1:8081"}

func TestSamples(t *testing.T) {
	if len(samples) < 40 {
		t.Fatalf("%d samples", len(samples))
	}
	for _, one := range samples {
		t.Run(one.name, func(t *testing.T) {
			got := extract(Incoming{Subject: seal.NewSecret(one.subject), Text: seal.NewSecret(one.text), HTML: seal.NewSecret(one.html)}, sampleDomains)
			if got.code != one.code || got.link != one.link || got.origin != one.origin {
				t.Errorf("found code %q, link %q, origin %q; want %q, %q, %q\nin %q %q", got.code, got.link, got.origin, one.code, one.link, one.origin, got.subject, got.text)
			}
		})
	}
}

func TestASubjectShowsNoCode(t *testing.T) {
	for given, want := range map[string]string{
		"Your code is 482913":       "Your code is •••",
		"G-481516 is your code":     "••• is your code",
		"482 913 is your code, Ana": "••• ••• is your code, Ana",
		"認証コード４８２９１３":               "•••",
		"Password changed":          "Password changed",
		"":                          "",
	} {
		if got := masked(given, ""); got != want {
			t.Errorf("%q is shown as %q, want %q", given, got, want)
		}
	}
	if got := masked("Use word-word now", "word-word"); got != "Use ••• now" {
		t.Errorf("a code of letters is shown: %q", got)
	}
}

// What somebody makes to keep us busy is read as fast as anything else.
// What costs the square of a message's size does not end here before the tests are given up.
func TestALargeMessageIsReadToItsEnd(t *testing.T) {
	for what, unit := range map[string]string{
		"codes": "code 1234 ", "numbers": "1234 ", "words": "code order ", "digits": "1 ", "one number": "1", "lines": "code\n", "tags": "<div><a href=https://wiki.example.com/verify/0123456789abcdef0>",
		"links": "https://wiki.example.com/verify?t=0123456789abcdef0 ", "stops": ". ", "marks": "@a #b\n", "blanks": " ", "spaced": "12 34 ", "invisible": "\u200b", "open": "<",
	} {
		large := seal.NewSecret(strings.Repeat(unit, 2<<20/len(unit)))
		began := time.Now()
		extract(Incoming{Subject: large, Text: large, HTML: large}, sampleDomains)
		t.Logf("%s took %v", what, time.Since(began))
	}
}

func leads(link string) bool {
	address, err := url.Parse(link)
	return err == nil && (address.Hostname() == "127.0.0.1" && address.Port() == "8081" || strings.EqualFold(address.Hostname(), "wiki.example.com"))
}

// FuzzExtract: whatever comes, the end is reached, a code is one, and a link leads to the app.
func FuzzExtract(f *testing.F) {
	for _, one := range samples {
		f.Add(one.subject, one.text, one.html)
	}
	f.Add("", strings.Repeat("code 1234 ", 500), strings.Repeat("<div><a href=x>", 500))
	f.Fuzz(func(t *testing.T, subject, text, html string) {
		got := extract(Incoming{Subject: seal.NewSecret(subject), Text: seal.NewSecret(text), HTML: seal.NewSecret(html)}, sampleDomains)
		if got.origin == "" && got.code != "" && (len(got.code) < 4 || len(got.code) > 8 || digits(got.code) != got.code) {
			t.Errorf("%q is no code", got.code)
		}
		if got.origin != "" && got.code != "" && !within(got.origin, sampleDomains) {
			t.Errorf("the code %q is for %s", got.code, got.origin)
		}
		if got.link != "" && !leads(got.link) {
			t.Errorf("%q is no link to the app", got.link)
		}
		if shown := masked(got.subject, got.code); got.code != "" && strings.Contains(shown, got.code) {
			t.Errorf("the subject %q shows the code", shown)
		}
	})
}

// What a link is shown by is looked at as far as it says what the link is for.
func TestALabelWithoutEndFillsNoMemory(t *testing.T) {
	message := `<a href="https://wiki.example.com/reset?token=0123456789abcdef">Reset your password ` + strings.Repeat("a<i>", maxRead/4) + `</a>`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	found := extract(Incoming{HTML: seal.NewSecret(message)}, []string{"wiki.example.com"})
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 200 || found.link != "https://wiki.example.com/reset?token=0123456789abcdef" {
		t.Errorf("%d MiB, and the link is %q", took, found.link)
	}
}
