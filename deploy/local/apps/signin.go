package apps

import (
	"cmp"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

var (
	inputField  = regexp.MustCompile(`<input [^>]*type="hidden"[^>]*>`)
	fieldName   = regexp.MustCompile(`\bname="([^"]+)"`)
	fieldValue  = regexp.MustCompile(`\bvalue="([^"]*)"`)
	formToken   = regexp.MustCompile(`sectok|LoginToken|authenticity_token|csrfmiddlewaretoken|^cs$|^token$|^set_session$`) // what the applications call theirs
	scriptToken = regexp.MustCompile(`"csrfToken": "([^"]+)"`)                                                              // of a form that a script makes
)

// form is how an application is signed in to.
type form struct {
	page, action       string // paths, when they are not the sign-in page's
	username, password string // what the fields are called
	more               map[string]string
	wayOut             string // what only a signed-in visitor's page has
}

// signIn opens the sign-in page, posts its form and looks for the way out.
func (f form) signIn(ctx context.Context, site *Site, username, password string) (bool, error) {
	page, action := site.URL+cmp.Or(f.page, site.application.signIn), site.URL+cmp.Or(f.action, f.page, site.application.signIn)
	jar, err := cookiejar.New(nil)
	if err != nil {
		return false, err
	}
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	_, body, err := exchange(ctx, client, http.MethodGet, page, nil)
	if err != nil {
		return false, err
	}
	fields := url.Values{f.username: {username}, f.password: {password}}
	for _, hidden := range inputField.FindAllString(body, -1) {
		name, value := fieldName.FindStringSubmatch(hidden), fieldValue.FindStringSubmatch(hidden)
		if name != nil && value != nil && formToken.MatchString(name[1]) {
			fields.Set(name[1], html.UnescapeString(value[1]))
		}
	}
	if token := scriptToken.FindStringSubmatch(body); token != nil {
		fields.Set("csrf_token", token[1])
	}
	for name, value := range f.more {
		fields.Set(name, value)
	}
	_, body, err = exchange(ctx, client, http.MethodPost, action, fields)
	return err == nil && strings.Contains(body, f.wayOut), err
}

func exchange(ctx context.Context, client *http.Client, method, address string, form url.Values) (int, string, error) {
	var content io.Reader
	if form != nil {
		content = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response.StatusCode, string(body), err
}
