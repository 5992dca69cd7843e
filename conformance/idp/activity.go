package idp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"postern/core"
)

// Activity reads the events of a Postern over its API: url is the gateway's address, token a service
// account's with activity:read. It keeps what it has read and asks for what follows.
func Activity(client *http.Client, address, token string) func(ctx context.Context) ([]core.Event, error) {
	types := []string{
		string(core.UserProvisioned), string(core.UserDeprovisioned), string(core.UserReactivated), string(core.UserDeleted),
		string(core.AccountUnshared), string(core.RotationPlanned),
	}
	var all []core.Event
	cursor := "0"
	return func(ctx context.Context) ([]core.Event, error) {
		for {
			query := url.Values{"limit": {"1000"}, "cursor": {cursor}, "type": {strings.Join(types, ",")}}
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/api/v1/events?"+query.Encode(), nil)
			if err != nil {
				return nil, core.Invalid("api-url", "this is no address").Because(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := client.Do(request)
			if err != nil {
				return nil, core.Unavailable(0, "the API at %s does not answer", address).Because(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				return nil, err
			}
			if response.StatusCode != http.StatusOK {
				return nil, core.Invalid("api-token", "the API answers %d: %s", response.StatusCode, text[:min(len(text), 300)])
			}
			var page struct {
				Items []struct {
					Event core.Event `json:"event"`
				} `json:"items"`
				Next string `json:"next"`
			}
			if err := json.Unmarshal(text, &page); err != nil {
				return nil, fmt.Errorf("the API's events: %w", err)
			}
			for _, item := range page.Items {
				all = append(all, item.Event)
			}
			if len(page.Items) == 0 {
				return all, nil
			}
			cursor = page.Next
		}
	}
}
