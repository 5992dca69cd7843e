package scim

import (
	"strings"

	"postern/scim/resource"
)

// redacted stands where a secret stood.
const redacted = "[redacted]"

// secretWords make an attribute's name tell of a secret. None is part of a name the schemas know but
// for password, which is never kept.
var secretWords = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "credential", "privatekey", "private_key"}

// tellsOfSecret reports whether what goes by this name is a secret. It looks at every name of every
// body, so it does so without making anything.
func tellsOfSecret(name string) bool {
	for i := range len(name) {
		switch name[i] | 0x20 {
		case 'p', 's', 't', 'a', 'c': // what the words begin with
			for _, word := range secretWords {
				if len(name)-i >= len(word) && strings.EqualFold(name[i:i+len(word)], word) {
					return true
				}
			}
		}
	}
	return false
}

// redact is the object without secrets, in whatever form one was sent: as an attribute, at whatever
// depth; as the value a PATCH path or a name beside it leads to; in a path's filter; in JSON inside a
// string. An object without any is returned as it is, and changed is false.
func redact(o *resource.Object) (clean *resource.Object, changed bool) {
	path := o.Text("path")
	named := tellsOfSecret(withoutLiterals(path)) || tellsOfSecret(o.Text("name")) || tellsOfSecret(o.Text("key")) || tellsOfSecret(o.Text("attribute"))
	clean = o
	for name, value := range o.All() {
		kept, altered := value, false
		switch {
		case value == nil:
		case tellsOfSecret(name), named && strings.EqualFold(name, "value"):
			kept, altered = redacted, true
		case named && strings.EqualFold(name, "path") && strings.ContainsRune(path, '['):
			kept, altered = redacted, true
		default:
			kept, altered = redactValue(value)
		}
		if !altered {
			continue
		}
		if !changed {
			clean, changed = o.Clone(), true
		}
		clean.Set(name, kept)
	}
	return clean, changed
}

func redactValue(value any) (clean any, changed bool) {
	switch value := value.(type) {
	case *resource.Object:
		return redact(value)
	case []any:
		for i, element := range value {
			kept, altered := redactValue(element)
			if !altered {
				continue
			}
			if !changed {
				value = append([]any(nil), value...)
			}
			value[i], changed = kept, true
		}
		return value, changed
	case string:
		return redactText(value)
	}
	return value, false
}

// redactText looks into JSON inside a string, as Entra ID writes roles.
func redactText(text string) (clean any, changed bool) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' || !tellsOfSecret(text) && !strings.Contains(text, `\u`) {
		return text, false
	}
	inner, err := resource.Decode([]byte(`{"in":` + trimmed + `}`))
	if err != nil && !tellsOfSecret(text) {
		return text, false
	}
	if err != nil {
		return redacted, true
	}
	value, _ := inner.Get("in")
	kept, changed := redactValue(value)
	if !changed {
		return text, false
	}
	whole := string(resource.NewObject("in", kept).Append(nil))
	return strings.TrimSuffix(strings.TrimPrefix(whole, `{"in":`), "}"), true
}

// withoutLiterals is a path or filter without the quoted values in it: what is left are names.
func withoutLiterals(path string) string {
	if strings.IndexByte(path, '"') < 0 {
		return path
	}
	var names strings.Builder
	quoted := false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted:
			names.WriteByte(c)
		}
	}
	return names.String()
}
