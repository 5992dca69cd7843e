package visitor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Visitor is one person with one cookie jar. It is not safe for concurrent use.
type Visitor struct {
	// Watch, if set, is shown every answer as it came, redirects too, before its body is read.
	Watch func(answer *http.Response)

	client  *http.Client
	cookies map[string]map[string]string // host:port → name → value
}

// New returns a visitor nobody knows yet.
func New() *Visitor {
	return &Visitor{
		cookies: map[string]map[string]string{},
		client: &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Page is what a visitor sees.
type Page struct {
	URL    *url.URL
	Status int
	Text   string
	Forms  []Form
}

// Get opens an address.
func (v *Visitor) Get(ctx context.Context, address string) (*Page, error) {
	return v.do(ctx, http.MethodGet, address, nil, nil)
}

// Post sends what a page's script would: no form, but a header of its own.
func (v *Visitor) Post(ctx context.Context, address string, header http.Header) (*Page, error) {
	return v.do(ctx, http.MethodPost, address, url.Values{}, header)
}

// Submit fills in a form and sends it. Values replace the fields of the same name; the others go as
// they stand.
func (v *Visitor) Submit(ctx context.Context, page *Page, form Form, values map[string]string) (*Page, error) {
	fields := url.Values{}
	for name, value := range form.Fields {
		fields.Set(name, value)
	}
	for name, value := range values {
		fields.Set(name, value)
	}
	action, err := page.URL.Parse(form.Action)
	if err != nil {
		return nil, err
	}
	if form.Method == http.MethodGet {
		action.RawQuery = fields.Encode()
		return v.do(ctx, http.MethodGet, action.String(), nil, nil)
	}
	return v.do(ctx, http.MethodPost, action.String(), fields, nil)
}

const maxRedirects = 12

func (v *Visitor) do(ctx context.Context, method, address string, fields url.Values, header http.Header) (*Page, error) {
	for range maxRedirects {
		page, next, err := v.once(ctx, method, address, fields, header)
		if err != nil || next == "" {
			return page, err
		}
		method, address, fields, header = http.MethodGet, next, nil, nil
	}
	return nil, fmt.Errorf("%s redirects too often", address)
}

func (v *Visitor) once(ctx context.Context, method, address string, fields url.Values, header http.Header) (*Page, string, error) {
	var body io.Reader
	if fields != nil {
		body = strings.NewReader(fields.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, "", err
	}
	request.Header.Set("Accept", "text/html,*/*")
	request.Header.Set("User-Agent", "postern-visitor")
	if fields != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", request.URL.Scheme+"://"+request.URL.Host)
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	for name, value := range v.cookies[request.URL.Host] {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, err := v.client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	if v.Watch != nil {
		v.Watch(response)
	}
	v.remember(request.URL.Host, response.Cookies())
	if location := response.Header.Get("Location"); location != "" && response.StatusCode/100 == 3 {
		next, err := request.URL.Parse(location)
		if err != nil {
			return nil, "", err
		}
		return nil, next.String(), nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return nil, "", err
	}
	page := &Page{URL: request.URL, Status: response.StatusCode, Text: string(text)}
	page.Forms = forms(page.Text)
	return page, "", nil
}

func (v *Visitor) remember(host string, cookies []*http.Cookie) {
	if v.cookies[host] == nil {
		v.cookies[host] = map[string]string{}
	}
	for _, cookie := range cookies {
		if cookie.MaxAge < 0 || (!cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())) {
			delete(v.cookies[host], cookie.Name)
			continue
		}
		v.cookies[host][cookie.Name] = cookie.Value
	}
}
