package scim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/conformance/posterntest"
	"postern/conformance/scim"
	"postern/core/directory"
)

// mutant corrupts one thing on the way to Postern or back. The check named has to notice, unless what it does is fine.
type mutant struct {
	name, caught string
	request      func(r *http.Request)
	answer       func(a *http.Response, body map[string]any) // body is nil when there is none
	leak         func(r *http.Request) bool                  // what the first tenant asks is answered by the other
	governed     bool                                        // the connection may grant entitlements
	fine         bool
}

var mutants = []mutant{
	{name: "drops Location", caught: "rfc/create/location", answer: func(a *http.Response, _ map[string]any) { a.Header.Del("Location") }},
	{name: "relative meta.location", caught: "rfc/create/location", answer: func(_ *http.Response, body map[string]any) {
		if meta, ok := body["meta"].(map[string]any); ok && meta["location"] != nil {
			location := meta["location"].(string)
			meta["location"] = location[strings.LastIndex(location, "/scim/v2/")+9:]
		}
	}},
	{name: "200 for 201", caught: "rfc/create/status", answer: status(201, 200)},
	{name: "200 for 409", caught: "rfc/create/duplicate", answer: status(409, 200)},
	{name: "500 for 404", caught: "rfc/read/unknown", answer: status(404, 500)},
	{name: "200 for 204", caught: "rfc/delete/status", answer: status(204, 200)},
	{name: "404 for an empty list", caught: "rfc/list/no-match", answer: func(a *http.Response, body map[string]any) {
		if body["totalResults"] == 0.0 {
			a.StatusCode = 404
		}
	}},
	{name: "totalResults as text", caught: "rfc/list/shape", answer: func(_ *http.Response, body map[string]any) {
		if total, ok := body["totalResults"].(float64); ok {
			body["totalResults"] = strconv.Itoa(int(total))
		}
	}},
	{name: "drops itemsPerPage", caught: "okta/spec/random-email", answer: func(_ *http.Response, body map[string]any) {
		if _, ok := body["itemsPerPage"]; ok {
			body["itemsPerPage"] = nil
		}
	}},
	{name: "ignores excludedAttributes", caught: "rfc/attributes/excluded", request: without("excludedAttributes")},
	{name: "ignores attributes", caught: "rfc/attributes/asked", request: without("attributes")},
	{name: "ignores filter", caught: "rfc/filter/eq-other", request: without("filter")},
	{name: "ignores count", caught: "rfc/page/count-zero", request: without("count")},
	{name: "loses a member", caught: "rfc/create/group", answer: func(_ *http.Response, body map[string]any) {
		if members, ok := body["members"].([]any); ok && len(members) > 1 {
			body["members"] = members[1:]
		}
	}},
	{name: "echoes a password", caught: "rfc/create/password", answer: func(a *http.Response, body map[string]any) {
		if sent, ok := a.Request.Context().Value(sentKey{}).(string); ok && strings.Contains(sent, `"password":"`) && body != nil {
			_, rest, _ := strings.Cut(sent, `"password":"`)
			body["password"], _, _ = strings.Cut(rest, `"`)
		}
	}},
	{name: "another media type", caught: "rfc/create/status", answer: func(a *http.Response, _ map[string]any) { a.Header.Set("Content-Type", "application/json") }},
	{name: "status of an error as a number", caught: "rfc/read/unknown", answer: func(a *http.Response, body map[string]any) {
		if _, ok := body["status"].(string); ok && a.StatusCode >= 400 {
			body["status"] = a.StatusCode
		}
	}},
	{name: "drops scimType", caught: "rfc/create/duplicate", answer: func(_ *http.Response, body map[string]any) { delete(body, "scimType") }},
	{name: "drops WWW-Authenticate", caught: "rfc/error/authorization", answer: func(a *http.Response, _ map[string]any) { a.Header.Del("WWW-Authenticate") }},
	{name: "drops ETag", caught: "rfc/version/header", answer: func(a *http.Response, _ map[string]any) { a.Header.Del("ETag") }},
	{name: "ignores If-Match", caught: "rfc/version/stale", request: func(r *http.Request) { r.Header.Del("If-Match") }},
	{name: "ignores If-None-Match", caught: "rfc/version/not-modified", request: func(r *http.Request) { r.Header.Del("If-None-Match") }},
	{name: "keeps what was deleted", caught: "rfc/delete/gone", request: func(r *http.Request) {
		if r.Method == http.MethodDelete {
			r.Method = http.MethodGet
		}
	}},
	{name: "gives lastModified as a number", caught: "rfc/create/meta", answer: func(_ *http.Response, body map[string]any) {
		if meta, ok := body["meta"].(map[string]any); ok {
			meta["lastModified"] = 1795240644
		}
	}},
	{name: "ignores sortOrder", caught: "rfc/sort/descending", request: without("sortOrder")},
	{name: "creates twins", caught: "okta/user/create-again", answer: func(a *http.Response, body map[string]any) {
		if a.StatusCode == http.StatusConflict {
			a.StatusCode = http.StatusCreated
			body["id"] = "twin"
		}
	}},
}

type sentKey struct{}

func status(from, to int) func(*http.Response, map[string]any) {
	return func(a *http.Response, _ map[string]any) {
		if a.StatusCode == from {
			a.StatusCode = to
		}
	}
}

func without(parameter string) func(*http.Request) {
	return func(r *http.Request) {
		query := r.URL.Query()
		query.Del(parameter)
		r.URL.RawQuery = query.Encode()
	}
}

// proxy stands before a server and corrupts what passes.
func (m mutant) proxy(t *testing.T, options scim.Options) string {
	t.Helper()
	to, err := url.Parse(options.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			if m.request != nil {
				m.request(r.Out)
			}
			if m.leak != nil && r.Out.Header.Get("Authorization") == "Bearer "+options.Token && m.leak(r.Out) {
				r.Out.Header.Set("Authorization", "Bearer "+options.OtherToken)
			}
		},
		ModifyResponse: func(a *http.Response) error {
			if m.answer == nil {
				return nil
			}
			text, err := io.ReadAll(a.Body)
			if err != nil {
				return err
			}
			var body map[string]any
			_ = json.Unmarshal(text, &body)
			m.answer(a, body)
			if body != nil {
				if text, err = json.Marshal(body); err != nil {
					return err
				}
			}
			a.Body, a.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
			if a.StatusCode != http.StatusNoContent && a.StatusCode != http.StatusNotModified && a.Request.Method != http.MethodHead {
				a.Header.Set("Content-Length", strconv.Itoa(len(text)))
			}
			return nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
		proxy.ServeHTTP(w, r.WithContext(withSent(r, string(sent))))
	}))
	t.Cleanup(server.Close)
	return server.URL + to.Path
}

// TestMutantsAreCaught corrupts Postern's answers one thing at a time: the check that is there for it
// passes without the corruption and fails with it.
func TestMutantsAreCaught(t *testing.T) {
	server := posterntest.Start(t)
	all := slices.Concat(mutants, listMutants, oktaMutants, tenancyMutants, accessMutants)
	of := map[bool]scim.Options{
		false: everything(t, server, server.Connect(t, directory.Generic, directory.Provisioning{})),
		true:  everything(t, server, server.Connect(t, directory.Okta, directory.Provisioning{Entitlements: true})),
	}
	for _, one := range append([]mutant{{name: "nothing"}, {name: "nothing, governed", governed: true}}, all...) {
		t.Run(one.name, func(t *testing.T) {
			options := of[one.governed]
			options.URL = one.proxy(t, options)
			options.TokenURL = strings.TrimSuffix(options.URL, "/v2") + "/oauth/token"
			options.Only, options.Concurrency = one.caught, 1 // the clock is moved on
			options.Patience, options.Sleep = 24*time.Hour, sleep(server)
			if one.caught == "" {
				for _, other := range all {
					if other.governed == one.governed {
						options.Only += other.caught + ","
					}
				}
				options.Only = strings.TrimSuffix(options.Only, ",")
			}
			caught := false
			for _, result := range run(t, options).Results {
				switch {
				case (one.caught == "" || one.fine) && result.Failure != nil:
					t.Errorf("%s fails without a fault: expected %s, came %s", result.Name, result.Failure.Expected, result.Failure.Got)
				case result.Name == one.caught && result.Outcome == scim.Skipped:
					t.Errorf("%s was not run: %s", result.Name, result.Reason)
				case result.Name == one.caught && result.Failure != nil:
					caught = true
					t.Logf("expected %s, came %s", result.Failure.Expected, result.Failure.Got)
				}
			}
			if one.caught != "" && !one.fine && !caught {
				t.Errorf("%s did not notice", one.caught)
			}
		})
	}
}

func withSent(r *http.Request, sent string) context.Context {
	return context.WithValue(r.Context(), sentKey{}, sent)
}
