package splunk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/klauspost/compress/gzip"

	"postern/core"
	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
)

// Receiver is one HTTP Event Collector. Use it as a literal; it is safe for concurrent use.
type Receiver struct {
	// URL is the collector's address, such as https://http-inputs-acme.splunkcloud.com:443, or with
	// the whole path.
	URL string
	// Token is asked for each request, so a token that was changed is used at once.
	Token func() (seal.Secret, error)
	// HTTP makes the requests. Its transport decides which certificates are trusted and which
	// addresses may be reached.
	HTTP *http.Client

	Index      string // "" is the token's default index
	Host       string // default "postern"
	SourceType string // default "postern:ocsf"
	// MaxBytes is the size of a request before compression. Default 1 MB, what Splunk recommends.
	MaxBytes int
	// Timeout is for one request. Default 1 minute.
	Timeout time.Duration
}

var _ sink.Receiver = (*Receiver)(nil)

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return cmp.Or(r.MaxBytes, 1_000_000) }

// Send implements sink.Receiver.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	token, err := r.Token()
	if err != nil || token.IsZero() {
		return sink.Answer{Verdict: sink.Misconfigured, Reason: "the collector's token cannot be read"}
	}
	secret := strings.TrimSpace(token.Reveal())
	if strings.ContainsFunc(secret, unicode.IsControl) {
		return sink.Answer{Verdict: sink.Misconfigured, Reason: "the collector's token holds a character no token has"}
	}
	body, err := r.encode(events)
	if err != nil {
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written"}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, time.Minute))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address(r.URL), body)
	if err != nil {
		return sink.Answer{Verdict: sink.Misconfigured, Reason: "the collector's address is not a URL"}
	}
	request.Header.Set("Authorization", "Splunk "+secret)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "gzip")
	client := *r.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return sink.Unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return sink.Unreachable(err)
	}
	result := answer(response, text)
	result.Reason = strings.ReplaceAll(result.Reason, secret, "[redacted]") // should it ever be echoed
	return result
}

// address completes the URL with the collector's path.
func address(url string) string {
	url = strings.TrimRight(url, "/")
	if strings.Contains(url, "/services/collector") {
		return url
	}
	return url + "/services/collector/event"
}

var writers = sync.Pool{New: func() any {
	writer, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return writer
}}

// encode writes the envelopes one after the other, as the collector wants them.
func (r *Receiver) encode(events []stream.Event) (*bytes.Reader, error) {
	var compressed bytes.Buffer
	writer := writers.Get().(*gzip.Writer)
	defer writers.Put(writer)
	writer.Reset(&compressed)
	common := `,"host":` + quoted(cmp.Or(r.Host, "postern")) + `,"source":"postern","sourcetype":` + quoted(cmp.Or(r.SourceType, "postern:ocsf"))
	if r.Index != "" {
		common += `,"index":` + quoted(r.Index)
	}
	line := make([]byte, 0, 4096)
	for _, event := range events {
		line = append(line[:0], `{"time":`...)
		line = strconv.AppendFloat(line, float64(event.Occurred.UnixMicro())/1e6, 'f', 6, 64)
		line = append(line, common...)
		line = append(line, `,"fields":{"event_id":"`...)
		line = append(line, event.ID.String()...)
		line = append(line, `","workspace":"`...)
		line = append(line, event.Workspace.String()...)
		line = append(line, `","sequence":"`...)
		line = strconv.AppendInt(line, event.Sequence, 10)
		line = append(line, `"},"event":`...)
		line = append(line, event.Value...)
		line = append(line, '}', '\n')
		if _, err := writer.Write(line); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return bytes.NewReader(compressed.Bytes()), nil
}

func quoted(text string) string {
	value, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return string(value)
}

// Check asks whether the collector is there and healthy, without a token: for the doctor.
func (r *Receiver) Check(ctx context.Context) error {
	url, _, _ := strings.Cut(address(r.URL), "/services/collector")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/services/collector/health", nil)
	if err != nil {
		return core.Invalid("url", "the collector's address is not a URL")
	}
	response, err := r.HTTP.Do(request)
	if err != nil {
		return core.Unavailable(time.Minute, "%s", sink.Unreachable(err).Reason)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if verdict := answer(response, text); verdict.Verdict != sink.Accepted {
		return core.Unavailable(time.Minute, "%s", verdict.Reason)
	}
	return nil
}
