package hooks

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
)

// BackFill reads again what a hook may have missed.
type BackFill interface {
	// Events hands over what happened from since until until, oldest first, page by page. An error of take ends
	// it.
	Events(ctx context.Context, since, until time.Time, take func(events []json.RawMessage) error) error
}

// systemLog reads Okta's System Log (GET /api/v1/logs).
type systemLog struct {
	*Service
	hook Hook
}

// BackFill is how a hook's sender is asked for what was missed.
func (s *Service) BackFill(hook Hook) BackFill { return &systemLog{s, hook} }

// logPage is how many events are asked for at once: Okta's most.
const logPage = "1000"

// Events implements BackFill. A rate limit that is used up is RateLimited, with the time until Okta resets it.
func (l *systemLog) Events(ctx context.Context, since, until time.Time, take func(events []json.RawMessage) error) error {
	base := strings.TrimSuffix(l.hook.Settings.Access.Address, "/")
	if base == "" {
		return core.Conflict("", "say where the organisation's API is, such as https://acme.okta.com").WithCode("access")
	}
	authorization, err := l.authorize(ctx, base)
	if err != nil {
		return err
	}
	terms := make([]string, 0, len(oktaTypes))
	for _, one := range OktaTypes() {
		terms = append(terms, `eventType eq "`+one+`"`)
	}
	const stamp = "2006-01-02T15:04:05.000Z"
	address := base + "/api/v1/logs?" + url.Values{
		"since": {since.UTC().Format(stamp)}, "until": {until.UTC().Format(stamp)}, "sortOrder": {"ASCENDING"}, "limit": {logPage}, "filter": {strings.Join(terms, " or ")},
	}.Encode()
	for address != "" {
		got, err := l.ask(ctx, http.MethodGet, address, authorization, nil)
		if err != nil {
			return err
		}
		if got.status != http.StatusOK {
			return got.refusal("the System Log", l.now())
		}
		var events []json.RawMessage
		if err := json.Unmarshal(got.body, &events); err != nil {
			return core.Unavailable(0, "the System Log's answer is not a list")
		}
		if len(events) == 0 {
			return nil
		}
		if err := take(events); err != nil {
			return err
		}
		if address = next(got.header); address != "" {
			if err := sameOrigin(address, base); err != nil {
				return err
			}
		}
	}
	return nil
}

// authorize is an SSWS token, or an access token of an OAuth client: Okta takes private_key_jwt alone for its
// own API.
func (l *systemLog) authorize(ctx context.Context, base string) (string, error) {
	access := l.hook.Settings.Access
	if access.ClientID == "" {
		token, err := l.accessSecret(ctx, l.hook)
		if err != nil {
			return "", err
		}
		return "SSWS " + strings.TrimSpace(token.Reveal()), nil
	}
	if l.Sign == nil {
		return "", core.Conflict("", "private_key_jwt cannot be used here").WithCode("access")
	}
	endpoint, now := cmp.Or(access.TokenEndpoint, base+"/oauth2/v1/token"), l.now()
	assertion, err := l.Sign(ctx, l.hook.Workspace, "JWT", map[string]any{
		"iss": access.ClientID, "sub": access.ClientID, "aud": endpoint, "jti": core.NewID().String(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	return l.grant(ctx, endpoint, url.Values{
		"scope": {cmp.Or(access.Scope, "okta.logs.read")}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
}

// next is the address of the next page (RFC 8288).
func next(header http.Header) string {
	for _, value := range header.Values("Link") {
		for _, link := range strings.Split(value, ",") {
			target, parameters, _ := strings.Cut(link, ";")
			if strings.Contains(strings.ReplaceAll(parameters, " ", ""), `rel="next"`) {
				return strings.Trim(strings.TrimSpace(target), "<>")
			}
		}
	}
	return ""
}
