package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/core"
)

const (
	// enormous is the body each route is sent.
	enormous = 64 << 20
	// unread is what net/http itself takes of a body nobody wants, and what its buffers hold.
	unread = 1 << 20
)

// doors are the addresses of all routes that a body can be sent to, as "METHOD path". What the SCIM
// endpoint routes itself is listed here.
func (a *target) doors(t *testing.T) []string {
	t.Helper()
	id := core.NewID().String()
	var all []string
	for _, route := range a.routes {
		if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, route.Method) {
			continue
		}
		parts := strings.Split(route.Path, "/")
		for i, part := range parts {
			switch {
			case part == ":connection":
				parts[i] = a.connection
			case strings.HasPrefix(part, ":"):
				parts[i] = id
			}
		}
		if path := strings.Join(parts, "/"); !strings.HasPrefix(path, "/scim/v2") {
			all = append(all, route.Method+" "+path)
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %v", all)
	}
	for _, one := range []string{
		"POST /Users", "PUT /Users/" + id, "PATCH /Users/" + id, "POST /Groups", "PUT /Groups/" + id, "PATCH /Groups/" + id,
		"POST /Bulk", "POST /.search", "POST /Users/.search", "POST /Groups/.search",
	} {
		method, path, _ := strings.Cut(one, " ")
		all = append(all, method+" /scim/v2"+path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// send sends an enormous body until it is answered, and gives the answer and what the server took.
func (a *target) send(t *testing.T, method, path, credential string, told bool) (*http.Response, string, int64) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if deadline, ok := t.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	server := <-a.accepted
	media, filler := "application/json", " "
	if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/scim/v2") && !strings.HasPrefix(path, "/webhooks/") {
		media, filler = "application/x-www-form-urlencoded", "a"
	}
	length := "Transfer-Encoding: chunked"
	if told {
		length = fmt.Sprintf("Content-Length: %d", enormous)
	}
	lines := []string{
		method + " " + path + " HTTP/1.1", "Host: postern.example.com", "Origin: " + public, "Sec-Fetch-Site: same-origin", "Content-Type: " + media, length,
	}
	if credential != "" {
		lines = append(lines, credential)
	}
	head := strings.Join(lines, "\r\n") + "\r\n\r\n"
	go func() {
		// It breaks off when the server has had enough.
		if _, err := io.WriteString(conn, head); err != nil {
			return
		}
		block := bytes.Repeat([]byte(filler), 1<<20)
		for range enormous / len(block) {
			if !told {
				if _, err := fmt.Fprintf(conn, "%x\r\n", len(block)); err != nil {
					return
				}
			}
			if _, err := conn.Write(block); err != nil {
				return
			}
			if !told {
				if _, err := io.WriteString(conn, "\r\n"); err != nil {
					return
				}
			}
		}
		if !told {
			_, _ = io.WriteString(conn, "0\r\n\r\n")
		}
	}()
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text), server.read.Load()
}

// bodiless are the routes that have nothing to read: what is sent along is passed over.
var bodiless = []string{
	"/fill", "/reveal", "/rotate", "/approve", "/reject", "/deprovision", "/reactivate",
	"/logout", "/dead-letters/retry", "/rotations", "/verification", "/approval", "/rejection", "/lift", "/sso/sign-out",
	"/refresh", "/end", "/end-others", "/signing-keys", "/resend", "/test", "/start", "/accept", "/decline",
	"/check", "/resync", "/reset", "/manage", "/commit", "/drop", "/report", "/dry-run", "/remove", "/address", "/show", "/enrol", "/enrolment", "/resume", "/diagnosis", "/disable", "/enable", "/logins", "/replays/cancel",
}

// unmade are doors of streams and hooks that there are none of, to which everybody is a stranger, and pages of what
// is not there, which read nothing.
var unmade = regexp.MustCompile(`^/webhooks/sms/|^/webhooks/[^/]+/(ssf|standard|signed|okta|graph)|^/(policies|services)/[^/]+-|^/accounts/[^/]+/(backup-)?code$`)

// TestEnormousBodies sends 64 MiB to every route that can be sent a body, with its length told and
// without, by somebody who may and by a stranger. Whoever reads bodies says 413 in its protocol's words,
// and nobody takes more from the wire than a body may have.
func TestEnormousBodies(t *testing.T) {
	a := aim(t)
	for _, door := range a.doors(t) {
		method, path, _ := strings.Cut(door, " ")
		reads := strings.HasPrefix(path, "/destinations/") || !slices.ContainsFunc(bodiless, func(end string) bool { return strings.HasSuffix(path, end) })
		for _, known := range []bool{true, false} {
			for _, told := range []bool{true, false} {
				credential := ""
				if known {
					credential = a.credentialOf(t, path)
				}
				answer, text, taken := a.send(t, method, path, credential, told)
				seen := fmt.Sprintf("%s, by somebody known %v, length told %v: %d after %d bytes as %q: %.200s", door, known, told, answer.StatusCode, taken, answer.Header.Get("Content-Type"), text)
				// A security event token that is not taken is answered 400, whatever was wrong (RFC 8935 §2.4).
				stranger := !reads || answer.StatusCode == http.StatusUnauthorized || strings.Contains(text, `"err":"authentication_failed"`)
				large := answer.StatusCode == http.StatusRequestEntityTooLarge
				switch {
				case known && reads && !large && !unmade.MatchString(path):
					t.Errorf("not refused as too large: %s", seen)
				case !known && !large && !stranger:
					t.Errorf("a stranger is not refused: %s", seen)
				case answer.StatusCode >= http.StatusInternalServerError:
					t.Errorf("a fault of ours: %s", seen)
				case large && !strings.Contains(text, tooLarge(path)) && !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html"):
					t.Errorf("in other words: %s", seen)
				}
				may := int64(unread)
				if known && reads && !told {
					may += longest(path)
				}
				if taken > may {
					t.Errorf("more was taken than %d bytes: %s", may, seen)
				}
			}
		}
	}
}

// tooLarge is how the protocol of a path begins to say so.
func tooLarge(path string) string {
	switch {
	case strings.HasSuffix(path, "/backchannel-logout"):
		return "may have" // by the gateway if the length is told, by the door else
	case path == "/scim/oauth/token", strings.HasPrefix(path, "/webhooks/"), strings.HasPrefix(path, "/ssf/"):
		return `"error":"invalid_request"`
	case strings.HasPrefix(path, "/scim/v2"):
		return "urn:ietf:params:scim:api:messages:2.0:Error"
	}
	return `"code":"too_large"`
}

// longest is the most a body may have.
func longest(path string) int64 {
	if path == "/scim/v2/Groups" || strings.HasPrefix(path, "/scim/v2/Groups/") && !strings.HasSuffix(path, ".search") {
		return 32 << 20
	}
	if path == "/api/v1/imports" || path == "/imports" { // files
		return 32<<20 + 64<<10
	}
	return 1 << 20
}
