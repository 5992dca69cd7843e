package scim

import "strings"

// Profile is a set of checks.
type Profile string

// The profiles. All is every check of the three others, but those that contradict each other.
const (
	RFC   Profile = "rfc"
	Okta  Profile = "okta"
	Entra Profile = "entra"
	All   Profile = "all"
)

// Level says what a failure means.
type Level string

// A failed Must fails the run; a failed Should is a warning.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Check is one question to a server.
type Check struct {
	Name    string // unique: profile/topic/what, in lower case
	Title   string // what a conforming server does, as a sentence
	Section string // the heading it stands under
	Source  string // where that is written: an RFC's section or a vendor's page
	Level   Level

	run func(*probe)
	// apart says why the check is left out when all profiles run against one server: vendors
	// contradict the RFC in places, and a server cannot please both under one token.
	apart string
}

// Checks lists the checks of a profile in the order of the report.
func Checks(profile Profile) []Check {
	var all []Check
	if profile == RFC || profile == All {
		all = append(all, rfcChecks()...)
	}
	if profile == Okta || profile == All {
		all = append(all, oktaChecks()...)
	}
	if profile == Entra || profile == All {
		all = append(all, entraChecks()...)
	}
	return all
}

// Profile is the profile the check belongs to.
func (c Check) Profile() Profile {
	profile, _, _ := strings.Cut(c.Name, "/")
	return Profile(profile)
}

// matches reports whether a pattern names the check. A pattern with * is compared with the whole name,
// one without with any part of it; commas separate alternatives.
func (c Check) matches(patterns string) bool {
	if patterns == "" {
		return true
	}
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern = strings.ToLower(strings.TrimSpace(pattern))
		if strings.Contains(pattern, "*") {
			if glob(pattern, c.Name) {
				return true
			}
		} else if strings.Contains(c.Name, pattern) {
			return true
		}
	}
	return false
}

// glob compares a name with a pattern in which * stands for any text.
func glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, part := range parts[1:last] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return strings.HasSuffix(name, parts[last])
}

// group names what checks of one list have in common.
func group(section string, checks ...Check) []Check {
	for i := range checks {
		checks[i].Section = section
	}
	return checks
}

func must(name, title, source string, run func(*probe)) Check {
	return Check{Name: name, Title: title, Source: source, Level: Must, run: run}
}

func should(name, title, source string, run func(*probe)) Check {
	return Check{Name: name, Title: title, Source: source, Level: Should, run: run}
}

// unlessAll leaves a check out of a run of all profiles.
func (c Check) unlessAll(reason string) Check {
	c.apart = reason
	return c
}
