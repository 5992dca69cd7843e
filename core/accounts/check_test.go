package accounts

import (
	"net/url"
	"strings"
	"testing"

	"postern/core"
)

func TestDomains(t *testing.T) {
	for text, want := range map[string]string{
		"wiki.example.com": "wiki.example.com", "WIKI.Example.COM": "wiki.example.com", "localhost": "localhost", "intranet:8080": "intranet:8080",
		"127.0.0.1": "127.0.0.1", "127.0.0.1:8443": "127.0.0.1:8443", "::1": "::1", "[::1]": "::1", "[2001:DB8::1]:443": "[2001:db8::1]:443",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "a-b.example:0443": "a-b.example:443", "alice.github.io": "alice.github.io",
		"0:0:0:0:0:0:0:1": "::1", "1.example": "1.example",
	} {
		got, err := parseDomain(text)
		if err != nil || got.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "https://wiki.example.com", "//wiki.example.com", "*.example.com", "*", "wiki.example.com/path", "ana@example.com",
		"wiki.example.com:", "wiki.example.com:0", "wiki.example.com:65536", "wiki.example.com:+80", "wiki.example.com:http", ":8080",
		"wiki..example.com", ".example.com", "example.com.", "-a.example", "a-.example", "a_b.example", "bücher.example", "a b.example",
		"256.1.1.1", "1.2.3", "127.1", "com", "co.uk", "com:443", "fe80::1%eth0", "[::1", "::1]:80", "a:b:c", "wiki.example.com?", "wiki.example.com#x", `wiki\example`,
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130) + "example", "example.com\x00", "exam\nple.com",
	} {
		if got, err := parseDomain(text); core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != "domains" {
			t.Errorf("%q was read as %q, %v", text, got, err)
		}
	}
}

func TestURLs(t *testing.T) {
	domains, err := checkDomains([]string{"wiki.example.com", "127.0.0.1:8080", "[::1]:8443", "tls.example.com:443", "WIKI.example.com"})
	if err != nil || len(domains) != 4 {
		t.Fatal(domains, err)
	}
	for _, text := range []string{
		"https://wiki.example.com", "http://wiki.example.com:8080/login?next=/x#top", "https://WIKI.example.com/", "http://127.0.0.1:8080/doku.php",
		"https://[::1]:8443/", "https://tls.example.com/", "https://[0:0::1]:8443/",
	} {
		if err := checkURL("sign_in_url", text, domains); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "wiki.example.com", "/login", "ftp://wiki.example.com", "javascript:alert(1)", "https://", "https:///x", "https://evil.example.com/",
		"https://wiki.example.com.evil.example/", "https://x.wiki.example.com/", "http://127.0.0.1/", "http://127.0.0.1:8081/", "http://tls.example.com/",
		"https://ana:secret@wiki.example.com/", "https://wiki.example.com@evil.example/", "https://evil.example/https://wiki.example.com",
		" https://wiki.example.com", "https://wiki.example.com/\n", "https://wiki.example.com/\x00", "https://wiki.example.com:99999999/",
		"https://wiki.example.com/" + strings.Repeat("a", MaxURL), `https://wiki.example.com\@evil.example/`, "https://evil.example\\.wiki.example.com/",
	} {
		if err := checkURL("sign_in_url", text, domains); core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != "sign_in_url" {
			t.Errorf("%q was taken: %v", text, err)
		}
	}
}

func FuzzParseDomain(f *testing.F) {
	for _, text := range []string{"wiki.example.com", "[::1]:80", "1.2.3.4:5", "*.a", "::ffff:1.2.3.4", "[a]:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseDomain(text)
		if err != nil {
			return
		}
		again, err := parseDomain(parsed.String())
		if err != nil || again != parsed {
			t.Fatalf("%q is %q, and that is %q, %v", text, parsed, again, err)
		}
		// What was accepted is one plain host: a browser can read no other host out of it.
		host := parsed.String()
		if strings.Contains(parsed.host, ":") && parsed.port == "" {
			host = "[" + host + "]"
		}
		address, err := url.Parse("https://" + host + "/")
		if err != nil || address.Hostname() != parsed.host || address.Port() != parsed.port || address.User != nil {
			t.Fatalf("%q gives the address %v, %v", text, address, err)
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	domains, err := checkDomains([]string{"wiki.example.com", "127.0.0.1:8080"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("https://wiki.example.com/login")
	f.Add("http://127.0.0.1:8080@evil/")
	f.Fuzz(func(t *testing.T, text string) {
		if checkURL("sign_in_url", text, domains) != nil {
			return
		}
		address, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if host := strings.ToLower(address.Host); host != "127.0.0.1:8080" && strings.TrimRight(strings.TrimPrefix(host, "wiki.example.com"), ":0123456789") != "" {
			t.Fatalf("%q leads to %q", text, host)
		}
	})
}

func TestSettings(t *testing.T) {
	deep := func(levels int) string { return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels) }
	for _, text := range []string{"", "{}", `{"a":[{"b":"\u0001"}],"c":null}`, deep(MaxDepth)} {
		if _, err := checkSettings([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"[]", "null", "1", `{"a":1}{}`, "{", deep(MaxDepth + 1), deep(9000), `{"a":` + strings.Repeat("[", 20_000), `{"a":"\u0000"}`, `{"a":["\u0000"]}`, `{"\u0000":1}`} {
		if _, err := checkSettings([]byte(text)); core.KindOf(err) != core.KindInvalid || core.AsError(err).Field != "settings" {
			t.Errorf("%.40s was taken: %v", text, err)
		}
	}
}
