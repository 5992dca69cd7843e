package delivery

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/core"
)

// mostRead bounds what is read of an answer: a word about what went wrong.
const mostRead = 16 << 10

// Send makes one HTTP request and has judge say what its answer means. No redirect is followed: a credential
// goes where its address says and nowhere else. Nothing is told of the address but its host, and Retry-After is
// kept up to an hour.
func Send(client *http.Client, request *http.Request, judge func(status int, text []byte) (Verdict, string)) Outcome {
	still := *client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := still.Do(request)
	if err != nil {
		return Outcome{Verdict: Again, Why: unreachable(request.URL, err)}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, mostRead))
	if err != nil {
		text = nil
	}
	verdict, words := judge(response.StatusCode, text)
	why := ""
	if verdict != Delivered {
		why = request.URL.Host + " answers " + strconv.Itoa(response.StatusCode)
	}
	if words = core.Cut(words, mostRead); words != "" {
		why = strings.TrimPrefix(why+": "+words, ": ")
	}
	return Outcome{Verdict: verdict, Status: response.StatusCode, Why: why, After: retryAfter(response.Header)}
}

// unreachable keeps what the guard says, and says of everything else only which host it was.
func unreachable(address *url.URL, err error) string {
	if classified, ok := errors.AsType[*core.Error](err); ok {
		return classified.Message
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok && wrapped.Timeout() {
		return address.Host + " does not answer in time"
	}
	return address.Host + " cannot be reached"
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds <= 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}
