package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"postern/core/directory"
	"postern/webhooks/hooks"
	"postern/webhooks/ssf"
)

// testHooks knocks at the door of each of a connection's hooks.
func (d *Doctor) testHooks(ctx context.Context, connection directory.Connection, out *Diagnosis) {
	at := &hooks.Service{DB: d.DB, PublicURL: d.PublicURL}
	all, err := at.Hooks(ctx, d.DB, connection.Workspace)
	if err != nil {
		out.find(Warning, "self-test", "the hooks cannot be read: "+err.Error(), "")
		return
	}
	for _, one := range all {
		if one.Connection != connection.ID {
			continue
		}
		about := string(hookDoors[one.Kind]) + " " + one.Name
		if one.Kind == hooks.Graph {
			token := rand.Text()
			d.knock(ctx, out, about, at.URL(one)+"?validationToken="+token, "text/plain", "", "", func(r reply) string {
				if r.status == http.StatusOK && string(r.body) == token {
					return ""
				}
				return elsewhere(r)
			})
			continue
		}
		d.knock(ctx, out, about, at.URL(one), "application/json", `{"type":"postern.self_test"}`, "Bearer "+selfTestType, func(r reply) string {
			if (r.status == http.StatusUnauthorized || r.status == http.StatusBadRequest) && r.member("error") != "" && r.member("description") != "" {
				return ""
			}
			return elsewhere(r)
		})
	}
}

// testPolls asks the transmitters that are polled, without a token.
func (d *Doctor) testPolls(ctx context.Context, connection directory.Connection, out *Diagnosis) {
	streams, err := d.Streams.StreamsOf(ctx, d.DB, connection.Workspace, connection.ID)
	if err != nil {
		out.find(Warning, "self-test", "the streams cannot be read: "+err.Error(), "")
		return
	}
	for _, one := range streams {
		if one.Delivery != ssf.Poll || one.PollURL == "" {
			continue
		}
		d.knockWith(ctx, d.HTTP, out, "ssf_poll "+one.ID.String(), one.PollURL, "application/json", `{"maxEvents":0,"returnImmediately":true}`, "", func(r reply) string {
			switch {
			case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden || r.status == http.StatusBadRequest:
				return ""
			case r.status < 300:
				return "the transmitter hands out events to whoever asks: have it ask for a token"
			case r.status < 400:
				return "it redirects to " + r.header.Get("Location") + ": make the stream anew, so that its address is read again"
			case strings.HasPrefix(fmt.Sprint(r.status), "5"):
				return fmt.Sprintf("the transmitter answers %d: it is out of order", r.status)
			}
			return fmt.Sprintf("the transmitter answers %d: see whether the stream is still there: postern stream show", r.status)
		})
	}
}
