package http

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"postern/core/rotation"
)

// Definition is how an app's API is spoken to.
type Definition struct {
	Name string `yaml:"name"`
	// Values are what an app's settings say besides, by the name requests have them under, as {tenant}: what holds if they do
	// not. Empty: they have to. None is a secret.
	Values map[string]string `yaml:"values"`
	SignIn []Step            `yaml:"sign_in"` // one is signed in when the last has succeeded
	Change []Step            `yaml:"change"`  // the last one, and no other, carries the new password; none: only Reset sets one
	Token  Token             `yaml:"token"`
	Reset  []Step            `yaml:"reset"` // the same by an administrator, who is signed in; none: nobody can
	// What else an administrator does, who is signed in; none: nobody can.
	Disable     []Step `yaml:"disable"` // with Enable, or neither
	Enable      []Step `yaml:"enable"`
	EndSessions []Step `yaml:"end_sessions"`
	// Record is how an administrator reads whether the app has {account} disabled; nil: that cannot be read back.
	Record *Record `yaml:"record"`
	// Users is how an administrator, who is signed in, is told of all accounts; nil: not at all.
	Users *Listing `yaml:"users"`
	// Tokens is how tokens of an account are made and ended, by an administrator or the account itself; nil: not at all.
	Tokens *Tokens `yaml:"tokens"`
}

// Record is a request for what the app keeps of an account, and what its answer says of one that is disabled, by at and is.
type Record struct {
	Step     `yaml:",inline"`
	Disabled Rule `yaml:"disabled"`
}

// Token is about the one account of an app whose password is an API token, and which does what an administrator does.
type Token struct {
	Username string `yaml:"username"` // empty: there is none
	SignIn   []Step `yaml:"sign_in"`  // instead of the others'
}

// Step is a request, and what its answer means. Every text may have {username}, {password}, {new} and what earlier
// steps kept; in what an administrator does those are the administrator's, and {account} is to whom it is done.
type Step struct {
	Method   string            `yaml:"method"`
	Address  string            `yaml:"address"` // instead of the app's, which it goes to by its domains all the same
	Path     string            `yaml:"path"`    // below the app's address
	Query    map[string]string `yaml:"query"`
	Headers  map[string]string `yaml:"headers"`
	Form     map[string]string `yaml:"form"` // or JSON
	JSON     map[string]any    `yaml:"json"`
	Success  Rule              `yaml:"success"`
	Also     []Rule            `yaml:"also"`     // what is success too
	Failures []Failure         `yaml:"failures"` // the first that fits
	Keep     map[string]string `yaml:"keep"`     // where in the answer what later steps use is; *: it is the whole text
	// Expires is where the answer says for how many seconds what is kept is good: an administrator then signs in with it again.
	// Only the one step of Token.SignIn has it.
	Expires string `yaml:"expires"`
}

// Rule is a kind of answer: of one of the statuses and, where At is given, with one of the texts there, whole or in part.
type Rule struct {
	Status   []int    `yaml:"status"`
	At       string   `yaml:"at"`       // a path in the answer's JSON: error.code, errors.0.id
	Is       []string `yaml:"is"`       // without Contains too: anything but nothing
	Contains []string `yaml:"contains"` // parts of a text that has no code of its own
}

// Failure is what an answer that is no success means.
type Failure struct {
	Rule    `yaml:",inline"`
	Outcome rotation.Outcome `yaml:"outcome"`
	Detail  string           `yaml:"detail"` // a sentence for a person
}

//go:embed definitions/*.yaml
var shipped embed.FS

// outcomes are those a definition may give to an answer.
var outcomes = []rotation.Outcome{
	rotation.Rejected, rotation.Refused, rotation.Challenge, rotation.Locked, rotation.Disabled, rotation.MustChange, rotation.Unreachable,
}

// administratorOutcomes are those besides that a definition may give to an answer to an administrator.
var administratorOutcomes = append(slices.Clone(outcomes), rotation.AdminDenied)

// named reads a definition that comes with Postern, or a text that is one.
func named(name string) (Definition, error) {
	if strings.Contains(name, "\n") {
		return Parse([]byte(name))
	}
	text, err := shipped.ReadFile("definitions/" + name + ".yaml")
	if err != nil {
		files, _ := shipped.ReadDir("definitions")
		var known []string
		for _, file := range files {
			known = append(known, strings.TrimSuffix(file.Name(), ".yaml"))
		}
		return Definition{}, fmt.Errorf("no definition is named %q: there are %s; or bring a whole definition", name, strings.Join(known, ", "))
	}
	return Parse(text)
}

// Parse reads a definition. An error names the line, and what to do.
func Parse(text []byte) (Definition, error) {
	if err := plain(text); err != nil {
		return Definition{}, err
	}
	var definition Definition
	if err := yaml.UnmarshalWithOptions(text, &definition, yaml.Strict()); err != nil {
		return Definition{}, errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	var faults []error
	fault := func(path, format string, arguments ...any) {
		faults = append(faults, fmt.Errorf("line %d: %s: %s", line(text, path), path[2:], fmt.Sprintf(format, arguments...)))
	}
	if definition.Name == "" {
		fault("$.name", "write what the app is called")
	}
	if len(definition.SignIn) == 0 {
		fault("$.sign_in", "write at least one request")
	}
	if len(definition.Change) == 0 && len(definition.Reset) == 0 && definition.Tokens == nil {
		fault("$.change", "write at least one request, here, in reset or in tokens")
	}
	if (definition.Token.Username == "") != (len(definition.Token.SignIn) == 0) {
		fault("$.token", "write the account's username and how it signs in: both, or neither")
	}
	// walk checks steps that may use the values known, and gives those known after them.
	walk := func(name string, steps []Step, known []string, sets bool, allowed []rotation.Outcome) []string {
		for i, step := range steps {
			at, may := fmt.Sprintf("$.%s[%d]", name, i), known
			last := sets && i == len(steps)-1
			if last {
				may = append(slices.Clone(known), "new")
			}
			check(step, may, allowed, func(member, format string, arguments ...any) { fault(at+member, format, arguments...) })
			if last && !slices.Contains(step.used(), "new") {
				fault(at, "the last request has to carry {new}")
			}
			known = append(slices.Clone(known), slices.Sorted(maps.Keys(step.Keep))...)
		}
		return known
	}
	given := []string{"username", "password", "basic"}
	for name := range definition.Values {
		if !place.MatchString("{"+name+"}") || slices.Contains(reserved, name) {
			fault("$.values", "{%s} is no name for a value of the settings", name)
		}
		given = append(given, name)
	}
	slices.Sort(given[3:])
	signedIn := walk("sign_in", definition.SignIn, given, false, outcomes)
	walk("change", definition.Change, signedIn, true, outcomes)
	if definition.Token.Username != "" {
		// Whoever administers is this account.
		signedIn = walk("token.sign_in", definition.Token.SignIn, given, false, outcomes)
		for i, step := range definition.Token.SignIn {
			if step.Expires != "" && (len(definition.Token.SignIn) > 1 || len(step.Keep) == 0) {
				fault(fmt.Sprintf("$.token.sign_in[%d].expires", i), "only the one request of a token's sign-in, which keeps something, says when that expires")
			}
		}
	}
	for _, part := range []struct {
		name  string
		steps []Step
	}{{"reset", definition.Reset}, {"disable", definition.Disable}, {"enable", definition.Enable}, {"end_sessions", definition.EndSessions}} {
		walk(part.name, part.steps, append(slices.Clone(signedIn), "account"), part.name == "reset", administratorOutcomes)
		if len(part.steps) > 0 && !slices.ContainsFunc(part.steps, func(one Step) bool { return slices.Contains(one.used(), "account") }) {
			fault("$."+part.name, "some request has to say by {account} to whom it is done")
		}
		for i, step := range part.steps {
			if _, kept := step.Keep["account"]; kept {
				fault(fmt.Sprintf("$.%s[%d].keep", part.name, i), "{account} is to whom it is done: give it another name")
			}
		}
	}
	if record := definition.Record; record != nil {
		check(record.Step, append(slices.Clone(signedIn), "account"), administratorOutcomes, func(member, format string, arguments ...any) { fault("$.record"+member, format, arguments...) })
		if record.Disabled.At == "" || !slices.Contains(record.used(), "account") || len(definition.Disable) == 0 {
			fault("$.record", "write by {account} whose record is read, and in disabled where it says that they are; disable and enable go before")
		}
	}
	if users := definition.Users; users != nil {
		if users.Username == "" {
			fault("$.users", "write in username where in each account its user name is")
		}
		users.check(signedIn, func(member, format string, arguments ...any) { fault("$.users"+member, format, arguments...) })
	}
	if tokens := definition.Tokens; tokens != nil {
		tokens.check(append(slices.Clone(signedIn), "account"), given, walk, fault)
	}
	if (len(definition.Disable) > 0) != (len(definition.Enable) > 0) {
		fault("$.disable", "who can disable an account has to be able to enable it again: write both, or neither")
	}
	return definition, errors.Join(faults...)
}

// reserved are the names of values that are not the app's own settings.
var reserved = append(slices.Clone(secrets), "username", "account", "issued_id", "issued_name")

// secrets are those that stand in no address: the password of who signs in, alone and as HTTP's basic authentication has it
// (RFC 7617), the new one, and a token.
var secrets = []string{"password", "basic", "new", "issued"}

// check tells what is wrong with pages that may use the values named.
func (p Pages) check(may []string, fault func(member, format string, arguments ...any)) {
	check(p.Step, may, administratorOutcomes, fault)
	if p.Link && p.Next != "" || len(p.More) > 0 && p.Next == "" {
		fault("", "the next page is told of by link, by next, or by next with more")
	}
	for name, text := range p.More {
		for _, one := range places(text) {
			if one != "next" && (slices.Contains(secrets, one) || !slices.Contains(may, one)) {
				fault(".more."+name, "nothing gives {%s}", one)
			}
		}
	}
}

// maxDepth is how deep lists and brackets may lie in each other.
const maxDepth = 20

// plain refuses what costs more to read than it says: a few aliases of aliases would fill any memory.
func plain(text []byte) error {
	depth, dashes, at := 0, 0, 0
	for _, one := range lexer.Tokenize(string(text)) {
		switch one.Type {
		case token.AnchorType, token.AliasType:
			return fmt.Errorf("line %d: a definition has no anchors (&) and no aliases (*): write it out, or put the text in quotes", one.Position.Line)
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if one.Position.Line != at {
				dashes, at = 0, one.Position.Line
			}
			dashes++
		}
		if max(depth, dashes) > maxDepth {
			return fmt.Errorf("line %d: more than %d lists or brackets lie in each other", one.Position.Line, maxDepth)
		}
	}
	return nil
}

// check tells what is wrong with a step that may use the values named and give the outcomes.
func check(step Step, may []string, allowed []rotation.Outcome, fault func(member, format string, arguments ...any)) {
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, step.Method) {
		fault(".method", "write GET, POST, PUT, PATCH or DELETE")
	}
	if !strings.HasPrefix(step.Path, "/") || strings.ContainsAny(step.Path, "?#") {
		fault(".path", "write a path that begins with /; what comes after ? belongs into query")
	}
	if len(step.Success.Status) == 0 {
		fault("", "write in success.status which statuses mean success")
	}
	if step.Form != nil && step.JSON != nil {
		fault("", "write form or json, not both")
	}
	if step.Method == http.MethodGet && (step.Form != nil || step.JSON != nil) {
		fault("", "a GET has no form and no json")
	}
	for _, one := range step.used() {
		if !slices.Contains(may, one) {
			fault("", "nothing gives {%s}: there are {%s}", one, strings.Join(may, "}, {"))
		}
	}
	for _, secret := range secrets {
		if slices.Contains(step.inAddress(), secret) {
			fault("", "{%s} does not belong into an address, which is logged: put it into form, json or headers", secret)
		}
	}
	rules := map[string]Rule{".success": step.Success}
	for i, rule := range step.Also {
		rules[fmt.Sprintf(".also[%d]", i)] = rule
	}
	for i, failure := range step.Failures {
		rules[fmt.Sprintf(".failures[%d]", i)] = failure.Rule
	}
	for _, at := range slices.Sorted(maps.Keys(rules)) {
		if rule := rules[at]; len(rule.Contains) > 0 && rule.At == "" || slices.Contains(rule.Contains, "") {
			fault(at, "contains is of parts of the text at a place of the answer: write which in at")
		}
	}
	for i, failure := range step.Failures {
		if !slices.Contains(allowed, failure.Outcome) {
			fault(fmt.Sprintf(".failures[%d].outcome", i), "write one of %v", allowed)
		}
		if len(failure.Status) == 0 && failure.At == "" {
			fault(fmt.Sprintf(".failures[%d]", i), "write which status, or what at which place, means this")
		}
	}
}

// line is where a path of the document is; of what is not there, where that is missing.
func line(text []byte, path string) int {
	for path != "$" {
		if at, err := yaml.PathString(path); err == nil {
			if node, err := at.ReadNode(strings.NewReader(string(text))); err == nil && node != nil {
				return node.GetToken().Position.Line
			}
		}
		path = path[:strings.LastIndexAny(path, ".[")]
	}
	return 1
}

var place = regexp.MustCompile(`\{([a-z_]+)\}`)

func places(text string) (names []string) {
	for _, found := range place.FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// used are the names of the values that a step takes.
func (s Step) used() []string {
	names := s.inAddress()
	for _, group := range []map[string]string{s.Headers, s.Form} {
		for _, text := range group {
			names = append(names, places(text)...)
		}
	}
	_ = texts(s.JSON, func(text string) string {
		names = append(names, places(text)...)
		return text
	})
	return names
}

func (s Step) inAddress() []string {
	names := append(places(s.Address), places(s.Path)...)
	for _, text := range s.Query {
		names = append(names, places(text)...)
	}
	return names
}

// texts is a value with all its texts changed.
func texts(value any, change func(string) string) any {
	switch value := value.(type) {
	case string:
		return change(value)
	case map[string]any:
		changed := map[string]any{}
		for key, one := range value {
			changed[key] = texts(one, change)
		}
		return changed
	case []any:
		changed := make([]any, len(value))
		for i, one := range value {
			changed[i] = texts(one, change)
		}
		return changed
	}
	return value
}
