package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/gateway/problem"
)

// serve answers one request on an engine whose /x fails with err, and returns the answer and the log.
func serve(t *testing.T, request *http.Request, handler gin.HandlerFunc) (*http.Response, problem.Problem, string) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	var log bytes.Buffer
	engine := gin.New()
	problem.Install(engine, problem.Options{
		Log: slog.New(slog.NewJSONHandler(&log, nil)), MaxBody: 32, OwnLimits: []string{"/own/"}, Timeout: 20 * time.Millisecond, HTTPS: true, Quiet: []string{"/quiet"},
	})
	engine.Any("/x", handler)
	engine.Any("/own/x", handler)
	engine.GET("/quiet", handler)
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, request)
	answer := recorder.Result()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got problem.Problem
	if strings.HasPrefix(answer.Header.Get("Content-Type"), problem.ContentType) {
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	}
	return answer, got, log.String()
}

func fails(err error) gin.HandlerFunc { return func(c *gin.Context) { problem.Write(c, err) } }

func TestEachKindHasItsStatus(t *testing.T) {
	cause := errors.New("dial tcp 10.1.2.3: refused")
	for _, test := range []struct {
		err     error
		status  int
		code    string
		headers map[string]string
	}{
		{core.Invalid("username", "a username is needed"), 400, "invalid", nil},
		{core.Unauthenticated("the token is not known"), 401, "unauthenticated", map[string]string{"WWW-Authenticate": `Bearer realm="postern"`}},
		{core.Denied("only an owner may"), 403, "denied", nil},
		{core.NotFound("account"), 404, "not_found", nil},
		{core.Conflict("username", "this already exists").WithCode("account_username"), 409, "account_username", nil},
		{&core.Error{Kind: core.KindStale, Message: "someone was quicker"}, 412, "stale", nil},
		{core.TooLarge("too large"), 413, "too_large", nil},
		{&core.Error{Kind: core.KindRateLimited, Message: "slower", RetryAfter: 1500 * time.Millisecond}, 429, "rate_limited", map[string]string{"Retry-After": "2"}},
		{core.Unavailable(5*time.Second, "the database is down").Because(cause), 503, "unavailable", map[string]string{"Retry-After": "5"}},
		{core.Unavailable(0, "the database is down"), 503, "unavailable", map[string]string{"Retry-After": "1"}},
		{cause, 500, "internal", nil},
		{fmt.Errorf("while sharing: %w", core.Denied("no")), 403, "denied", nil},
		{context.DeadlineExceeded, 503, "unavailable", map[string]string{"Retry-After": "5"}},
	} {
		answer, got, log := serve(t, httptest.NewRequest("POST", "/x", nil), fails(test.err))
		if answer.StatusCode != test.status || got.Status != test.status || got.Code != test.code || got.Type != "about:blank" {
			t.Errorf("%v: got %d %+v", test.err, answer.StatusCode, got)
		}
		for name, want := range test.headers {
			if answer.Header.Get(name) != want {
				t.Errorf("%v: %s is %q, want %q", test.err, name, answer.Header.Get(name), want)
			}
		}
		if strings.Contains(got.Detail, "10.1.2.3") {
			t.Errorf("the cause left the house: %q", got.Detail)
		}
		if test.status == 500 && (got.Detail != "something went wrong on our side" || !strings.Contains(log, "10.1.2.3") || !strings.Contains(log, `"level":"ERROR"`)) {
			t.Errorf("internal: %q, log %s", got.Detail, log)
		}
		if got.RequestID == "" || got.RequestID != answer.Header.Get("X-Request-Id") || !strings.Contains(log, got.RequestID) {
			t.Errorf("request id %q is not in header %q and log", got.RequestID, answer.Header.Get("X-Request-Id"))
		}
	}
}

func TestFieldBecomesPointerOrParameter(t *testing.T) {
	err := core.Invalid("domains[0].na/me", "wrong")
	_, got, _ := serve(t, httptest.NewRequest("POST", "/x", strings.NewReader("{}")), fails(err))
	if diff := cmp.Diff([]problem.Fault{{Detail: "wrong", Pointer: "#/domains/0/na~1me"}}, got.Errors); diff != "" {
		t.Error(diff)
	}
	_, got, _ = serve(t, httptest.NewRequest("GET", "/x", nil), fails(core.Invalid("limit", "wrong")))
	if diff := cmp.Diff([]problem.Fault{{Detail: "wrong", Parameter: "limit"}}, got.Errors); diff != "" {
		t.Error(diff)
	}
}

func TestRequestIDFromOutsideOnlyWhenWellFormed(t *testing.T) {
	for id, kept := range map[string]bool{
		"trace-0123456789": true, "short": false, "has space here": false, "line\nbreak-in-it": false, strings.Repeat("a", 65): false, "<script>alert": false,
	} {
		request := httptest.NewRequest("GET", "/x", nil)
		request.Header["X-Request-Id"] = []string{id}
		answer, _, _ := serve(t, request, fails(core.NotFound("x")))
		if (answer.Header.Get("X-Request-Id") == id) != kept {
			t.Errorf("%q: answered %q", id, answer.Header.Get("X-Request-Id"))
		}
	}
}

func TestLogHoldsNoSecret(t *testing.T) {
	request := httptest.NewRequest("GET", "/x?code=canary-code&token=canary-token", nil)
	request.Header.Set("Authorization", "Bearer canary-bearer")
	request.Header.Set("Cookie", "__Host-postern=canary-cookie")
	_, _, log := serve(t, request, func(c *gin.Context) {
		problem.Add(c, slog.String("workspace", "w1"))
		problem.Add(c, slog.String("actor", "a1"))
		c.Status(204)
	})
	if strings.Contains(log, "canary") || strings.Count(log, "\n") != 1 {
		t.Errorf("log: %s", log)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(log), &line); err != nil {
		t.Fatal(err)
	}
	if line["route"] != "/x" || line["status"] != 204.0 || line["workspace"] != "w1" || line["actor"] != "a1" || line["msg"] != "request" {
		t.Errorf("line: %v", line)
	}
}

func TestQuietRoutesAreLoggedOnlyWhenTheyFail(t *testing.T) {
	_, _, log := serve(t, httptest.NewRequest("GET", "/quiet", nil), func(c *gin.Context) { c.Status(200) })
	if log != "" {
		t.Errorf("log: %s", log)
	}
	_, _, log = serve(t, httptest.NewRequest("GET", "/quiet", nil), fails(core.Unavailable(time.Second, "down")))
	if !strings.Contains(log, `"level":"WARN"`) {
		t.Errorf("log: %s", log)
	}
}

func TestPanicIsInternal(t *testing.T) {
	answer, got, log := serve(t, httptest.NewRequest("GET", "/x", nil), func(*gin.Context) { panic("boom") })
	if answer.StatusCode != 500 || got.Detail != "something went wrong on our side" || !strings.Contains(log, "boom") || strings.Count(log, `"msg":"request"`) != 1 {
		t.Errorf("got %d %+v, log %s", answer.StatusCode, got, log)
	}
}

func TestBodyLimit(t *testing.T) {
	reads := func(c *gin.Context) {
		if _, err := io.ReadAll(c.Request.Body); err != nil {
			problem.Write(c, err)
			return
		}
		c.Status(200)
	}
	for _, test := range []struct {
		name   string
		body   io.Reader
		path   string
		status int
	}{
		{"at the limit", strings.NewReader(strings.Repeat("a", 32)), "/x", 200},
		{"above", strings.NewReader(strings.Repeat("a", 33)), "/x", 413},
		{"above, length not told", io.MultiReader(strings.NewReader(strings.Repeat("a", 33))), "/x", 413},
		{"above, where the handler has a limit", strings.NewReader(strings.Repeat("a", 33)), "/own/x", 200},
		{"above, length not told, where the handler has a limit", io.MultiReader(strings.NewReader(strings.Repeat("a", 33))), "/own/x", 200},
	} {
		answer, _, _ := serve(t, httptest.NewRequest("POST", test.path, test.body), reads)
		if answer.StatusCode != test.status {
			t.Errorf("%s: %d", test.name, answer.StatusCode)
		}
	}
}

func TestDeadlineEndsTheContext(t *testing.T) {
	answer, got, _ := serve(t, httptest.NewRequest("GET", "/x", nil), func(c *gin.Context) {
		<-c.Request.Context().Done()
		problem.Write(c, c.Request.Context().Err())
	})
	if answer.StatusCode != 503 || got.Code != "unavailable" {
		t.Errorf("got %d %+v", answer.StatusCode, got)
	}
}

func TestUnknownPageAndMethod(t *testing.T) {
	answer, got, _ := serve(t, httptest.NewRequest("GET", "/nowhere", nil), nil)
	if answer.StatusCode != 404 || got.Code != "not_found" {
		t.Errorf("got %d %+v", answer.StatusCode, got)
	}
	answer, got, _ = serve(t, httptest.NewRequest("POST", "/quiet", nil), fails(nil))
	if answer.StatusCode != 405 || got.Code != "method_not_allowed" || answer.Header.Get("Allow") != "GET" {
		t.Errorf("got %d %+v, Allow %q", answer.StatusCode, got, answer.Header.Get("Allow"))
	}
}

func TestSecurityHeaders(t *testing.T) {
	answer, _, _ := serve(t, httptest.NewRequest("GET", "/x", nil), func(c *gin.Context) { c.Status(200) })
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security", "X-Frame-Options"} {
		if answer.Header.Get(name) == "" {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTheAddressOfALinkIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	engine := gin.New()
	problem.Install(engine, problem.Options{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	engine.GET("/l/:token", fails(core.NotFound("link")))
	for _, path := range []string{"/l/pst_link_canary", "/l/pst_link_canary/more", "/l/pst_link_canary/code"} {
		engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if text := log.String(); strings.Contains(text, "canary") || !strings.Contains(text, `"path":"/l/…"`) {
		t.Error(text)
	}
}
