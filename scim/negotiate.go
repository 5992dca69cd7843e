package scim

import (
	"mime"
	"strconv"
	"strings"
)

// negotiate chooses the type of the answer from the Accept headers (RFC 9110, section 12.5.1):
// application/scim+json unless it is excluded and application/json is not. Without the header, or
// with nothing in it that can be read, anything is acceptable.
func negotiate(headers []string) (media string, acceptable bool) {
	header := strings.Join(headers, ",")
	if header == "" || header == contentType || header == "*/*" {
		return contentType, true
	}
	readable := false
	preferred, plain := preference{}, preference{}
	for part := range strings.SplitSeq(header, ",") {
		name, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		readable = true
		preferred.consider(name, contentType, parameters["q"])
		plain.consider(name, plainType, parameters["q"])
	}
	switch {
	case !readable, preferred.quality > 0:
		return contentType, true
	case plain.quality > 0:
		return plainType, true
	}
	return "", false
}

// preference is how much a type is wanted, by the most specific range that names it.
type preference struct {
	quality  float64
	specific int
}

func (p *preference) consider(name, media, quality string) {
	specific := 0
	switch name {
	case media:
		specific = 3
	case "application/*":
		specific = 2
	case "*/*":
		specific = 1
	}
	if specific <= p.specific {
		return
	}
	weight, err := strconv.ParseFloat(quality, 64)
	if err != nil {
		weight = 1
	}
	p.quality, p.specific = weight, specific
}
