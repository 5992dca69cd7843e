package oidc

import (
	"net/url"
	"strings"
	"testing"
)

func TestReturnTo(t *testing.T) {
	for _, same := range []string{"/", "/accounts", "/accounts/1?x=y#z", "/a//b", "/a%20b", "/?next=https://evil.example", "/@x", "/a:b"} {
		if got := ReturnTo(same); got != same {
			t.Errorf("ReturnTo(%q) = %q", same, got)
		}
	}
	for _, other := range []string{
		"", "x", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example",
		"/\r\nSet-Cookie: a=b", " /", "/ /x", "https://evil.example", "javascript:alert(1)", "/.//evil.example", "/..//evil.example",
		"/a/..//evil.example", "/%2e%2e//evil.example", "/%zz", "/é", "/sso", "/sso/x/start", "/\x00", "/" + strings.Repeat("a", longestReturn),
		"/%2f%2fevil.example/..", "/%2fevil.example",
	} {
		if got := ReturnTo(other); got != "/" {
			t.Errorf("ReturnTo(%q) = %q", other, got)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "//evil.example", "/\\evil.example", "/\t/e", "/a?b#c", "/..//e", "/%5cevil", "/;//e", "http:/x", "/%09/e"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://postern.example/sso/x/callback")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wanted string) {
		got := ReturnTo(wanted)
		if got != "/" && got != wanted {
			t.Fatalf("%q became %q", wanted, got)
		}
		// As Go reads it.
		resolved, err := base.Parse(got)
		if err != nil || resolved.Scheme != "https" || resolved.Host != "postern.example" || resolved.User != nil {
			t.Fatalf("%q leads to %v (%v)", got, resolved, err)
		}
		// As browsers read it (WHATWG URL): outer blanks go, tabs and newlines go, \ is /.
		read := strings.Trim(got, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
		read = strings.ReplaceAll(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(read), `\`, "/")
		if !strings.HasPrefix(read, "/") || strings.HasPrefix(read, "//") {
			t.Fatalf("a browser reads %q as %q", got, read)
		}
	})
}
