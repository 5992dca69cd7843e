package receiver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxBody is Splunk Cloud's recommended size of a request, uncompressed, with room to spare.
const maxBody = 2 << 20

// envelope is HEC's: https://docs.splunk.com, "Format events for HTTP Event Collector".
type envelope struct {
	Time       json.Number                `json:"time"`
	Host       string                     `json:"host"`
	Source     string                     `json:"source"`
	SourceType string                     `json:"sourcetype"`
	Index      string                     `json:"index"`
	Fields     map[string]json.RawMessage `json:"fields"`
	Event      json.RawMessage            `json:"event"`
}

var texts = map[int]string{
	0: "Success", 1: "Token disabled", 2: "Token is required", 3: "Invalid authorization", 4: "Invalid token", 5: "No data",
	6: "Invalid data format", 7: "Incorrect index", 8: "Internal server error", 9: "Server is busy", 12: "Event field is required",
	13: "Event field cannot be blank", 15: "Error in handling indexed fields", 17: "HEC is healthy", 18: "HEC is unhealthy, queues are full",
	23: "Server is shutting down", 26: "HEC queue at capacity", 27: "HEC ACK channel at capacity",
}

func say(w http.ResponseWriter, status, code int, number ...int) {
	body := map[string]any{"text": texts[code], "code": code}
	if len(number) > 0 {
		body["invalid-event-number"] = number[0]
	}
	answer(w, status, body)
}

func (r *Receiver) health(w http.ResponseWriter, _ *http.Request) {
	r.mutex.Lock()
	troubled := r.behaviour.Status >= 500
	r.mutex.Unlock()
	if troubled {
		say(w, http.StatusServiceUnavailable, 18)
		return
	}
	say(w, http.StatusOK, 17)
}

func (r *Receiver) collect(w http.ResponseWriter, request *http.Request) {
	behaviour := r.delivery()
	body, err := read(request)
	time.Sleep(behaviour.Delay)
	switch given, right := r.permitted(request); {
	case behaviour.Status != 0:
		if behaviour.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(behaviour.RetryAfter))
		}
		say(w, behaviour.Status, behaviour.Code)
		return
	case !given:
		say(w, http.StatusUnauthorized, 2)
		return
	case !right:
		say(w, http.StatusForbidden, 4)
		return
	case errors.Is(err, errTooLarge), behaviour.Most > 0 && len(body) > behaviour.Most:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		say(w, http.StatusBadRequest, 6, 0)
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	var events []Event
	for number := 0; ; number++ {
		var one envelope
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		fields, flat := flatten(one.Fields)
		code := 0
		switch {
		case err != nil:
			code = 6
		case len(one.Event) == 0 || string(one.Event) == "null":
			code = 12
		case string(one.Event) == `""` || string(one.Event) == "{}":
			code = 13
		case !flat:
			code = 15
		case behaviour.Poison != nil && behaviour.Poison(one.Event):
			code = 6
		}
		if code != 0 {
			if behaviour.Partly && r.store.add(events) != nil {
				say(w, http.StatusInternalServerError, 8)
				return
			}
			if behaviour.Nameless {
				say(w, http.StatusBadRequest, code)
				return
			}
			say(w, http.StatusBadRequest, code, number)
			return
		}
		events = append(events, Event{
			Received: r.options.Now().UTC(), Door: "splunk", Time: one.Time, Host: one.Host, Source: one.Source,
			SourceType: one.SourceType, Index: one.Index, Fields: fields, Event: one.Event,
		})
	}
	if len(events) == 0 {
		say(w, http.StatusBadRequest, 5)
		return
	}
	if behaviour.Forget {
		events = nil
	}
	if err := r.store.add(events); err != nil {
		say(w, http.StatusInternalServerError, 8)
		return
	}
	say(w, http.StatusOK, 0)
}

// flatten reads indexed fields: strings and lists of strings, nothing nested.
func flatten(fields map[string]json.RawMessage) (map[string]string, bool) {
	if fields == nil {
		return nil, true
	}
	flat := make(map[string]string, len(fields))
	for name, raw := range fields {
		var text string
		var list []string
		if json.Unmarshal(raw, &text) != nil && json.Unmarshal(raw, &list) != nil {
			return nil, false
		}
		if len(list) > 0 {
			text = list[0]
		}
		flat[name] = text
	}
	return flat, true
}

var errTooLarge = errors.New("the body is too large")

// read returns the body, unpacked.
func read(request *http.Request) ([]byte, error) {
	var body io.Reader = request.Body
	switch request.Header.Get("Content-Encoding") {
	case "":
	case "gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unpacked
	default:
		return nil, errors.New("unknown encoding")
	}
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if len(text) > maxBody {
		return nil, errTooLarge
	}
	return text, err
}
