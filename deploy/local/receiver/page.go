package receiver

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"readable": readable}).Parse(pageText))

// shown is how many events the page goes back.
const shown = 200

func (r *Receiver) show(w http.ResponseWriter, _ *http.Request) {
	all := r.Events()
	latest := slices.Clone(all[max(0, len(all)-shown):])
	slices.Reverse(latest)
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, map[string]any{"Total": len(all), "Latest": latest}); err != nil {
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = page.WriteTo(w)
}

// readable tells what an event is about, as far as OCSF says it, and the whole of it.
func readable(event json.RawMessage) map[string]string {
	var known struct {
		Message  string `json:"message"`
		Severity string `json:"severity"`
		Metadata struct {
			Sequence  json.Number `json:"sequence"`
			EventCode string      `json:"event_code"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(event, &known)
	var whole bytes.Buffer
	if json.Indent(&whole, event, "", "  ") != nil {
		whole.Write(event)
	}
	return map[string]string{
		"message": known.Message, "sequence": known.Metadata.Sequence.String(), "code": known.Metadata.EventCode, "whole": whole.String(),
	}
}
