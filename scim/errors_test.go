package scim

import (
	"errors"
	"testing"
	"time"

	"postern/core"
)

func TestErrorOf(t *testing.T) {
	for name, test := range map[string]struct {
		err              error
		status           int
		scimType, detail string
		header, value    string
	}{
		"invalid":        {core.Invalid("title", "a string is expected"), 400, "invalidValue", "title: a string is expected", "", ""},
		"its own code":   {core.Invalid("", "no").WithCode("mutability"), 400, "mutability", "no", "", ""},
		"a code of ours": {core.Invalid("", "no").WithCode("user_name"), 400, "invalidValue", "no", "", ""},
		"no token":       {core.Unauthenticated("x").WithCode("missing_token"), 401, "", "x", "WWW-Authenticate", `Bearer realm="Postern SCIM"`},
		"wrong token":    {core.Unauthenticated("x"), 401, "", "x", "WWW-Authenticate", `Bearer realm="Postern SCIM", error="invalid_token"`},
		"denied":         {core.Denied("last owner"), 403, "", "last owner", "", ""},
		"not found":      {core.NotFound("user"), 404, "", "there is no such user", "", ""},
		"conflict":       {core.Conflict("userName", "taken").WithCode("user_name"), 409, "uniqueness", "userName: taken", "", ""},
		"stale":          {&core.Error{Kind: core.KindStale, Message: "old"}, 412, "", "old", "", ""},
		"too large":      {core.TooLarge("1 MiB"), 413, "", "1 MiB", "", ""},
		"rate limited":   {&core.Error{Kind: core.KindRateLimited, Message: "slow", RetryAfter: 1500 * time.Millisecond}, 429, "", "slow", "Retry-After", "2"},
		"unavailable":    {core.Unavailable(0, "down"), 503, "", "down", "Retry-After", "1"},
		"internal":       {core.Internal(errors.New("secret")), 500, "", "something went wrong on our side", "", ""},
		"nobody's":       {errors.New("secret"), 500, "", "something went wrong on our side", "", ""},
		"method":         {notAllowed{"GET, HEAD"}, 405, "", "the address takes GET, HEAD", "Allow", "GET, HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			got, header := errorOf(test.err)
			if got.Status != test.status || string(got.ScimType) != test.scimType || got.Detail != test.detail || header[test.header] != test.value {
				t.Fatalf("got %+v %v", got, header)
			}
		})
	}
}

func TestFind(t *testing.T) {
	routes := (&Service{}).routes()
	for path, want := range map[string][2]string{
		"/Users": {"/Users", ""}, "/Users/": {"/Users", ""}, "/Users/1": {"/Users/{id}", "1"}, "/Users/1/": {"/Users/{id}", "1"}, "/Me": {"/Me", ""},
		"/users": {}, "/Users/1/2": {}, "//": {}, "/Users//": {}, "/Me/1": {}, "/Users/.search": {"/Users/.search", ""},
	} {
		address, id, found := find(routes, path)
		if address != want[0] || id != want[1] || found != (want[0] != "") {
			t.Errorf("%q: %q %q %t", path, address, id, found)
		}
	}
}
