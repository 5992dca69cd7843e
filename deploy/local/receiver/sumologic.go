package receiver

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"time"
)

// source takes what a Sumo Logic HTTP source takes: records of one line each. Sumo Logic answers 200
// with a body when it had trouble with the data, and 401 to an unknown URL.
func (r *Receiver) source(w http.ResponseWriter, request *http.Request) {
	behaviour := r.delivery()
	body, err := read(request)
	time.Sleep(behaviour.Delay)
	code := r.options.SumoCode.Reveal()
	switch {
	case code == "" || subtle.ConstantTimeCompare([]byte(request.PathValue("code")), []byte(code)) != 1:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case behaviour.Status != 0:
		w.WriteHeader(behaviour.Status)
		return
	case err != nil:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	var events []Event
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) || (behaviour.Poison != nil && behaviour.Poison(line)) {
			answer(w, http.StatusOK, map[string]any{"status": 400, "id": "local", "code": "bad_data", "message": "a record is not JSON"})
			return
		}
		events = append(events, Event{
			Received: r.options.Now().UTC(), Door: "sumologic", Host: request.Header.Get("X-Sumo-Host"),
			Source: request.Header.Get("X-Sumo-Name"), SourceType: request.Header.Get("X-Sumo-Category"), Event: bytes.Clone(line),
		})
	}
	if err := r.store.add(events); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(behaviour.Body))
}
