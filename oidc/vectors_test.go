package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/core/directory"
)

// vector is one answer of an identity provider, and what is made of it.
type vector struct {
	Name     string            `json:"name"`
	Callback map[string]string `json:"callback"`
	Header   map[string]any    `json:"header"`
	Claims   json.RawMessage   `json:"claims"`
	Signing  string            `json:"signing"`
	Expect   struct {
		Status int    `json:"status"`
		Code   string `json:"code"` // of the event; empty: none, or signed in
	} `json:"expect"`
}

var moment = regexp.MustCompile(`"\{\{now([+-]\d+)?\}\}"`)

func TestCallbackVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/callback.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	h, f := fallen(t, directory.SignIn{})
	h.provision(h.other, directory.User{UserName: "x", ExternalID: "17", Email: "ana@acme.example"})
	h.provision(h.acme, directory.User{UserName: "carl", ExternalID: "18"})
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			b := newBrowser(t)
			asked := h.started(b, h.acme)
			fill := strings.NewReplacer("{{issuer}}", f.URL, "{{client}}", h.acme.ClientID, "{{CLIENT}}", strings.ToUpper(h.acme.ClientID),
				"{{nonce}}", asked.Get("nonce"), "{{state}}", asked.Get("state"))
			claims := moment.ReplaceAllStringFunc(fill.Replace(string(vector.Claims)), func(found string) string {
				ahead, _ := strconv.Atoi(moment.FindStringSubmatch(found)[1])
				return strconv.FormatInt(time.Now().Unix()+int64(ahead), 10)
			})
			f.answers(f.sign(vector.Signing, vector.Header, []byte(claims)))
			query := url.Values{}
			for name, value := range vector.Callback {
				query.Set(name, fill.Replace(value))
			}
			before := len(h.failures(h.acme.Workspace))
			got := b.get(h.back(h.acme, query))
			if got.status != vector.Expect.Status || (h.signedInAs(b) == "ana") != (vector.Expect.Status == http.StatusSeeOther) {
				t.Errorf("%d, signed in as %q; want %d\n%s", got.status, h.signedInAs(b), vector.Expect.Status, got.body)
			}
			if recorded := strings.Join(h.failures(h.acme.Workspace)[before:], " "); recorded != vector.Expect.Code {
				t.Errorf("recorded %q, want %q", recorded, vector.Expect.Code)
			}
		})
	}
}
