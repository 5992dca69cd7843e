package sumologic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"postern/core/seal"
	"postern/siem/sink"
	"postern/siem/transport"
)

// read understands what the source said.
func read(reply transport.Reply, address seal.Secret) sink.Answer {
	result := reply.Answer()
	var said struct {
		Status  int    `json:"status"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	complaint := ""
	if err := json.Unmarshal(reply.Text, &said); err == nil && (said.Code != "" || said.Message != "") {
		hidden := secrets(address)
		complaint = fmt.Sprintf("Sumo Logic said %q (%s)", transport.Clean(said.Message, hidden...), transport.Clean(said.Code, hidden...))
	}
	switch {
	case result.Verdict == sink.Accepted && len(bytes.TrimSpace(reply.Text)) > 0 && complaint == "":
		if reply.HTML() {
			return transport.Misconfigured("the address answers, but not as an HTTP source does")
		}
		result.Reason = "Sumo Logic took the events and had something to say that cannot be read"
	case result.Verdict == sink.Accepted && said.Status >= 400:
		// A success that calls itself a failure. What it did with the events is not known.
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: complaint}
	case result.Verdict == sink.Accepted:
		result.Reason = complaint
	case reply.Status == http.StatusBadRequest && complaint != "":
		// About the data, if the source says so itself.
		return sink.Answer{Verdict: sink.Refused, Event: -1, Reason: complaint}
	case reply.Status == http.StatusUnauthorized:
		result.Reason = "the source does not know its address: it may have been regenerated"
	case reply.Status == http.StatusRequestTimeout:
		result.Reason = "the source did not get the request in time, and may have taken a part of it"
	case reply.Status == http.StatusTooManyRequests && complaint == "":
		result.Reason = "the account sends more than Sumo Logic takes at once: it dropped the events, they are sent again"
	case complaint != "":
		result.Reason = complaint
	}
	return result
}

// secrets are the forms in which an answer might echo the address.
func secrets(address seal.Secret) []seal.Secret {
	text := address.Reveal()
	forms := []seal.Secret{address}
	if parsed, err := url.Parse(text); err == nil {
		code := parsed.Path[strings.LastIndexByte(parsed.Path, '/')+1:]
		for _, form := range []string{parsed.RequestURI(), parsed.Path, code, url.PathEscape(code), url.QueryEscape(code), strings.TrimRight(code, "=")} {
			if len(form) > 1 {
				forms = append(forms, seal.NewSecret(form))
			}
		}
	}
	return forms
}
