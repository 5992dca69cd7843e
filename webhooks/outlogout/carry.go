package outlogout

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
	"postern/webhooks/delivery"
)

const backChannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// carry makes one attempt, with a token of its own: an app that had the one before and refuses what it knows
// must not refuse this one, and to log out twice does no harm.
func (s *Service) carry(ctx context.Context, lane delivery.Lane, one delivery.Delivery) delivery.Outcome {
	target, err := s.Target(ctx, s.DB, lane.Workspace, lane.ID)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Again, Why: "the logout target cannot be read"}
	}
	var who leaver
	if err := json.Unmarshal(one.Payload, &who); err != nil {
		return delivery.Outcome{Verdict: delivery.Refused, Why: "what is to be sent cannot be read"}
	}
	compose, judge := s.backChannel, judgeBackChannel
	if target.Kind == GlobalTokenRevocation {
		compose, judge = s.revocation, judgeRevocation
	}
	request, err := compose(ctx, target, who)
	if err != nil {
		return delivery.Outcome{Verdict: delivery.Again, Why: core.AsError(err).Message}
	}
	return delivery.Send(s.HTTP, request, judge)
}

// backChannel is a logout token (OIDC Back-Channel Logout 1.0 §2.4): all sessions of the person, so no sid.
func (s *Service) backChannel(ctx context.Context, target Target, who leaver) (*http.Request, error) {
	now := s.now()
	token, err := s.Sign(ctx, target.Workspace, "logout+jwt", map[string]any{
		"iss": s.Issuer(target.Workspace), "aud": target.ClientID, "sub": who.Subject, "jti": core.NewID().String(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "events": map[string]any{backChannelEvent: map[string]any{}},
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.Address, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return nil, core.Invalid("address", "the address cannot be used")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}

func judgeBackChannel(status int, text []byte) (delivery.Verdict, string) {
	switch status {
	case http.StatusOK, http.StatusNoContent:
		return delivery.Delivered, ""
	case http.StatusBadRequest:
		return delivery.Refused, words(text)
	case http.StatusGone:
		return delivery.Gone, words(text)
	}
	return delivery.Again, words(text)
}

// revocation is a global token revocation as Okta calls it: the token says who asks and whom it asks, the body
// whom it is about.
func (s *Service) revocation(ctx context.Context, target Target, who leaver) (*http.Request, error) {
	address, err := url.Parse(target.Address)
	if err != nil {
		return nil, core.Invalid("address", "the address cannot be used")
	}
	audience := *address
	audience.RawQuery, audience.ForceQuery = "", false
	now := s.now()
	token, err := s.Sign(ctx, target.Workspace, "global-token-revocation+jwt", map[string]any{
		"iss": s.Issuer(target.Workspace), "sub": target.ClientID, "aud": audience.String(), "jti": core.NewID().String(),
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return nil, err
	}
	subject := map[string]string{"format": "opaque", "id": who.Subject}
	switch target.SubjectFormat {
	case ByEmail:
		subject = map[string]string{"format": "email", "email": who.Subject}
	case ByIssSub:
		subject = map[string]string{"format": "iss_sub", "iss": who.Issuer, "sub": who.Subject}
	}
	body, err := json.Marshal(map[string]any{"sub_id": subject})
	if err != nil {
		return nil, core.Internal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.Address, bytes.NewReader(body))
	if err != nil {
		return nil, core.Invalid("address", "the address cannot be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	return request, nil
}

// judgeRevocation takes 404 for done: an app that does not know the person has nothing of theirs to revoke.
func judgeRevocation(status int, text []byte) (delivery.Verdict, string) {
	switch status {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return delivery.Delivered, ""
	case http.StatusNotFound:
		return delivery.Delivered, "the app does not know the person"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return delivery.Refused, words(text)
	case http.StatusGone:
		return delivery.Gone, words(text)
	}
	return delivery.Again, words(text)
}

// words are what an app says in the members such answers have.
func words(text []byte) string {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Detail      string `json:"detail"`
	}
	_ = json.Unmarshal(text, &said)
	return core.Cut(strings.Join(strings.Fields(said.Error+" "+said.Description+" "+said.Detail), " "), 300)
}
