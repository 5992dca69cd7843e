package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"postern/core"
	"postern/deploy/local/visitor"
)

// press pushes one of the buttons on the IdP administrator's page.
func press(ctx context.Context, idp, action string, fields map[string]string) error {
	admin := visitor.New()
	page, err := admin.Get(ctx, idp+"/")
	if err != nil {
		return err
	}
	form := visitor.Form{Action: "/admin/" + action, Method: "POST"}
	page, err = admin.Submit(ctx, page, form, fields)
	if err != nil {
		return err
	}
	if problem := page.URL.Query().Get("problem"); problem != "" {
		return fmt.Errorf("the IdP could not %s: %s", action, problem)
	}
	if page.Status != 200 {
		return fmt.Errorf("the IdP answered %d to %s", page.Status, action)
	}
	return nil
}

// signIn lets a person sign in at Postern through the IdP, and returns the page they land on.
func signIn(ctx context.Context, guest *visitor.Visitor, start, returnTo, userName string) (*visitor.Page, error) {
	page, err := guest.Get(ctx, start+"?return_to="+url.QueryEscape(returnTo))
	if err != nil {
		return nil, err
	}
	for _, form := range page.Forms {
		if form.Fields["username"] == userName && form.Fields["password"] != "" {
			return guest.Submit(ctx, page, form, nil)
		}
	}
	return nil, fmt.Errorf("the IdP's sign-in page does not offer %s (status %d at %s)", userName, page.Status, page.URL.Path)
}

// opens reports whether the sample app lets this login in, by its own form.
func opens(ctx context.Context, app, username, password string) (bool, error) {
	someone := visitor.New()
	page, err := someone.Get(ctx, app+"/sign-in")
	if err != nil {
		return false, err
	}
	form, ok := page.Form("username", "password")
	if !ok {
		return false, fmt.Errorf("the app shows no sign-in form (status %d)", page.Status)
	}
	page, err = someone.Submit(ctx, page, form, map[string]string{"username": username, "password": password})
	if err != nil {
		return false, err
	}
	_, again := page.Form("username", "password")
	return page.Status == 200 && !again, nil
}

// fill asks Postern for the password of an account to be typed into the app, as the console's page
// does when a person presses "Use".
func fill(ctx context.Context, guest *visitor.Visitor, gateway string, account core.ID) (string, error) {
	page, err := guest.Post(ctx, gateway+"/accounts/"+account.String()+"/fill", http.Header{"X-Postern-Console": {"1"}})
	if err != nil {
		return "", err
	}
	var given struct {
		Password string `json:"password"`
		Detail   string `json:"detail"`
	}
	if err := json.Unmarshal([]byte(page.Text), &given); err != nil || given.Password == "" {
		return "", fmt.Errorf("Postern gave no password: status %d %s", page.Status, given.Detail)
	}
	return given.Password, nil
}
