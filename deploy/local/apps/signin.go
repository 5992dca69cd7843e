package apps

import (
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
	inputField = regexp.MustCompile(`<input [^>]*type="hidden"[^>]*>`)
	fieldName  = regexp.MustCompile(`\bname="([^"]+)"`)
	fieldValue = regexp.MustCompile(`\bvalue="([^"]*)"`)
	formToken  = regexp.MustCompile(`sectok|LoginToken|authenticity_token|csrfmiddlewaretoken|^cs$|^token$|^set_session$`) // what the applications call theirs
)

// signIn opens a sign-in page, posts its form and looks for the way out that only a signed-in
// visitor sees.
func signIn(ctx context.Context, page, action, usernameField, passwordField string, extra map[string]string, username, password, wayOut string) (bool, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return false, err
	}
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	_, body, err := exchange(ctx, client, http.MethodGet, page, nil)
	if err != nil {
		return false, err
	}
	form := url.Values{usernameField: {username}, passwordField: {password}}
	for _, hidden := range inputField.FindAllString(body, -1) {
		name, value := fieldName.FindStringSubmatch(hidden), fieldValue.FindStringSubmatch(hidden)
		if name != nil && value != nil && formToken.MatchString(name[1]) {
			form.Set(name[1], html.UnescapeString(value[1]))
		}
	}
	for name, value := range extra {
		form.Set(name, value)
	}
	_, body, err = exchange(ctx, client, http.MethodPost, action, form)
	return err == nil && strings.Contains(body, wayOut), err
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
