package filter

import "strings"

// path reads [URN:]name[filter].sub.
func (p *parser) path(depth int, bracketed bool) (Path, error) {
	start := p.at
	for p.at < len(p.text) && nameByte(p.text[p.at]) {
		p.at++
	}
	path, problem := splitName(p.text[start:p.at])
	if problem != "" {
		p.at = start
		return Path{}, p.fault("%s", problem)
	}
	if p.peek() != '[' {
		return path, nil
	}
	switch {
	case bracketed:
		return Path{}, p.fault("brackets may not stand inside brackets")
	case path.Sub != "":
		return Path{}, p.fault("a filter in brackets follows the attribute, not its sub-attribute")
	case depth == MaxDepth:
		return Path{}, p.fault("nested deeper than %d", MaxDepth)
	}
	p.at++
	p.spaces()
	inner, err := p.or(depth+1, true)
	if err != nil {
		return Path{}, err
	}
	p.spaces()
	if p.peek() != ']' {
		return Path{}, p.fault("a closing bracket is missing")
	}
	p.at++
	path.Filter = inner
	if p.peek() != '.' {
		return path, nil
	}
	p.at++
	start = p.at
	for p.at < len(p.text) && nameByte(p.text[p.at]) {
		p.at++
	}
	path.Sub = p.text[start:p.at]
	if !name(path.Sub) {
		p.at = start
		return Path{}, p.fault("the name of a sub-attribute is expected")
	}
	return path, nil
}

// splitName takes a dotted name apart. The URN ends at the last colon, since its version may hold
// a dot.
func splitName(text string) (path Path, problem string) {
	if colon := strings.LastIndexByte(text, ':'); colon >= 0 {
		path.URN, text = text[:colon], text[colon+1:]
		if len(path.URN) < 5 || !strings.EqualFold(path.URN[:4], "urn:") {
			return Path{}, "what stands before the colon should be a schema's URN"
		}
	}
	path.Name, path.Sub, _ = strings.Cut(text, ".")
	if !name(path.Name) || (path.Sub != "" || strings.HasSuffix(text, ".")) && !name(path.Sub) {
		return Path{}, "the name of an attribute is expected"
	}
	return path, ""
}

// name reports whether text is the name of one attribute: a letter, then letters, digits, - and _.
// $ref is the one name with a dollar sign.
func name(text string) bool {
	if text == "" {
		return false
	}
	if text[0] == '$' {
		return strings.EqualFold(text, "$ref")
	}
	if !letter(text[0]) {
		return false
	}
	return !strings.ContainsAny(text, ".:$")
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func nameByte(c byte) bool {
	return letter(c) || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' || c == '$'
}
