package scim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"postern/conformance/posterntest"
	"postern/conformance/scim"
	"postern/core/directory"
)

// TestImmutableAttributesAreTried has Postern, which has no such attribute, say that nickName is immutable: what keeps
// to it passes, what does not is caught.
func TestImmutableAttributesAreTried(t *testing.T) {
	server := posterntest.Start(t)
	token := server.Connect(t, directory.Generic, directory.Provisioning{})
	for name, one := range map[string]struct {
		keeps    []string // methods by which the attribute cannot be changed
		scimType string
		caught   []string
	}{
		"keeps to it":      {[]string{http.MethodPut, http.MethodPatch}, "mutability", nil},
		"puts":             {[]string{http.MethodPatch}, "mutability", []string{"rfc/immutable/replace"}},
		"patches":          {[]string{http.MethodPut}, "mutability", []string{"rfc/immutable/patch"}},
		"another scimType": {[]string{http.MethodPut, http.MethodPatch}, "invalidValue", []string{"rfc/immutable/replace", "rfc/immutable/patch"}},
	} {
		t.Run(name, func(t *testing.T) {
			report := run(t, scim.Options{URL: immutableNickname(t, server.URL, one.scimType, one.keeps), Token: token, Only: "rfc/immutable/replace,rfc/immutable/patch"})
			var caught []string
			for _, result := range report.Results {
				if result.Outcome == scim.Skipped {
					t.Errorf("%s was not run: %s", result.Name, result.Reason)
				}
				if result.Failure != nil {
					caught = append(caught, result.Name)
				}
			}
			if strings.Join(caught, " ") != strings.Join(one.caught, " ") {
				t.Errorf("caught %v, want %v", caught, one.caught)
			}
		})
	}
}

// immutableNickname stands before a server, says that nickName is immutable, and refuses to change it by some methods.
func immutableNickname(t *testing.T, base, scimType string, keeps []string) string {
	t.Helper()
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var given sync.Map // nicknames, by the id of the user
	read := func(from io.Reader) (text string, body map[string]any) {
		all, _ := io.ReadAll(from)
		_ = json.Unmarshal(all, &body)
		return string(all), body
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host },
		ModifyResponse: func(a *http.Response) error {
			text, body := read(a.Body)
			if strings.HasSuffix(a.Request.URL.Path, "/Schemas") {
				before, after, _ := strings.Cut(text, `"name":"nickName"`)
				at := strings.LastIndex(before, `"mutability":"readWrite"`)
				text = before[:at] + strings.Replace(before[at:], "readWrite", "immutable", 1) + `"name":"nickName"` + after
				a.Header.Del("Content-Length")
				a.ContentLength = int64(len(text))
			}
			if name, ok := body["nickName"].(string); ok && a.Request.Method == http.MethodPost {
				given.Store(body["id"], name)
			}
			a.Body = io.NopCloser(strings.NewReader(text))
			return nil
		},
	}
	standing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, body := read(r.Body)
		name := body["nickName"]
		if operations, ok := body["Operations"].([]any); ok {
			name = operations[0].(map[string]any)["value"]
		}
		before, known := given.Load(path.Base(r.URL.Path))
		if known && name != before && strings.Contains(strings.Join(keeps, " "), r.Method) {
			w.Header().Set("Content-Type", "application/scim+json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"`+scimType+`"}`)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(text))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(standing.Close)
	return standing.URL + to.Path
}
