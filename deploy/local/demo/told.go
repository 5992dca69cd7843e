package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// logged is one event as the API lists it.
type logged struct {
	Sequence int64 `json:"sequence"`
	Event    struct {
		Type string `json:"type"`
	} `json:"event"`
}

// told waits until the receiver holds every event of the story, and checks that what it holds of the
// workspace has no gap in its sequence.
func (r *run) told(ctx context.Context) (string, error) {
	var story page[logged]
	err := until(ctx, time.Minute, "the log to tell of the rotation", func(ctx context.Context) (bool, error) {
		err := r.api.Call(ctx, http.MethodGet, "/events?limit=1000&correlation="+r.rotation.Correlation.String(), nil, &story)
		return slices.ContainsFunc(story.Items, func(one logged) bool { return one.Event.Type == "account.password_rotated" }), err
	})
	if err != nil {
		return "", err
	}
	last := story.Items[len(story.Items)-1].Sequence
	var held []int64
	err = until(ctx, time.Minute, "the receiver to hold the story", func(ctx context.Context) (bool, error) {
		var err error
		held, err = sequences(ctx, r.stack.HEC)
		return len(held) > 0 && held[len(held)-1] >= last, err
	})
	if err != nil {
		return "", err
	}
	for i, sequence := range held {
		if sequence != int64(i)+1 {
			return "", fmt.Errorf("the receiver lacks event %d", i+1)
		}
	}
	return fmt.Sprintf("%d events of this story; 1 to %d in all", len(story.Items), held[len(held)-1]), nil
}

// sequences are the sequence numbers a receiver holds of Splunk's door, each once, in order.
func sequences(ctx context.Context, receiver string) ([]int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, receiver+"/events", nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var list struct {
		Events []struct {
			Door   string            `json:"door"`
			Fields map[string]string `json:"fields"`
		} `json:"events"`
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, err
	}
	var found []int64
	for _, event := range list.Events {
		if number, err := strconv.ParseInt(event.Fields["sequence"], 10, 64); err == nil && event.Door == "splunk" {
			found = append(found, number)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
