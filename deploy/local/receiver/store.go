package receiver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Event is one event as it arrived.
type Event struct {
	Received   time.Time         `json:"received"`
	Door       string            `json:"door"` // "splunk" or "sumologic"
	Time       json.Number       `json:"time,omitempty"`
	Host       string            `json:"host,omitempty"`
	Source     string            `json:"source,omitempty"`
	SourceType string            `json:"sourcetype,omitempty"`
	Index      string            `json:"index,omitempty"`
	Fields     map[string]string `json:"fields,omitempty"`
	Event      json.RawMessage   `json:"event"`
}

// store keeps events in memory and in a file of one JSON value a line.
type store struct {
	mutex  sync.RWMutex
	file   *os.File
	events []Event
}

func openStore(folder string) (*store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "events.jsonl"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	s := &store{file: file}
	whole := int64(0)
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // a last line without its end was cut by a crash, and never acknowledged
			break
		}
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			break
		}
		s.events = append(s.events, event)
		whole += int64(len(line))
	}
	return s, errors.Join(file.Truncate(whole), seek(file, whole))
}

func seek(file *os.File, to int64) error {
	_, err := file.Seek(to, 0)
	return err
}

func (s *store) add(events []Event) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, event := range events {
		if err := encoder.Encode(event); err != nil {
			return err
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, err := s.file.Write(lines.Bytes()); err != nil {
		return err
	}
	s.events = append(s.events, events...)
	return nil
}

// after returns up to limit events, leaving out the first skip.
func (s *store) after(skip, limit int) []Event {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	skip = min(skip, len(s.events))
	return append([]Event{}, s.events[skip:min(len(s.events), skip+limit)]...)
}

func (s *store) close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.file.Close()
}
