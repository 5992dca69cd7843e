package protocol

import (
	"bytes"
	"encoding/json"

	"postern/core"
)

// Settings reads an app's settings, whose shape is an example for a person. None are the zero value. Whatever is wrong
// with them is Invalid: an unknown member too, so that a misspelt one is found when the app is set up.
func Settings[T any](text []byte, shape string) (T, error) {
	var settings T
	if len(bytes.TrimSpace(text)) == 0 {
		return settings, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&settings); err != nil {
		return settings, core.Invalid("settings", "the app's settings are %s", shape)
	}
	return settings, nil
}

// NoSettings reads the settings of an app that has none.
func NoSettings(text json.RawMessage) (struct{}, error) { return Settings[struct{}](text, "empty: {}") }
