package recipe

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/core"
)

// Limits of a recipe.
const (
	MaxSteps        = 80
	maxAlternatives = 12
	maxDepth        = 8 // of shadow roots, and of frames
	maxText         = 1000
)

// faulty says what is wrong with a step, by its number.
func faulty(number int, format string, arguments ...any) error {
	return core.Invalid("recipe", "step %d "+format, append([]any{number}, arguments...)...)
}

// Check refuses a recipe that could not be followed, or that holds what it must not. The hosts it leads to are looked
// at if there are domains.
func (r *Recipe) Check(domains []string) error {
	switch {
	case len(r.Steps) == 0:
		return core.Invalid("recipe", "there are no steps to follow")
	case len(r.Steps) > MaxSteps:
		return core.Invalid("recipe", "at most %d steps are followed, these are %d", MaxSteps, len(r.Steps))
	case r.ChangeFrom < 0 || r.ChangeFrom > len(r.Steps):
		return core.Invalid("recipe", "change_from is the number of a step, or 0 if the recipe only signs in")
	case !writable(r.Title):
		return core.Invalid("recipe", "the title is too long, or cannot be printed")
	}
	for i, step := range r.Steps {
		if err := step.check(i+1, domains); err != nil {
			return err
		}
	}
	if err := r.part(r.SignIn(), 1, CurrentPassword, NewPassword); err != nil {
		return err
	}
	return r.part(r.Change(), r.ChangeFrom, NewPassword, Username)
}

// part checks that a part types what it is there for and ends by sending it.
func (r *Recipe) part(steps []Step, first int, wanted, foreign string) error {
	if len(steps) == 0 {
		return nil
	}
	typed := -1
	for i, step := range steps {
		switch step.Value {
		case wanted:
			typed = i
		case foreign:
			return faulty(first+i, "types %s, which belongs to the other part; say with change_from where the change begins", foreign)
		}
	}
	if typed < 0 {
		return faulty(first+len(steps)-1, "ends a part in which %s is typed nowhere", wanted)
	}
	if !steps[len(steps)-1].Presses() {
		return faulty(first+len(steps)-1, "ends a part without pressing what sends the form")
	}
	return nil
}

func (s Step) check(number int, domains []string) error {
	for _, event := range s.Events {
		if event.Type != "navigation" {
			return faulty(number, "waits for an event that is no navigation; take it out")
		}
		if event.URL != "" {
			if err := checkAddress(number, event.URL, domains); err != nil {
				return err
			}
		}
	}
	if len(s.Frame) > maxDepth || slices.ContainsFunc(s.Frame, func(at int) bool { return at < 0 || at > 50 }) {
		return faulty(number, "is in a frame too deep to be found")
	}
	switch s.Type {
	case Navigate:
		return checkAddress(number, s.URL, domains)
	case KeyDown:
		if s.Key != "Enter" {
			return faulty(number, "presses a key that is not Enter; take it out")
		}
		return nil
	case Change:
		if err := s.checkValue(number); err != nil {
			return err
		}
	case Click, Hover, WaitFor:
	default:
		return faulty(number, "is of a type that is not followed (%q); the types are navigate, click, hover, change, keyDown and waitForElement", printable(s.Type))
	}
	if len(s.Selectors) == 0 || len(s.Selectors) > maxAlternatives {
		return faulty(number, "needs between 1 and %d selectors", maxAlternatives)
	}
	for _, selector := range s.Selectors {
		if len(selector) == 0 || len(selector) > maxDepth || slices.ContainsFunc(selector, func(text string) bool { return bare(text) == "" || !writable(text) }) {
			return faulty(number, "has a selector that is empty, too long or cannot be printed; take it out")
		}
	}
	return nil
}

func (s Step) checkValue(number int) error {
	if slices.Contains(variables, s.Value) {
		return nil
	}
	if kind := s.kind(); kind != "" {
		return faulty(number, "types a text of its own into %s; write one of %s there", kind, strings.Join(variables[1:], ", "))
	}
	if !s.Literal {
		return faulty(number, "types a text that may be a secret; import the recording with `postern recipe import`, and with --keep %d if it is none", number)
	}
	if !writable(s.Value) || strings.Contains(s.Value, "{{") {
		return faulty(number, "types a text that is too long, cannot be printed, or names a variable there is not")
	}
	return nil
}

// checkAddress refuses an address that no app has, or that is outside the app's domains.
func checkAddress(number int, address string, domains []string) error {
	filled := strings.ReplaceAll(address, Username, "x")
	parsed, err := url.Parse(filled)
	_, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" || len(address) > 2048 || !utf8.ValidString(address):
		return faulty(number, "leads to something that is not a web address")
	case parsed.User != nil:
		return faulty(number, "has a password in its address; take it out")
	case strings.Contains(host, "{{") || strings.Contains(filled, "{{"):
		return faulty(number, "has a variable in its address that cannot stand there")
	case domains != nil && !within(parsed, domains):
		return faulty(number, "leads to %s, which is not one of the app's domains (%s); record within the app, or add the domain to it", parsed.Host, strings.Join(domains, ", "))
	}
	return nil
}

// within reports whether an address is at one of the domains or below one, as the browser's way out lets through.
func within(address *url.URL, domains []string) bool {
	host, port := strings.TrimSuffix(strings.ToLower(address.Hostname()), "."), address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	for _, domain := range domains {
		if name, only, err := net.SplitHostPort(domain); err == nil {
			if only != port {
				continue
			}
			domain = name
		}
		domain = strings.ToLower(strings.Trim(domain, "[]"))
		if host == domain || net.ParseIP(host) == nil && strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

// bare is a selector's text without what says its kind.
func bare(text string) string {
	for _, prefix := range []string{"aria/", "text/", "xpath/", "pierce/"} {
		if rest, found := strings.CutPrefix(text, prefix); found {
			return strings.TrimSpace(rest)
		}
	}
	return strings.TrimSpace(text)
}

func writable(text string) bool {
	return len(text) <= maxText && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// printable is the beginning of a text that somebody else wrote, for an error.
func printable(text string) string {
	if len(text) > 40 {
		text = text[:40]
	}
	return strings.ToValidUTF8(text, "")
}
