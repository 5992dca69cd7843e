package lifecycle

import (
	"bytes"
	"encoding/json"
	"reflect"

	"postern/core/directory"
)

// userDifference names what differs between two states of a user, apart from being active, in the
// words of SCIM. Values are personal and stay out of events.
func userDifference(before, after directory.User) []string {
	var fields []string
	for _, text := range []struct {
		field     string
		different bool
	}{
		{"userName", before.UserName != after.UserName},
		{"externalId", before.ExternalID != after.ExternalID},
		{"displayName", before.DisplayName != after.DisplayName},
		{"name.givenName", before.GivenName != after.GivenName},
		{"name.familyName", before.FamilyName != after.FamilyName},
		{"emails", before.Email != after.Email},
		{"role", before.Role != after.Role},
		{"attributes", !sameJSON(before.Attributes, after.Attributes)},
	} {
		if text.different {
			fields = append(fields, text.field)
		}
	}
	return fields
}

// teamDifference is userDifference for the team itself, without its members.
func teamDifference(before, after directory.Team) []string {
	var fields []string
	if before.DisplayName != after.DisplayName {
		fields = append(fields, "displayName")
	}
	if before.ExternalID != after.ExternalID {
		fields = append(fields, "externalId")
	}
	if !sameJSON(before.Attributes, after.Attributes) {
		fields = append(fields, "attributes")
	}
	return fields
}

// sameJSON compares what two JSON texts say: the database keeps neither spaces nor the order of
// members, so a resource that was sent twice does not read back letter by letter.
func sameJSON(one, other json.RawMessage) bool {
	if sameText(one, other) {
		return true
	}
	first, err := readJSON(one)
	if err != nil {
		return false
	}
	second, err := readJSON(other)
	return err == nil && reflect.DeepEqual(first, second)
}

// sameText compares JSON texts letter by letter, but for the space between their tokens: that is how most
// read back.
func sameText(one, other []byte) bool {
	quoted := false
	for {
		if !quoted {
			one, other = afterSpace(one), afterSpace(other)
		}
		if len(one) == 0 || len(other) == 0 {
			return len(one) == len(other)
		}
		if one[0] != other[0] {
			return false
		}
		escaped := quoted && one[0] == '\\' && len(one) > 1 && len(other) > 1
		if one[0] == '"' {
			quoted = !quoted
		}
		one, other = one[1:], other[1:]
		if escaped {
			if one[0] != other[0] {
				return false
			}
			one, other = one[1:], other[1:]
		}
	}
}

func afterSpace(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\n' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}

// readJSON keeps numbers as they were written: two long ids do not become equal by rounding.
func readJSON(text json.RawMessage) (any, error) {
	if len(text) == 0 {
		return map[string]any{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}
