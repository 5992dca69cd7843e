package scim

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"postern/core"
	"postern/scim/resource"
)

// timeFormat is how the times of meta are written (RFC 7643, section 2.3.5).
const timeFormat = time.RFC3339Nano

// kept is what the database keeps of a resource beside its columns, seen without being read: the JSON
// as it is, and which of its members matter for what stands around them.
type kept struct {
	members []byte // without the braces
	schemas []byte // the URNs of the extensions in it, each as JSON with a comma before it
	name    bool
	emails  bool
	odd     bool // a member has the name of a column: the two have to be laid over each other
}

// look goes over the top level of the attributes. They come from the database, so they are JSON.
func look(attributes []byte) kept {
	text := bytes.TrimSpace(attributes)
	if len(text) < 2 {
		return kept{}
	}
	k := kept{members: bytes.TrimSpace(text[1 : len(text)-1])}
	depth, naming := 0, true
	for at := 0; at < len(k.members); at++ {
		switch k.members[at] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			naming = naming || depth == 0
		case '"':
			end := closing(k.members, at)
			if naming && depth == 0 {
				k.note(k.members[at:end+1], k.members[end+1:])
				naming = false
			}
			at = end
		}
	}
	return k
}

// closing is where the string that opens at start closes.
func closing(text []byte, start int) int {
	for at := start + 1; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '"':
			return at
		}
	}
	return len(text) - 1
}

// note takes notice of a member by its name in quotes; rest is what follows it.
func (k *kept) note(quoted, rest []byte) {
	switch name := quoted[1 : len(quoted)-1]; {
	case len(name) > 4 && strings.EqualFold(string(name[:4]), "urn:"):
		if value := bytes.TrimLeft(rest, ": "); len(value) > 0 && value[0] == '{' {
			k.schemas = append(append(k.schemas, ','), quoted...)
		}
	case len(name) > 11:
	case strings.EqualFold(string(name), "name"):
		k.name = true
	case strings.EqualFold(string(name), "emails"):
		k.emails = true
	default:
		for _, column := range columns {
			k.odd = k.odd || strings.EqualFold(string(name), column)
		}
	}
}

var columns = []string{"schemas", "id", "externalId", "userName", "displayName", "active", "meta"}

// writing is a resource being written: what every resource begins with.
func writing(size int, schema string, k kept, id core.ID) []byte {
	text := make([]byte, 0, size)
	text = append(append(text, `{"schemas":["`...), schema...)
	text = append(append(text, '"'), k.schemas...)
	text = append(append(text, `],"id":"`...), id.String()...)
	return append(text, '"')
}

// writeText adds a member that is text, unless it is empty.
func writeText(text []byte, name, value string) []byte {
	if value == "" {
		return text
	}
	text = append(append(append(text, `,"`...), name...), `":`...)
	return resource.AppendText(text, value)
}

// writeMeta adds meta and what is kept, and closes the resource.
func (s *Service) writeMeta(text []byte, kind *resource.Type, id core.ID, created, updated time.Time, version int64, k kept) []byte {
	text = append(append(append(text, `,"meta":{"resourceType":"`...), kind.Name...), `","created":"`...)
	text = created.UTC().AppendFormat(text, timeFormat)
	text = updated.UTC().AppendFormat(append(text, `","lastModified":"`...), timeFormat)
	text = resource.AppendText(append(text, `","location":`...), s.location(kind, id))
	text = strconv.AppendInt(append(text, `,"version":"W/\"`...), version, 10)
	text = append(text, `\""}`...)
	if len(k.members) > 0 {
		text = appendCompact(append(text, ','), k.members)
	}
	return append(text, '}')
}

// appendCompact copies JSON without the spaces the database puts between its parts.
func appendCompact(dst, text []byte) []byte {
	from := 0
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = closing(text, at)
		case ' ':
			dst = append(dst, text[from:at]...)
			from = at + 1
		}
	}
	return append(dst, text[from:]...)
}

// overlaid puts what is kept over a resource written without it: for attributes that somebody stored
// under the name of a column.
func overlaid(text, attributes []byte) (*resource.Object, error) {
	o := resource.Written(text)
	values, err := resource.Decode(attributes)
	if err != nil {
		return nil, core.Internal(err)
	}
	for name, value := range values.All() {
		if !strings.EqualFold(name, "schemas") && !strings.EqualFold(name, "id") && !strings.EqualFold(name, "meta") {
			o.Set(name, value)
		}
	}
	return o, nil
}
