package guard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/go-retryablehttp"

	"postern/core"
)

// Retrying returns a client that tries again, with growing pauses and the receiver's Retry-After,
// when the host is unreachable or answers 429, 502, 503 or 504. Only requests of the methods given
// are tried again; without any: GET, HEAD and OPTIONS. It logs nothing. When the retries are used
// up the last answer or error is returned as it is.
//
// Never use it for a request whose second arrival does harm, such as a password change.
func Retrying(options Options, retries int, methods ...string) *retryablehttp.Client {
	if len(methods) == 0 {
		methods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	}
	client := retryablehttp.NewClient()
	client.HTTPClient = Client(options)
	client.Logger = nil
	client.RetryMax = retries
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	client.CheckRetry = func(ctx context.Context, response *http.Response, err error) (bool, error) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			wrapped, ok := errors.AsType[*url.Error](err)
			return ok && slices.Contains(methods, strings.ToUpper(wrapped.Op)) && core.KindOf(err) == core.KindUnavailable, nil
		}
		switch response.StatusCode {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return slices.Contains(methods, response.Request.Method), nil
		}
		return false, nil
	}
	return client
}
