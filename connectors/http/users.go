package http

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"postern/connectors/protocol"
	"postern/core/rotation"
)

// Listing is how an app tells of its accounts.
type Listing struct {
	Pages    `yaml:",inline"`
	Username string `yaml:"username"` // where in one of them
	Named    string `yaml:"named"`    // where the name of whoever has it is; empty: nowhere
	Disabled Rule   `yaml:"disabled"` // what one that is disabled says, by at and is
}

// Pages is how an app tells of many things: a request, and where in its answer they are.
type Pages struct {
	Step `yaml:",inline"`
	Each string `yaml:"each"` // where the list is; empty: it is the whole answer
	// Next is where in an answer the next page's address is, or what More needs to ask for it; Link says that it is the
	// header of that name (RFC 8288). Neither: there is one page.
	Next string            `yaml:"next"`
	Link bool              `yaml:"link"`
	More map[string]string `yaml:"more"` // the query of further pages besides Query, with {next}
}

// mostPages bounds what an app may tell.
const mostPages = 5000

// Users implements protocol.Clerk.
func (s *session) Users(ctx context.Context, each func(user rotation.User) error) error {
	listing := s.definition.Users
	if listing == nil {
		return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The app's definition does not say how its accounts are listed (users)."}
	}
	if s.definition.Token.Username != "" && !s.token {
		return s.about("anybody", []Step{listing.Step}, "users")
	}
	return s.turn(ctx, listing.Pages, func(one any) error {
		user := rotation.User{Username: find(one, listing.Username), Name: find(one, listing.Named)}
		user.Disabled = listing.Disabled.At != "" && listing.Disabled.fits(0, one)
		if user.Username == "" {
			return fmt.Errorf("http: an account has nothing at %s", listing.Username)
		}
		return each(user)
	})
}

// turn calls each for everything on all pages, and ends with its error.
func (s *session) turn(ctx context.Context, pages Pages, each func(one any) error) error {
	request, err := s.request(ctx, pages.Step)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for range mostPages {
		answer, header, err := s.fetch(request, pages.Step)
		if err != nil {
			return err
		}
		all, ok := part(answer, pages.Each).([]any)
		if !ok {
			return fmt.Errorf("http: the answer has no list at %q, or is longer than %d bytes", pages.Each, maxAnswer)
		}
		for _, one := range all {
			if err := each(one); err != nil {
				return err
			}
		}
		next := find(answer, pages.Next)
		if pages.Next == "" {
			next = ""
		}
		if pages.Link {
			next = linked(header)
		}
		switch {
		case next == "":
			return nil
		case seen[next]:
			return errors.New("http: the app's pages go round in a circle")
		}
		seen[next] = true
		if request, err = s.page(ctx, pages, next); err != nil {
			return err
		}
	}
	return fmt.Errorf("http: the app tells of more than %d pages", mostPages)
}

// page is the request for a further page: at an address the app gave, which has to be where the first one was, or by what More says.
func (s *session) page(ctx context.Context, pages Pages, next string) (*http.Request, error) {
	if len(pages.More) > 0 {
		step := pages.Step
		step.Query = maps.Clone(step.Query)
		if step.Query == nil {
			step.Query = map[string]string{}
		}
		maps.Copy(step.Query, pages.More)
		s.values["next"] = next
		return s.request(ctx, step)
	}
	request, err := s.request(ctx, pages.Step)
	if err != nil {
		return nil, err
	}
	address, err := request.URL.Parse(next)
	if err != nil || address.Scheme != request.URL.Scheme || address.Host != request.URL.Host || address.User != nil {
		return nil, &protocol.Failure{Outcome: rotation.Unreachable, Detail: "The app says that the next page is elsewhere."}
	}
	request.URL = &url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path, RawPath: address.RawPath, RawQuery: address.RawQuery}
	return request, nil
}

var nextLink = regexp.MustCompile(`<([^<>]+)>\s*(?:;[^,<]*)?;\s*rel="?next"?`)

// linked is the address of the next page in a Link header.
func linked(header http.Header) string {
	if found := nextLink.FindStringSubmatch(strings.Join(header.Values("Link"), ", ")); found != nil {
		return found[1]
	}
	return ""
}
