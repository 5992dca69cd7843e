package scim_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// about corrupts answers to requests whose path ends so.
func about(ending string, corrupt func(a *http.Response, body map[string]any)) func(*http.Response, map[string]any) {
	return func(a *http.Response, body map[string]any) {
		if body != nil && strings.HasSuffix(a.Request.URL.Path, ending) {
			corrupt(a, body)
		}
	}
}

// each corrupts users, alone and in lists.
func each(corrupt func(user map[string]any)) func(*http.Response, map[string]any) {
	return func(_ *http.Response, body map[string]any) {
		list, _ := body["Resources"].([]any)
		for _, one := range append(list, body) {
			if user, ok := one.(map[string]any); ok && user["userName"] != nil {
				corrupt(user)
			}
		}
	}
}

// refusal makes an answer a SCIM error.
func refusal(a *http.Response, body map[string]any, status, scimType string) {
	clear(body)
	maps.Copy(body, map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": status, "scimType": scimType, "detail": "No."})
	a.StatusCode = map[string]int{"400": 400, "500": 500}[status]
}

// broad corrupts the answer to a filter that matches everybody.
func broad(corrupt func(a *http.Response, body map[string]any)) func(*http.Response, map[string]any) {
	return func(a *http.Response, body map[string]any) {
		if strings.HasPrefix(a.Request.URL.Query().Get("filter"), "not (userName") {
			corrupt(a, body)
		}
	}
}

var listMutants = []mutant{
	{name: "ignores Accept", caught: "rfc/read/not-acceptable", request: func(r *http.Request) { r.Header.Set("Accept", "*/*") }},
	{name: "counts the page for all", caught: "rfc/filter/too-many", answer: broad(func(_ *http.Response, body map[string]any) { body["totalResults"] = body["itemsPerPage"] })},
	{name: "breaks down over many", caught: "rfc/filter/too-many", answer: broad(func(a *http.Response, body map[string]any) { refusal(a, body, "500", "") })},
	{name: "refuses many with another scimType", caught: "rfc/filter/too-many", answer: broad(func(a *http.Response, body map[string]any) { refusal(a, body, "400", "invalidFilter") })},
	{name: "refuses many", caught: "rfc/filter/too-many", fine: true, answer: broad(func(a *http.Response, body map[string]any) { refusal(a, body, "400", "tooMany") })},
	{name: "begins anew at a wrong cursor", caught: "rfc/cursor/invalid", request: func(r *http.Request) {
		if query := r.URL.Query(); strings.HasPrefix(query.Get("cursor"), "not-a-cursor") {
			query.Set("cursor", "")
			r.URL.RawQuery = query.Encode()
		}
	}},
	{name: "takes a count for a value", caught: "rfc/cursor/count", answer: func(_ *http.Response, body map[string]any) {
		if body["scimType"] == "invalidCount" {
			body["scimType"] = "invalidValue"
		}
	}},
	{name: "breaks down over a large count", caught: "rfc/cursor/count-limit", answer: func(a *http.Response, body map[string]any) {
		if body["scimType"] == "invalidCount" {
			refusal(a, body, "500", "")
		}
	}},
	{name: "gives nothing for a large count", caught: "rfc/cursor/count-limit", request: func(r *http.Request) {
		if query := r.URL.Query(); query.Get("count") == "501" {
			query.Set("count", "0")
			r.URL.RawQuery = query.Encode()
		}
	}},
	{name: "bounds a large count", caught: "rfc/cursor/count-limit", fine: true, request: func(r *http.Request) {
		if query := r.URL.Query(); query.Get("count") == "501" {
			query.Set("count", "500")
			r.URL.RawQuery = query.Encode()
		}
	}},
	{name: "turns pages round backwards", caught: "rfc/cursor/previous", answer: func(a *http.Response, body map[string]any) {
		if list, ok := body["Resources"].([]any); ok && a.Request.URL.Query().Get("cursor") != "" && body["previousCursor"] == nil {
			slices.Reverse(list)
		}
	}},
	{name: "has a page before the first", caught: "rfc/cursor/previous", answer: func(a *http.Response, body map[string]any) {
		if a.Request.URL.Query().Get("cursor") != "" && body["previousCursor"] == nil {
			body["previousCursor"] = body["nextCursor"]
		}
	}},
	{name: "an expired cursor is the end", caught: "rfc/cursor/expired", answer: func(a *http.Response, body map[string]any) {
		if body["scimType"] == "expiredCursor" {
			clear(body)
			maps.Copy(body, map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": 2, "Resources": []any{}})
			a.StatusCode = 200
		}
	}},
	{name: "an expired cursor breaks it", caught: "rfc/cursor/expired", answer: func(a *http.Response, body map[string]any) {
		if body["scimType"] == "expiredCursor" {
			refusal(a, body, "500", "")
		}
	}},
	{name: "makes a member another", caught: "rfc/immutable/member", answer: func(a *http.Response, body map[string]any) {
		if body["scimType"] == "mutability" {
			a.StatusCode = 200
		}
	}},
	{name: "cannot read what cannot be changed", caught: "rfc/immutable/member", answer: func(_ *http.Response, body map[string]any) {
		if body["scimType"] == "mutability" {
			body["scimType"] = "invalidPath"
		}
	}},
}

// entitlements corrupts every entitlement and role of a list.
func entitlements(corrupt func(one map[string]any)) func(*http.Response, map[string]any) {
	return func(a *http.Response, body map[string]any) {
		for _, ending := range []string{"/Entitlements", "/Roles"} {
			about(ending, func(_ *http.Response, body map[string]any) {
				list, _ := body["Resources"].([]any)
				for _, one := range list {
					corrupt(one.(map[string]any))
				}
			})(a, body)
		}
	}
}

var oktaMutants = []mutant{
	{name: "lists users without names", caught: "okta/spec/users", answer: about("/Users", func(_ *http.Response, body map[string]any) {
		each(func(user map[string]any) { delete(user, "name") })(nil, body)
	})},
	{name: "lists users without schemas", caught: "okta/spec/users", answer: about("/Users", func(_ *http.Response, body map[string]any) {
		each(func(user map[string]any) { delete(user, "schemas") })(nil, body)
	})},
	{name: "lists users without e-mail", caught: "okta/spec/users", answer: about("/Users", func(_ *http.Response, body map[string]any) {
		each(func(user map[string]any) { user["emails"] = []any{} })(nil, body)
	})},
	{name: "lists users as text", caught: "okta/spec/users", answer: about("/Users", func(_ *http.Response, body map[string]any) { body["itemsPerPage"] = "1" })},
	{name: "forgets what is primary", caught: "okta/spec/user", answer: each(func(user map[string]any) {
		for _, email := range user["emails"].([]any) {
			delete(email.(map[string]any), "primary")
		}
	})},
	{name: "says active as text", caught: "okta/spec/create", answer: each(func(user map[string]any) { user["active"] = "true" })},
	{name: "forgets a given name", caught: "okta/spec/created", answer: each(func(user map[string]any) { delete(user["name"].(map[string]any), "givenName") })},
	{name: "counts what was asked for", caught: "okta/entitlements/list", governed: true, answer: func(_ *http.Response, body map[string]any) {
		if body["itemsPerPage"] != nil {
			body["itemsPerPage"] = 100
		}
	}},
	{name: "entitlements without names", caught: "okta/entitlements/list", governed: true, answer: entitlements(func(one map[string]any) { delete(one, "displayName") })},
	{name: "entitlements as users", caught: "okta/entitlements/list", governed: true, answer: entitlements(func(one map[string]any) {
		one["schemas"] = []string{"urn:ietf:params:scim:schemas:core:2.0:User"}
	})},
	{name: "entitlements of another type", caught: "okta/entitlements/type", governed: true, answer: entitlements(func(one map[string]any) { one["type"] = "account" })},
	{name: "no entitlements", caught: "okta/entitlements/present", governed: true, answer: func(a *http.Response, body map[string]any) {
		if strings.HasSuffix(a.Request.URL.Path, "/Entitlements") {
			body["Resources"], body["totalResults"], body["itemsPerPage"] = []any{}, 0, 0
		}
	}},
}

// asks matches a method and the beginning of a path below the endpoint.
func asks(method, path string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && strings.HasPrefix(r.URL.Path, "/scim/v2"+path)
	}
}

// tellTale refuses a member and says who the last user was that anybody made.
func tellTale() mutant {
	last := ""
	return mutant{name: "names whom it refuses", caught: "rfc/tenancy/members", answer: func(a *http.Response, body map[string]any) {
		if name, ok := body["userName"].(string); ok && a.StatusCode == http.StatusCreated {
			last = name
		}
		if a.StatusCode == http.StatusBadRequest {
			body["detail"] = last + " is no member"
		}
	}}
}

var tenancyMutants = []mutant{
	{name: "shows a user to every tenant", caught: "rfc/tenancy/read", leak: asks(http.MethodGet, "/Users/")},
	{name: "shows a group to every tenant", caught: "rfc/tenancy/read", leak: asks(http.MethodGet, "/Groups/")},
	{name: "replaces for every tenant", caught: "rfc/tenancy/read", leak: asks(http.MethodPut, "/Users/")},
	{name: "patches for every tenant", caught: "rfc/tenancy/read", leak: asks(http.MethodPatch, "/Users/")},
	{name: "deletes for every tenant", caught: "rfc/tenancy/read", leak: asks(http.MethodDelete, "/Groups/")},
	{name: "finds users of every tenant", caught: "rfc/tenancy/filter", leak: asks(http.MethodGet, "/Users")},
	{name: "finds groups of every tenant", caught: "rfc/tenancy/filter", leak: asks(http.MethodGet, "/Groups")},
	{name: "searches every tenant", caught: "rfc/tenancy/search", leak: asks(http.MethodPost, "/.search")},
	{name: "goes on in another tenant", caught: "rfc/tenancy/cursor", leak: asks(http.MethodGet, "/Users")},
	{name: "takes members of every tenant", caught: "rfc/tenancy/members", leak: asks(http.MethodPost, "/Groups")},
	tellTale(),
	{name: "takes members of every tenant in bulk", caught: "rfc/tenancy/bulk", leak: func(r *http.Request) bool {
		sent, _ := r.Context().Value(sentKey{}).(string)
		return asks(http.MethodPost, "/Bulk")(r) && strings.Contains(sent, `"method":"POST"`)
	}},
	{name: "changes every tenant in bulk", caught: "rfc/tenancy/bulk", leak: asks(http.MethodPost, "/Bulk")},
	{name: "has names of every tenant", caught: "rfc/tenancy/names", leak: asks(http.MethodPost, "/Users")},
}

var accessMutants = []mutant{
	{name: "gives a token that opens nothing", caught: "rfc/access/token", answer: about("/token", func(_ *http.Response, body map[string]any) { body["access_token"] = "nothing" })},
	{name: "gives a token of another kind", caught: "rfc/access/token", answer: about("/token", func(_ *http.Response, body map[string]any) { body["token_type"] = "mac" })},
	{name: "lets tokens be kept", caught: "rfc/access/no-store", answer: about("/token", func(a *http.Response, _ map[string]any) { a.Header.Set("Cache-Control", "private") })},
	{name: "400 for a wrong secret", caught: "rfc/access/wrong-secret", answer: about("/token", status(401, 400))},
	{name: "another word for a wrong secret", caught: "rfc/access/wrong-secret", answer: about("/token", func(_ *http.Response, body map[string]any) { body["error"] = "access_denied" })},
	{name: "no challenge for a wrong secret", caught: "rfc/access/wrong-secret", answer: about("/token", func(a *http.Response, _ map[string]any) { a.Header.Del("WWW-Authenticate") })},
	{name: "401 for a grant type", caught: "rfc/access/grant-type", answer: about("/token", status(400, 401))},
	{name: "another word for a grant type", caught: "rfc/access/grant-type", answer: about("/token", func(_ *http.Response, body map[string]any) { body["error"] = "invalid_grant" })},
	{name: "tokens of a minute", caught: "entra/connection/token-life", answer: about("/token", func(_ *http.Response, body map[string]any) { body["expires_in"] = 60 })},
	{name: "tokens of a week", caught: "entra/connection/token-life", answer: about("/token", func(_ *http.Response, body map[string]any) { body["expires_in"] = 604800 })},
	{name: "a life as text", caught: "entra/connection/token-life", answer: about("/token", func(_ *http.Response, body map[string]any) { body["expires_in"] = "3600" })},
}
