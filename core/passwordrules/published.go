package passwordrules

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
)

// What Apple publishes of sites whose own pages do not say it (its Password Manager Resources): by domain, in the language of this
// package. published_license.txt is its licence.
//
//go:embed published.json
var published []byte

var publishedOnce = sync.OnceValues(func() (map[string]string, error) {
	var rules map[string]string
	err := json.Unmarshal(published, &rules)
	return rules, err
})

// Published are the rules that are published for a site, by the name of its host or of a domain it is in; zero if none are, or if they
// cannot be read.
func Published(host string) Rules {
	known, _ := publishedOnce() // it is as it was built
	for domain := strings.TrimSuffix(strings.ToLower(host), "."); strings.Contains(domain, "."); _, domain, _ = strings.Cut(domain, ".") {
		if text, found := known[domain]; found {
			rules, _ := Parse(text)
			return rules
		}
	}
	return Rules{}
}
