package recipe

import (
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// scrubber takes what was typed out of a recording's steps.
type scrubber struct {
	Given
	stale []string // the passwords, in the forms a page or an address has them in
	notes []string
	typed bool // a password to sign in with
}

// spellings are the passwords in the forms a page or an address has them in.
func spellings(given Given) []string {
	var all []string
	for _, text := range []string{given.Password.Reveal(), given.New.Reveal()} {
		if text == "" {
			continue
		}
		quoted, _ := json.Marshal(text)
		all = append(all, text, url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text), strings.Trim(string(quoted), `"`))
	}
	return all
}

// holds reports whether a text has one of the passwords in it.
func (s *scrubber) holds(text string) bool {
	return slices.ContainsFunc(s.stale, func(secret string) bool { return strings.Contains(text, secret) })
}

func (s *scrubber) step(step *recorded) error {
	if err := s.selectors(step); err != nil {
		return err
	}
	if step.Type == Navigate {
		address, err := s.address(step.number, step.URL)
		if err != nil {
			return err
		}
		step.URL = address
	} else {
		step.URL = ""
	}
	s.events(step)
	if step.Type != Change {
		step.Value, step.Literal = "", false
		return nil
	}
	return s.value(step)
}

// value replaces what was typed by a variable.
func (s *scrubber) value(step *recorded) error {
	kind := step.kind()
	typed := step.Value
	switch {
	case slices.Contains(variables, typed):
		step.Literal = false
	case typed != "" && typed == s.New.Reveal():
		step.Value = NewPassword
	case typed != "" && typed == s.Password.Reveal():
		step.Value = CurrentPassword
	case typed != "" && typed == s.Username && kind != passwordField:
		step.Value = Username
	case kind == codeField:
		step.Value = Code
	case kind != "" && s.Password.IsZero():
		return faulty(step.number, "types into %s; import the recording with the password that was typed", kind)
	case kind != "" && saysNew.MatchString(step.names()):
		step.Value = NewPassword
	case kind != "" && (saysOld.MatchString(step.names()) || !s.typed):
		step.Value = CurrentPassword
	case kind != "":
		return faulty(step.number, "types something into a password field that is neither of the two passwords given; give what was typed, or record again")
	case s.holds(typed) || s.partOf(typed):
		return faulty(step.number, "types a part of a password, or more than one; record again and type each password by itself")
	case step.Literal || slices.Contains(s.Keep, step.number):
		step.Literal = true
		s.note("step %d keeps its text", step.number)
		return nil
	default:
		return faulty(step.number, "types a text of its own that would be kept. If it is no secret, import with --keep %d; if it is the username or a password, give that as it was typed", step.number)
	}
	s.typed = s.typed || step.Value == CurrentPassword
	if step.Value != typed {
		s.note("step %d types %s", step.number, step.Value)
	}
	return nil
}

// partOf reports whether a text may be a half-typed password.
func (s *scrubber) partOf(text string) bool {
	return len(text) >= 3 && slices.ContainsFunc(s.stale, func(secret string) bool { return strings.Contains(secret, text) })
}

// selectors leaves out the alternatives that only fit this account, or show a password.
func (s *scrubber) selectors(step *recorded) error {
	if len(step.Selectors) == 0 {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(step.Selectors), func(selector Selector) bool {
		return slices.ContainsFunc(selector, func(text string) bool {
			worded := strings.HasPrefix(text, "aria/") || strings.HasPrefix(text, "text/") || strings.Contains(text, "text()") || strings.Contains(text, "value=")
			return s.holds(text) || worded && s.Username != "" && hasWord(text, s.Username)
		})
	})
	if len(kept) == 0 {
		return faulty(step.number, "is found only by the username or a password that was typed; give the element another selector, or record with names that are no words of the page")
	}
	if len(kept) > maxAlternatives {
		kept = kept[:maxAlternatives]
	}
	step.Selectors = kept
	return nil
}

func hasWord(text, word string) bool {
	found, err := regexp.MatchString(`(?i)(^|[^\pL\pN])`+regexp.QuoteMeta(word)+`($|[^\pL\pN])`, text)
	return found || err != nil
}

// token is what a parameter of an address is called that is good for one visit, or for one person.
var token = regexp.MustCompile(`(?i)tok(en)?$|^tok|csrf|xsrf|sess|\bsid$|_sid|secret|passw|pwd|\bkey$|_key|signature|^sig$|auth|jwt|nonce|ticket|saml|^state$|^code$|^otp$`)

// address takes what belongs to one visit out of an address, and puts a variable where the username was.
func (s *scrubber) address(number int, address string) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", faulty(number, "leads to something that is not a web address")
	}
	path, username := parsed.EscapedPath(), url.PathEscape(s.Username)
	if s.Username != "" {
		segments := strings.Split(path, "/")
		for i, segment := range segments {
			if segment == username || segment == "~"+username || segment == "@"+username {
				segments[i] = strings.Replace(segment, username, Username, 1)
			}
		}
		path = strings.Join(segments, "/")
	}
	var kept []string
	for pair := range strings.SplitSeq(parsed.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(value)
		switch {
		case pair == "":
			continue
		case value != "" && token.MatchString(name):
			s.note("step %d: %s is left out of the address", number, printable(name))
			continue
		case err == nil && s.Username != "" && plain == s.Username:
			pair = name + "=" + Username
		}
		kept = append(kept, pair)
	}
	written := parsed.Scheme + "://" + parsed.Host + path
	if parsed.User != nil {
		written = address // refused by Check
	} else if len(kept) > 0 {
		written += "?" + strings.Join(kept, "&")
	}
	// A fragment is a page of its own to many single-page apps; one that looks like parameters is not.
	if parsed.Fragment != "" && !strings.Contains(parsed.Fragment, "=") {
		written += "#" + parsed.EscapedFragment()
	}
	if s.holds(written) {
		return "", faulty(number, "has a password in its address; take it out")
	}
	return written, nil
}

// events keeps of where a step led what is the same the next time: no parameters, no titles.
func (s *scrubber) events(step *recorded) {
	var kept []Event
	for _, event := range step.Events {
		parsed, err := url.Parse(event.URL)
		if event.Type != "navigation" || err != nil || event.URL != "" && parsed.Scheme != "http" && parsed.Scheme != "https" {
			continue
		}
		if event.URL != "" {
			event.URL = parsed.Scheme + "://" + parsed.Host + parsed.EscapedPath()
			if s.Username != "" {
				event.URL = strings.ReplaceAll(event.URL, "/"+url.PathEscape(s.Username), "/"+Username)
			}
		}
		if event.URL != "" && s.holds(event.URL) {
			event.URL = ""
		}
		kept = append(kept, event)
	}
	step.Events = kept
}
