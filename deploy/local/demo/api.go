package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"postern/core"
)

// API is a client of Postern's admin API, with just what the play needs.
type API struct {
	URL   string // of the gateway
	Token string
}

type problemBody struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// Call sends a request and reads a JSON answer into out, which may be nil.
func (a API) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.URL+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.Token)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return core.Unavailable(time.Second, "Postern does not answer at %s; is 'postern dev' running?", a.URL).Because(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		var told problemBody
		_ = json.Unmarshal(text, &told)
		return &Refusal{Status: response.StatusCode, Code: told.Code, Detail: fmt.Sprintf("%s %s: %d %s", method, path, response.StatusCode, told.Detail)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Refusal is an answer of the API that is not a success.
type Refusal struct {
	Status int
	Code   string
	Detail string
}

func (r *Refusal) Error() string { return r.Detail }

type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

type person struct {
	ID       core.ID `json:"id"`
	UserName string  `json:"user_name"`
	Active   bool    `json:"active"`
	Sessions int     `json:"sessions"`
}

type named struct {
	ID          core.ID `json:"id"`
	Name        string  `json:"name"`
	DisplayName string  `json:"display_name"`
	Kind        string  `json:"kind"`
}

// Account is a shared login as the API tells of it.
type Account struct {
	ID       core.ID `json:"id"`
	AppName  string  `json:"app_name"`
	Username string  `json:"username"`
	State    string  `json:"state"`
	Reason   string  `json:"state_reason"`
}

// Rotation is a rotation as the API tells of it.
type Rotation struct {
	ID          core.ID   `json:"id"`
	State       string    `json:"state"`
	Detail      string    `json:"detail"`
	Correlation core.ID   `json:"correlation"`
	Created     time.Time `json:"created"`
	Finished    *time.Time
	Receipt     *struct {
		NewAccepted   time.Time `json:"new_accepted"`
		OldRefused    time.Time `json:"old_refused"`
		Received      time.Time `json:"received"`
		TimeToLockout float64   `json:"time_to_lockout"`
		Agent         string    `json:"agent"`
		Hosts         []string  `json:"hosts"`
	} `json:"receipt"`
	Steps []struct {
		State string    `json:"state"`
		At    time.Time `json:"at"`
	} `json:"steps"`
}

// first asks for a list and returns its first entry that matches.
func first[T any](ctx context.Context, api API, path, noun string, match func(T) bool) (T, error) {
	var found page[T]
	var none T
	if err := api.Call(ctx, http.MethodGet, path, nil, &found); err != nil {
		return none, err
	}
	for _, one := range found.Items {
		if match(one) {
			return one, nil
		}
	}
	return none, core.NotFound(noun)
}

// until asks again, ten times a second, until done says so or the deadline passes.
func until(ctx context.Context, patience time.Duration, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = ctx.Err()
			}
			return fmt.Errorf("%s: not within %s: %w", what, patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
