package line

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// sent is one request, with every part of it in the hands of a test.
type sent struct {
	Method  string // default: POST
	Path    string // below the gateway, or a whole address
	Token   string // a bearer token
	Type    string // Content-Type
	Body    string
	Chunked bool // the length is not told
	Header  map[string]string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
}

func (s *stage) send(t testing.TB, out sent) answer {
	t.Helper()
	address := out.Path
	if strings.HasPrefix(address, "/") {
		address = s.Stack.Gateway + address
	}
	if out.Method == "" {
		out.Method = http.MethodPost
	}
	var body io.Reader
	if out.Body != "" {
		body = strings.NewReader(out.Body)
	}
	if out.Chunked {
		body = io.MultiReader(strings.NewReader(out.Body)) // net/http cannot tell its length
	}
	request, err := http.NewRequestWithContext(t.Context(), out.Method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if out.Token != "" {
		request.Header.Set("Authorization", "Bearer "+out.Token)
	}
	if out.Type != "" {
		request.Header.Set("Content-Type", out.Type)
	}
	for name, value := range out.Header {
		request.Header.Set(name, value)
	}
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", out.Method, out.Path, err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(text)}
}
