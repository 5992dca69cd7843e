package ocsf

import "github.com/go-json-experiment/json"

// Severity reads how severe a document says its event is: 1 informational, 2 low, 3 medium, 4 high, 5 critical, 6 fatal.
// What cannot be read is 1.
func Severity(text []byte) int {
	var doc struct {
		Severity int `json:"severity_id"`
	}
	if json.Unmarshal(text, &doc) != nil || doc.Severity < 1 || doc.Severity > 6 {
		return severityInformational
	}
	return doc.Severity
}
