package sumologic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/stream"
)

// idle is how long a connection may rest before it is not used again. The load balancer in front of
// a source closes it after 30 seconds, possibly under the next request.
const idle = 25 * time.Second

// Receiver is one HTTP source. Use it as a literal; it is safe for concurrent use, and sends one
// request at a time, as Sumo Logic asks for.
type Receiver struct {
	// URL is the source's secret address, asked for each request.
	URL func() (seal.Secret, error)
	// HTTP makes the requests.
	HTTP *http.Client

	Category string            // default "postern/audit"
	Name     string            // default "postern"
	Host     string            // "" leaves it to the source
	Fields   map[string]string // must exist in Sumo Logic's fields schema
	// MaxBytes is the size of a request before compression. Default 1 MB, the most a source takes.
	MaxBytes int
	// Timeout is for one request. Default 40 s: the source itself gives up after 30.
	Timeout time.Duration

	mutex sync.Mutex
	last  time.Time
}

var _ sink.Receiver = (*Receiver)(nil)

// Limit implements sink.Receiver.
func (r *Receiver) Limit() int { return cmp.Or(r.MaxBytes, 1_000_000) }

// Send implements sink.Receiver.
func (r *Receiver) Send(ctx context.Context, events []stream.Event) sink.Answer {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	url, err := r.URL()
	if err != nil || url.IsZero() {
		return sink.Answer{Verdict: sink.Misconfigured, Reason: "the source's address cannot be read"}
	}
	body, err := encode(events)
	if err != nil {
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: "the events cannot be written"}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, 40*time.Second))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url.Reveal(), body)
	if err != nil {
		return sink.Answer{Verdict: sink.Misconfigured, Reason: "the source's address is not a URL"}
	}
	r.describe(request.Header)
	if time.Since(r.last) > idle {
		r.HTTP.CloseIdleConnections()
	}
	defer func() { r.last = time.Now() }()
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
	return answer(response, text, url)
}

func (r *Receiver) describe(header http.Header) {
	header.Set("Content-Type", "application/json")
	header.Set("Content-Encoding", "gzip")
	header.Set("X-Sumo-Category", cmp.Or(r.Category, "postern/audit"))
	header.Set("X-Sumo-Name", cmp.Or(r.Name, "postern"))
	if r.Host != "" {
		header.Set("X-Sumo-Host", r.Host)
	}
	if len(r.Fields) > 0 {
		fields := make([]string, 0, len(r.Fields))
		for name, value := range r.Fields {
			fields = append(fields, name+"="+value)
		}
		slices.Sort(fields)
		header.Set("X-Sumo-Fields", strings.Join(fields, ","))
	}
}

// encode writes one document per line.
func encode(events []stream.Event) (*bytes.Reader, error) {
	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	for _, event := range events {
		if _, err := writer.Write(event.Value); err != nil {
			return nil, err
		}
		if _, err := writer.Write([]byte{'\n'}); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return bytes.NewReader(compressed.Bytes()), nil
}

// answer reads what the source said.
func answer(response *http.Response, text []byte, url seal.Secret) sink.Answer {
	result := sink.ByStatus(response)
	result.Event = -1
	var said struct {
		Status  int    `json:"status"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	complaint := ""
	if text = bytes.TrimSpace(text); len(text) > 0 {
		if err := json.Unmarshal(text, &said); err == nil && (said.Code != "" || said.Message != "") {
			complaint = fmt.Sprintf("Sumo Logic said %q (%s)", short(said.Message, url), short(said.Code, url))
		}
	}
	switch status := response.StatusCode; {
	case result.Verdict == sink.Accepted && len(text) > 0 && complaint == "":
		if bytes.HasPrefix(text, []byte("<")) {
			return sink.Answer{Verdict: sink.Misconfigured, Reason: "the address answers, but not as an HTTP source does"}
		}
		result.Reason = "Sumo Logic took the events and had something to say that cannot be read"
	case result.Verdict == sink.Accepted && said.Status >= 400:
		// A success that calls itself a failure. What it did with the events is not known.
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: complaint}
	case result.Verdict == sink.Accepted:
		result.Reason = complaint
	case status == http.StatusBadRequest && complaint != "":
		// About the data, if the source says so itself.
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: complaint}
	case status == http.StatusUnauthorized:
		result.Reason = "the source does not know its address: it may have been regenerated"
	case status == http.StatusRequestTimeout:
		result.Reason = "the source did not get the request in time, and may have taken a part of it"
	case complaint != "":
		result.Reason = complaint
	}
	return result
}

// short keeps a foreign text in bounds, on one line, and free of the secret.
func short(text string, url seal.Secret) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if secret := url.Reveal(); secret != "" {
		text = strings.ReplaceAll(text, secret, "[redacted]")
		if _, code, found := strings.Cut(secret, "/receiver/v1/http/"); found && code != "" {
			text = strings.ReplaceAll(text, code, "[redacted]")
		}
	}
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
