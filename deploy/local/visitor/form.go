package visitor

import (
	"net/http"
	"strings"

	"golang.org/x/net/html"
)

// Form is one form of a page: where it goes, and its fields as they stand. The first submit button
// that has a name counts as pressed.
type Form struct {
	Action string
	Method string
	Fields map[string]string
}

// Has reports whether the form has all these fields.
func (f Form) Has(names ...string) bool {
	for _, name := range names {
		if _, ok := f.Fields[name]; !ok {
			return false
		}
	}
	return true
}

// Form finds the first form that has all these fields.
func (p *Page) Form(names ...string) (Form, bool) {
	for _, form := range p.Forms {
		if form.Has(names...) {
			return form, true
		}
	}
	return Form{}, false
}

func forms(text string) []Form {
	var found []Form
	var open *Form
	pressed := false
	tokens := html.NewTokenizer(strings.NewReader(text))
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return found
		}
		token := tokens.Token()
		switch {
		case token.Data == "form" && kind == html.StartTagToken:
			method := strings.ToUpper(attribute(token, "method"))
			if method == "" {
				method = http.MethodGet
			}
			found = append(found, Form{Action: attribute(token, "action"), Method: method, Fields: map[string]string{}})
			open, pressed = &found[len(found)-1], false
		case token.Data == "form" && kind == html.EndTagToken:
			open = nil
		case open == nil || kind == html.EndTagToken:
		case token.Data == "button" || (token.Data == "input" && attribute(token, "type") == "submit"):
			if name := attribute(token, "name"); name != "" && !pressed && attribute(token, "type") != "button" {
				open.Fields[name], pressed = attribute(token, "value"), true
			}
		case token.Data == "input" || token.Data == "textarea" || token.Data == "select":
			name := attribute(token, "name")
			box := attribute(token, "type") == "checkbox" || attribute(token, "type") == "radio"
			if name != "" && (!box || has(token, "checked")) {
				open.Fields[name] = attribute(token, "value")
			}
		}
	}
}

func attribute(token html.Token, name string) string {
	for _, one := range token.Attr {
		if one.Key == name {
			return one.Val
		}
	}
	return ""
}

func has(token html.Token, name string) bool {
	for _, one := range token.Attr {
		if one.Key == name {
			return true
		}
	}
	return false
}
