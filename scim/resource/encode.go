package resource

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Append writes the object as JSON at the end of dst.
func (o *Object) Append(dst []byte) []byte {
	if o.text != nil {
		return append(dst, o.text...)
	}
	dst = append(dst, '{')
	for i, m := range o.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, m.name)
		dst = append(dst, ':')
		dst = appendValue(dst, m.value)
	}
	return append(dst, '}')
}

func appendValue(dst []byte, value any) []byte {
	switch value := value.(type) {
	case *Object:
		return value.Append(dst)
	case []any:
		dst = append(dst, '[')
		for i := range value {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, value[i])
		}
		return append(dst, ']')
	case string:
		return appendText(dst, value)
	case bool:
		return strconv.AppendBool(dst, value)
	case Number:
		return append(dst, value...)
	}
	return append(dst, "null"...)
}

// AppendText writes a JSON string at the end of dst.
func AppendText(dst []byte, text string) []byte { return appendText(dst, text) }

func appendText(dst []byte, text string) []byte {
	// An error only says that the text was no UTF-8; what it could not read is replaced.
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}
