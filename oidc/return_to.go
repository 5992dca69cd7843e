package oidc

import (
	"net/url"
	"strings"
)

// longestReturn is the longest address a sign-in returns to.
const longestReturn = 1000

// ReturnTo is where a browser may go after signing in: the given path of this site, or / in place of
// anything that a browser could read as another site's address.
func ReturnTo(wanted string) string {
	if !samesite(wanted) {
		return "/"
	}
	return wanted
}

// samesite accepts a path-absolute reference of printable ASCII and nothing else. Browsers read a
// backslash as a slash and drop tabs and newlines, so "/\t/host", "/\\host" and "//host" all mean
// another host; the pages of signing in themselves would only go round in a circle.
func samesite(path string) bool {
	if len(path) == 0 || len(path) > longestReturn || path[0] != '/' || strings.HasPrefix(path, "//") {
		return false
	}
	for i := range len(path) {
		if path[i] <= ' ' || path[i] >= 0x7f || path[i] == '\\' {
			return false
		}
	}
	parsed, err := url.Parse(path)
	if err != nil || parsed.IsAbs() || parsed.Host != "" || parsed.User != nil || !strings.HasPrefix(parsed.Path, "/") {
		return false
	}
	// "/./" and "/../" could leave a second slash in front once a browser has resolved them.
	for segment := range strings.SplitSeq(parsed.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.HasPrefix(parsed.Path, "//") && parsed.Path != "/sso" && !strings.HasPrefix(parsed.Path, "/sso/")
}
