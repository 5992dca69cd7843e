package http

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// find is the text, number or truth at a place in an answer, and nothing if there is none.
func find(answer any, at string) string {
	switch found := part(answer, at).(type) {
	case string:
		return found
	case json.Number, bool:
		return fmt.Sprint(found)
	}
	return ""
}

// part is what is at a place in an answer; nil if there is nothing. A name that has a dot in it is found where it is the last.
func part(answer any, at string) any {
	for at != "" {
		if whole, ok := answer.(map[string]any); ok {
			if last, ok := whole[at]; ok {
				return last
			}
		}
		name, rest, _ := strings.Cut(at, ".")
		switch inner := answer.(type) {
		case map[string]any:
			answer = inner[name]
		case []any:
			number, err := strconv.Atoi(name)
			if err != nil || number < 0 || number >= len(inner) {
				return nil
			}
			answer = inner[number]
		default:
			return nil
		}
		at = rest
	}
	return answer
}
