package browser

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"regexp"
	"strings"

	"github.com/chromedp/cdproto/network"

	"postern/core/seal"
)

// judgement says what a request is to a change.
type judgement int

const (
	unrelated judgement = iota
	change              // the change request, with the candidate as every new password
	tampered            // a change request with something else in it
	opaque              // something nobody can look into: not let out, and not the change request
)

// newParameter are names that new passwords travel under when no form told us theirs.
var newParameter = regexp.MustCompile(`(?i)(new|confirm|repeat|again|verif|retype).{0,3}(pass|pwd|pw\b|kennwort|senha|contrase|clave)|(pass|pwd|kennwort|senha|contrase).{0,12}(new|confirm|repeat|again|verif|retype)|^pass(word|wd)?_?[12]$|^passchk$`)

type parameter struct{ name, value string }

// judge reads a request that can carry something.
func (g *gate) judge(request *network.Request, kind network.ResourceType) (judgement, string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	content := body(request)
	mentioned := mentions(g.candidate, written(request, content)...)
	if len(g.names) == 0 && !mentioned {
		return unrelated, "" // the form has not been filled in yet
	}
	if g.unread {
		return change, ""
	}
	if request.HasPostData && content == "" {
		switch {
		case g.released:
			return unrelated, ""
		case kind == network.ResourceTypeDocument:
			return tampered, "the page's request could not be read"
		}
		return opaque, ""
	}
	parameters, err := parse(request, content)
	if err != nil {
		if mentioned {
			return tampered, "the page sends the password in a form that cannot be checked"
		}
		return unrelated, ""
	}
	candidate := g.candidate.Reveal()
	found, concerned := false, false
	for _, p := range parameters {
		last := p.name[strings.LastIndexAny(p.name, ".[")+1:]
		bare := strings.TrimSuffix(last, "]")
		switch {
		case g.names[p.name], len(g.names) > 0 && g.names[bare]:
			concerned = true
			if p.value != candidate {
				return tampered, "the page changed the new password before sending it"
			}
			found = true
		case g.old[p.name] || g.old[bare]:
		case g.hidden[p.name] || newParameter.MatchString(bare):
			if p.value == "" {
				continue
			}
			// Whatever else is named like a new password must be the candidate too. The page's own
			// switches ("confirm_password_policy=on") are not passwords.
			if p.value != candidate && !g.hidden[p.name] && len(p.value) < 6 {
				continue
			}
			concerned = true
			if p.value != candidate {
				return tampered, "the page sends another new password as well"
			}
			found = true
		default:
			if p.value == candidate {
				found = true
			}
		}
	}
	switch {
	case !concerned && !mentioned && !found:
		return unrelated, ""
	case found:
		return change, ""
	}
	return tampered, "the page sends the new password changed"
}

// body is what a request carries. Files are not part of it.
func body(request *network.Request) string {
	var content strings.Builder
	for _, entry := range request.PostDataEntries {
		content.Write(entry.Bytes)
	}
	return content.String()
}

// parse lists the parameters of a request's headers, address and body.
func parse(request *network.Request, content string) ([]parameter, error) {
	list := headers(request)
	address, err := url.Parse(request.URL)
	if err != nil {
		return nil, errUnreadable
	}
	list = appendValues(list, address.RawQuery)
	if content == "" {
		return list, nil
	}
	declared := ""
	for _, one := range list {
		if strings.EqualFold(one.name, "Content-Type") {
			declared = one.value
		}
	}
	kind, options, err := mime.ParseMediaType(declared)
	if err != nil {
		kind = ""
	}
	trimmed := strings.TrimSpace(content)
	switch {
	case kind == "application/x-www-form-urlencoded":
		return appendValues(list, content), nil
	case kind == "multipart/form-data":
		reader := multipart.NewReader(strings.NewReader(content), options["boundary"])
		for {
			part, err := reader.NextRawPart()
			if errors.Is(err, io.EOF) {
				return list, nil
			}
			if err != nil {
				return nil, errUnreadable
			}
			value, err := io.ReadAll(part)
			if err != nil {
				return nil, errUnreadable
			}
			list = append(list, parameter{part.FormName(), string(value)})
		}
	case strings.HasSuffix(kind, "json"), strings.HasPrefix(trimmed, "{"), strings.HasPrefix(trimmed, "["):
		decoder := json.NewDecoder(bytes.NewReader([]byte(content)))
		decoder.UseNumber()
		for {
			var document any
			if err := decoder.Decode(&document); err == io.EOF {
				return list, nil
			} else if err != nil {
				return nil, errUnreadable
			}
			list = appendDocument(list, "", document)
		}
	case kind == "text/plain" && strings.Contains(content, "="):
		for line := range strings.Lines(content) {
			if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok {
				list = append(list, parameter{name, value})
			}
		}
		return list, nil
	}
	return nil, errUnreadable
}

func appendValues(list []parameter, encoded string) []parameter {
	for pair := range strings.SplitSeq(encoded, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName == nil && errValue == nil && name != "" {
			list = append(list, parameter{name, value})
		}
	}
	return list
}

func appendDocument(list []parameter, path string, document any) []parameter {
	switch document := document.(type) {
	case map[string]any:
		for name, value := range document {
			list = appendDocument(list, strings.TrimPrefix(path+"."+name, "."), value)
		}
	case []any:
		for _, value := range document {
			list = appendDocument(list, path, value)
		}
	case string:
		list = append(list, parameter{path, document})
	}
	return list
}

// spellings are the forms a text takes inside requests and pages.
func spellings(secret seal.Secret) []string {
	text := secret.Reveal()
	if text == "" {
		return nil
	}
	quoted, _ := json.Marshal(text)
	list := []string{text, url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text), strings.Trim(string(quoted), `"`), strings.Join(strings.Fields(text), " ")}
	// Forms are encoded by the browser's own rules, which leave *-._ alone and write a space as "+".
	var encoded strings.Builder
	for _, b := range []byte(text) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', strings.IndexByte("*-._", b) >= 0:
			encoded.WriteByte(b)
		case b == ' ':
			encoded.WriteByte('+')
		default:
			fmt.Fprintf(&encoded, "%%%02X", b)
		}
	}
	return append(list, encoded.String())
}
