package line

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// canaries are secrets a run was made with, by what they are. None may show anywhere.
type canaries struct {
	mutex sync.Mutex
	known map[string]string // secret → what it is
}

// plant notes a secret. Something too short would be found by chance.
func (c *canaries) plant(what, secret string) {
	if len(secret) < 8 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.known == nil {
		c.known = map[string]string{}
	}
	if c.known[secret] == "" {
		c.known[secret] = what
	}
}

// lacks names the kinds of secrets of which none was planted.
func (c *canaries) lacks(kinds ...string) []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.DeleteFunc(kinds, func(kind string) bool {
		for _, what := range c.known {
			if strings.HasPrefix(what, kind) {
				return true
			}
		}
		return false
	})
}

// in names the secrets that a text holds in any form.
func (c *canaries) in(text []byte) []string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	found := map[string]bool{}
	for secret, what := range c.known {
		for form, shape := range forms(secret) {
			if bytes.Contains(text, []byte(shape)) {
				at := bytes.Index(text, []byte(shape))
				found[fmt.Sprintf("%s, %s, at byte %d", what, form, at)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// forms are the shapes a secret may show in.
func forms(secret string) map[string]string {
	all := map[string]string{
		"as it is": secret, "in hex": hex.EncodeToString([]byte(secret)), "in capital hex": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"in a URL's query": url.QueryEscape(secret), "in a URL's path": url.PathEscape(secret), "in HTML": html.EscapeString(secret),
		"quoted by Go": inner(strconv.Quote(secret)), "quoted by Go in ASCII": inner(strconv.QuoteToASCII(secret)),
	}
	all["in a URL's query, in small letters"] = lowerEscapes(all["in a URL's query"])
	for name, escapeHTML := range map[string]bool{"in JSON": false, "in JSON for HTML": true} {
		once := inner(inJSON(secret, escapeHTML))
		all[name], all[name+" in JSON"] = once, inner(inJSON(once, escapeHTML))
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 of URLs": base64.RawURLEncoding} {
		// Inside a longer text a secret's base64 has three shapes, by where it begins.
		for shift := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, shift), secret...))
			last := len(encoded)
			if (shift+len(secret))%3 != 0 {
				last-- // holds bits of what follows
			}
			all[fmt.Sprintf("in %s, %d", name, shift)] = encoded[[]int{0, 2, 3}[shift]:last]
		}
	}
	return all
}

func inJSON(text string, escapeHTML bool) string {
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(escapeHTML)
	_ = encoder.Encode(text)
	return strings.TrimSuffix(written.String(), "\n")
}

// inner takes the quotes off.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// lowerEscapes writes %2B as %2b.
func lowerEscapes(text string) string {
	written := []byte(text)
	for i := range written {
		if i >= 1 && written[i-1] == '%' || i >= 2 && written[i-2] == '%' {
			written[i] = bytes.ToLower(written[i : i+1])[0]
		}
	}
	return string(written)
}

// TestTheSearchFinds shows that a secret is found in every form it can leak in, and only then.
func TestTheSearchFinds(t *testing.T) {
	const secret = `Tide&"tackle"<é>100%+\ship`
	c := &canaries{}
	c.plant("the password", secret)
	document, err := json.Marshal(map[string]any{"detail": secret, "nested": inJSON(secret, true)})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"raw": "password=" + secret + "\n", "JSON": string(document), "a log line": fmt.Sprintf("error=%q", secret), "form": url.Values{"a": {"b"}, "password": {secret}}.Encode(),
		"path": "/x/" + url.PathEscape(secret), "page": "<b>" + html.EscapeString(secret) + "</b>", "hex": fmt.Sprintf(`\x%x`, secret), "bytes": fmt.Sprintf("%X", secret),
		"basic": base64.StdEncoding.EncodeToString([]byte("user:" + secret)), "token": base64.RawURLEncoding.EncodeToString([]byte(`{"p":"` + secret + `"}`)),
		"shifted": base64.StdEncoding.EncodeToString([]byte("12" + secret + "34")), "JSON in JSON": inJSON(inJSON(secret, false), false),
	} {
		if len(c.in([]byte(text))) == 0 {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	if found := c.in([]byte("nothing to see: " + secret[:len(secret)-1] + " " + strings.ToUpper(secret))); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}
