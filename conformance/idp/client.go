package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long Okta waits for an answer.
const patience = 60 * time.Second

// errLost is no answer at all: a time-out, a connection that broke.
var errLost = errors.New("no answer")

// object is one thing the identity provider keeps in step, with what it knows of the server's side.
type object struct {
	kind string // "user" or "group"
	key  int
	id   string // the server's
	sent atomic.Int64
	// flying are copies of the last change that may not have been handled yet.
	flying sync.WaitGroup
	// waiting are copies that will be handled when something newer has been.
	waiting waiting

	known   map[string]string // attributes the server has confirmed
	members map[int]bool      // members it has confirmed
	gone    bool              // deleted, confirmed
}

// answer is what came back.
type answer struct {
	status     int
	body       map[string]any
	text       string
	retryAfter time.Duration // 0: none that Okta would understand
	version    string        // the ETag; empty: none
}

func (a answer) id() string { id, _ := a.body["id"].(string); return id }

func (a answer) String() string {
	return fmt.Sprintf("%d %s", a.status, a.text[:min(len(a.text), 300)])
}

// resources are those of a list.
func (a answer) resources() []map[string]any {
	list, _ := a.body["Resources"].([]any)
	found := make([]map[string]any, 0, len(list))
	for _, element := range list {
		if resource, ok := element.(map[string]any); ok {
			found = append(found, resource)
		}
	}
	return found
}

// client sends requests over a network with chaos in it.
type client struct {
	http  *http.Client
	url   string // of the SCIM endpoint, without a slash at the end
	token string
	shape Shape
	seed  uint64
	chaos Chaos
	meter meter
	burst burst
}

// send delivers one request of an object once, as far as the network lets it.
func (c *client) send(ctx context.Context, o *object, method, path string, body any) (answer, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	f := c.chaos.draw(c.seed, o.kind, o.key, o.sent.Add(1))
	if f.delay > 0 {
		time.Sleep(f.delay)
	}
	if err := c.burst.wait(ctx); err != nil {
		return answer{}, err
	}
	a, err := c.meet(ctx, o, f, method, path, text)
	if err == nil && a.status < http.StatusBadRequest && method != http.MethodGet {
		c.overtaken(ctx, o, method, path, text)
	}
	return a, err
}

// meet delivers a request as its fate wills.
func (c *client) meet(ctx context.Context, o *object, f fate, method, path string, text []byte) (answer, error) {
	switch {
	case f.overdue && c.holdUp(ctx, o, method, path, text):
		c.meter.lost.Add(1)
		return answer{}, errLost
	case f.loseRequest:
		c.meter.lost.Add(1)
		return answer{}, errLost
	case f.unavailable:
		c.meter.refusedOnTheWay.Add(1)
		return answer{status: http.StatusServiceUnavailable}, nil
	case f.loseAnswer:
		c.meter.lost.Add(1)
		if f.late == 0 {
			_, err := c.deliver(ctx, method, path, text)
			return answer{}, errors.Join(errLost, stopped(ctx, err))
		}
		o.flying.Go(func() {
			time.Sleep(f.late)
			_, _ = c.deliver(ctx, method, path, text)
		})
		return answer{}, errLost
	case f.duplicate:
		c.meter.twice.Add(1)
		var other answer
		var otherErr error
		var both sync.WaitGroup
		both.Go(func() { other, otherErr = c.deliver(ctx, method, path, text) })
		first, err := c.deliver(ctx, method, path, text)
		both.Wait()
		if f.second {
			return other, otherErr
		}
		return first, err
	}
	return c.deliver(ctx, method, path, text)
}

// stopped is err if it is because nobody waits any more.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return nil
}

// deliver puts one request on the wire and reads the answer.
func (c *client) deliver(ctx context.Context, method, path string, body []byte) (answer, error) {
	return c.deliverWith(ctx, method, path, body, http.Header{})
}

// deliverWith is deliver with headers of its own.
func (c *client) deliverWith(ctx context.Context, method, path string, body []byte, header http.Header) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header = header
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/scim+json")
	request.Header.Set("User-Agent", c.shape.agent())
	if body != nil {
		request.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	defer c.meter.enter()()
	began := time.Now()
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		c.meter.broken.Add(1)
		return answer{}, fmt.Errorf("%w: %w", errLost, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errLost, err)
	}
	c.meter.count(method+" "+address(path), response.StatusCode, began, time.Since(began))
	a := answer{status: response.StatusCode, text: string(text), version: response.Header.Get("ETag")}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			return a, fmt.Errorf("%s %s answers %d with what is no JSON object: %w", method, path, a.status, err)
		}
	}
	return a, nil
}

// address is a path without what differs from request to request.
func address(path string) string {
	path, query, _ := strings.Cut(path, "?")
	if slash := strings.LastIndexByte(path, '/'); slash > 0 {
		return path[:slash] + "/{id}"
	}
	switch {
	case strings.Contains(query, "filter="):
		return path + "?filter"
	case strings.Contains(query, "startIndex="):
		return path + "?page"
	}
	return path
}
