package http

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"postern/core"
)

const (
	// retries is how often a page of a list is asked for again, and longestPause what an app may ask to be left alone
	// for before the list is given up.
	retries      = 4
	longestPause = time.Minute
)

// fetch asks patiently for a page of a list and judges the answer.
func (s *session) fetch(request *http.Request, step Step) (answer any, header http.Header, err error) {
	response, err := s.patiently(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return s.judge(response, step)
}

// bearable reports whether an app that says so in Retry-After is waited for. What is no number of seconds is not heeded.
func bearable(said string) bool {
	seconds, err := strconv.Atoi(said)
	return err != nil || time.Duration(seconds)*time.Second <= longestPause
}

// patiently asks for a page of a list, which does no harm when it comes twice if it is a GET: again after growing pauses,
// or what the app asks for in Retry-After, while the app cannot be reached or says 429, 502, 503 or 504. What it said last
// is returned. Nothing else is ever sent twice: a sign-in or a password counts.
func (s *session) patiently(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet {
		return s.client.Do(request)
	}
	client := retryablehttp.NewClient()
	client.HTTPClient, client.Logger, client.ErrorHandler = s.client, nil, retryablehttp.PassthroughErrorHandler
	client.RetryMax, client.RetryWaitMin, client.RetryWaitMax = retries, 250*time.Millisecond, longestPause
	client.CheckRetry = func(ctx context.Context, response *http.Response, err error) (bool, error) {
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil:
			return core.KindOf(err) == core.KindUnavailable, nil
		}
		switch response.StatusCode {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return bearable(response.Header.Get("Retry-After")), nil
		}
		return false, nil
	}
	again, err := retryablehttp.FromRequest(request)
	if err != nil {
		return nil, err
	}
	return client.Do(again)
}
