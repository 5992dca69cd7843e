package api

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// format is JSON as it travels. What is read has to be exact: text that is not UTF-8, a member given
// twice or under a name in other letters would otherwise become a password nobody meant.
var format = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: read}

// quoted is a piece of the body in the words of a fault. It may be of a password.
var quoted = regexp.MustCompile("(?s)`.*`|'.*'|\".*\"")

func read(text []byte, into any) error {
	err := json.Unmarshal(text, into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if fault, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("this is not JSON at byte %d: %s", fault.ByteOffset, quoted.ReplaceAllString(fault.Err.Error(), "…"))
	}
	if fault, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("this does not fit at #%s", fault.JSONPointer)
	}
	return errors.New("this is not JSON")
}
