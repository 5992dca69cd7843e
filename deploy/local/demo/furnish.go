package demo

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/core"
	"postern/deploy/local"
)

// Login is one shared login of the sample app, with the password it had at the beginning.
type Login struct {
	Username string
	Password string
}

// AppName is what the sample app is called in Postern.
const AppName = "Harbour"

// Furnish makes what a fresh workspace lacks, through the API and the IdP's buttons: its owner is
// pushed, the sample app added, and its shared logins with it. It waits until a sign-in has proven
// each password. What is there already stays as it is.
func Furnish(ctx context.Context, stack local.Descriptor, makeOwner func(context.Context, core.ID) error, logins []Login) error {
	api := API{URL: stack.Gateway, Token: stack.APIToken}
	owner, err := user(ctx, api, "okta", stack.Owner)
	if core.KindOf(err) == core.KindNotFound {
		if err := press(ctx, stack.IdP, "push", map[string]string{"target": "okta", "name": stack.Owner}); err != nil {
			return err
		}
		owner, err = user(ctx, api, "okta", stack.Owner)
	}
	if err != nil {
		return err
	}
	if err := makeOwner(ctx, owner.ID); err != nil {
		return err
	}
	app, err := first(ctx, api, "/apps", "app", func(a named) bool { return a.Name == AppName })
	if core.KindOf(err) == core.KindNotFound {
		err = api.Call(ctx, http.MethodPost, "/apps", map[string]any{
			"name": AppName, "domains": []string{host(stack.App)}, "sign_in_url": stack.App + "/sign-in", "change_url": stack.App + "/account/password",
		}, &app)
	}
	if err != nil {
		return err
	}
	for _, login := range logins {
		account, err := account(ctx, api, login.Username)
		if core.KindOf(err) == core.KindNotFound {
			err = api.Call(ctx, http.MethodPost, "/accounts", map[string]any{
				"app": app.ID, "username": login.Username, "password": login.Password, "owner": owner.ID,
			}, &account)
		}
		if err == nil && account.State != "validated" && account.State != "" {
			// One that waits for a person since an earlier run goes on.
			err = api.Call(ctx, http.MethodPost, "/accounts/"+account.ID.String()+"/verification", nil, nil)
		}
		if err != nil {
			return err
		}
		if err := validated(ctx, api, account); err != nil {
			return err
		}
	}
	return nil
}

func validated(ctx context.Context, api API, account Account) error {
	return until(ctx, time.Minute, "a browser to sign in as "+account.Username, func(ctx context.Context) (bool, error) {
		if err := api.Call(ctx, http.MethodGet, "/accounts/"+account.ID.String(), nil, &account); err != nil || account.State == "validated" {
			return account.State == "validated", err
		}
		var rotations page[Rotation]
		if err := api.Call(ctx, http.MethodGet, "/accounts/"+account.ID.String()+"/rotations?limit=1", nil, &rotations); err != nil {
			return false, err
		}
		for _, latest := range rotations.Items {
			if latest.Detail != "" {
				return false, errors.New(latest.Detail)
			}
		}
		return false, nil
	})
}

func host(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// user finds a person by connection kind and name.
func user(ctx context.Context, api API, kind, name string) (person, error) {
	connection, err := first(ctx, api, "/connections", "connection", func(c named) bool { return c.Kind == kind })
	if err != nil {
		return person{}, err
	}
	query := url.Values{"connection": {connection.ID.String()}, "user_name": {name}}
	return first(ctx, api, "/users?"+query.Encode(), "user", func(p person) bool { return strings.EqualFold(p.UserName, name) })
}

func account(ctx context.Context, api API, username string) (Account, error) {
	return first(ctx, api, "/accounts?limit=500", "account", func(a Account) bool { return a.AppName == AppName && a.Username == username })
}
