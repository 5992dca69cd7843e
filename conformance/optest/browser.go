package optest

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Browser is a person's: it keeps cookies, follows no redirect by itself and runs no script. It keeps
// cookies by hand because Go's jar does not send Secure ones to http://127.0.0.1, as browsers do.
type Browser struct {
	t       testing.TB
	lock    sync.Mutex
	cookies map[string]map[string]string // host → name → value
}

// NewBrowser has no cookies yet.
func NewBrowser(t testing.TB) *Browser {
	return &Browser{t: t, cookies: map[string]map[string]string{}}
}

// Answer is what a Browser got.
type Answer struct {
	Status   int
	Address  string // that was asked for
	Location string // absolute; empty when there is none
	Body     string
	Header   http.Header
}

// Get opens an address.
func (b *Browser) Get(address string) Answer {
	b.t.Helper()
	return b.Send(http.MethodGet, address, nil, nil)
}

// Post sends a form.
func (b *Browser) Post(address string, form url.Values) Answer {
	b.t.Helper()
	return b.Send(http.MethodPost, address, form, nil)
}

// Send makes one request with the cookies of its host.
func (b *Browser) Send(method, address string, form url.Values, header http.Header) Answer {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	host := request.URL.Host
	b.lock.Lock()
	for name, value := range b.cookies[host] {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	b.lock.Unlock()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, cookie := range response.Cookies() {
		if b.cookies[host] == nil {
			b.cookies[host] = map[string]string{}
		}
		if cookie.MaxAge < 0 || cookie.Value == "" || !cookie.Expires.IsZero() && cookie.Expires.Year() < 2000 {
			delete(b.cookies[host], cookie.Name)
			continue
		}
		b.cookies[host][cookie.Name] = cookie.Value
	}
	location := response.Header.Get("Location")
	if location != "" {
		absolute, err := request.URL.Parse(location)
		if err != nil {
			b.t.Fatal(err)
		}
		location = absolute.String()
	}
	return Answer{response.StatusCode, address, location, string(body), response.Header}
}

// Cookie is the value of a cookie of an address's host, or nothing.
func (b *Browser) Cookie(address, name string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.cookies[parsed.Host][name]
}

// follow goes on from an answer, through redirects that stay at the identity provider, to a page or
// to the first redirect that leaves for elsewhere.
func (b *Browser) follow(at Answer, issuer string) Answer {
	b.t.Helper()
	home, err := url.Parse(issuer)
	if err != nil {
		b.t.Fatal(err)
	}
	for range 12 {
		if at.Location == "" {
			return at
		}
		next, err := url.Parse(at.Location)
		if err != nil {
			b.t.Fatal(err)
		}
		if next.Host != home.Host {
			return at
		}
		at = b.Get(at.Location)
	}
	b.t.Fatalf("%s goes round in a circle", at.Address)
	return Answer{}
}

// SignOut goes from the address that a relying party sent the browser to, to end the session at the provider,
// through the question whether the person wants that, to where the provider sends it on.
func (b *Browser) SignOut(address string) Answer {
	b.t.Helper()
	at := b.follow(b.Get(address), address)
	if at.Location == "" {
		at = b.follow(b.submit(at, url.Values{"logout": {"yes"}}), address)
	}
	return at
}

var (
	formTag  = regexp.MustCompile(`(?s)<form\b[^>]*?\baction="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`(?s)<input\b[^>]*>`)
	nameAttr = regexp.MustCompile(`\bname="([^"]*)"`)
	valueIs  = regexp.MustCompile(`\bvalue="([^"]*)"`)
	hidden   = regexp.MustCompile(`\btype="hidden"`)
)

// submit fills in the first form of a page, with its hidden fields, and sends it.
func (b *Browser) submit(at Answer, fields url.Values) Answer {
	b.t.Helper()
	found := formTag.FindStringSubmatch(at.Body)
	if found == nil {
		b.t.Fatalf("%s: %d is no page with a form:\n%.2000s", at.Address, at.Status, at.Body)
	}
	base, err := url.Parse(at.Address)
	if err != nil {
		b.t.Fatal(err)
	}
	action, err := base.Parse(html.UnescapeString(found[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	form := url.Values{}
	for _, input := range inputTag.FindAllString(found[2], -1) {
		name := nameAttr.FindStringSubmatch(input)
		if name == nil || !hidden.MatchString(input) {
			continue
		}
		value := ""
		if v := valueIs.FindStringSubmatch(input); v != nil {
			value = html.UnescapeString(v[1])
		}
		form.Set(html.UnescapeString(name[1]), value)
	}
	for name, values := range fields {
		form[name] = values
	}
	return b.Post(action.String(), form)
}
