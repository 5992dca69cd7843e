package signals

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// vector is one request of any door and what must come of it, and what follows it.
type vector struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	At          string   `json:"at"` // whose door: other (connection), theirs (workspace), none; default: the right one
	Quirks      []string `json:"quirks"`
	Kind        string   `json:"kind"` // of the connection; default: generic
	Query       string   `json:"query"`
	Profile     string   `json:"profile"`  // of Shared Signals
	Critical    []string `json:"critical"` // of its transmitter
	Polled      string   `json:"polled"`   // kept: where it is polled it is neither acknowledged nor refused yet
	SignsIn     bool     `json:"signs_in"` // everybody signs in again before it
	Twin        string   `json:"twin"`     // who else has the person's e-mail address: somebody of another connection, or of another workspace

	Same          bool            `json:"same"`
	Authorization *string         `json:"authorization"`
	Signing       string          `json:"signing"`
	Header        map[string]any  `json:"header"`
	RawHeader     string          `json:"raw_header"`
	Claims        json.RawMessage `json:"claims"`
	Payload       string          `json:"payload"`
	Tamper        bool            `json:"tamper"`
	Token         struct {
		Header map[string]any  `json:"header"`
		Claims json.RawMessage `json:"claims"`
	} `json:"token"`

	ContentType *string            `json:"content_type"`
	Body        string             `json:"body"`
	Form        map[string]*string `json:"form"`
	Expect      struct {
		Status    int             `json:"status"`
		Error     string          `json:"error"`
		Err       string          `json:"err"`
		Stage     string          `json:"stage"`
		Kind      string          `json:"kind"`
		Outcome   string          `json:"outcome"`
		Ends      json.RawMessage `json:"ends"` // names, or true
		Verified  bool            `json:"verified"`
		Recorded  bool            `json:"recorded"`
		Discarded bool            `json:"discarded"`
		Stream    string          `json:"stream_status"`
	} `json:"expect"`
	Then []vector `json:"then"`
}

// ends names whose sessions, or which, die.
func (v vector) ends() []string {
	var names []string
	_ = json.Unmarshal(v.Expect.Ends, &names)
	return names
}

// moment is a time of a vector: a number, in the quotes that JSON wants around a placeholder.
var moment = regexp.MustCompile(`"?\{\{now(_ms|[+-][0-9.]+)?\}\}"?`)

// expand replaces the placeholders of a vector by what this run has.
func expand(text string, values map[string]string) string {
	now := time.Now()
	text = moment.ReplaceAllStringFunc(text, func(found string) string {
		said := moment.FindStringSubmatch(found)[1]
		if said == "_ms" {
			return strconv.FormatInt(now.UnixMilli(), 10)
		}
		offset, _ := strconv.ParseFloat(said, 64)
		return strconv.FormatFloat(float64(now.Unix())+offset, 'f', -1, 64)
	})
	for name, value := range values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	return text
}

// expandAll expands the texts of a header.
func expandAll(members map[string]any, values map[string]string) map[string]any {
	out := map[string]any{}
	for name, value := range members {
		if text, ok := value.(string); ok {
			value = expand(text, values)
		}
		out[name] = value
	}
	return out
}
