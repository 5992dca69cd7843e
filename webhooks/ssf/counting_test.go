package ssf_test

import (
	"net/http"
	"strings"
)

// counting tells of the requests to an address as they begin and end.
type counting struct {
	told    func(ended bool)
	address string
}

// RoundTrip implements http.RoundTripper.
func (c counting) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.HasPrefix(request.URL.String(), c.address) {
		c.told(false)
		defer c.told(true)
	}
	return http.DefaultTransport.RoundTrip(request)
}
