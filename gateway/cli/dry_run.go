package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"postern/connectors/recipe"
	"postern/core"
	"postern/gateway/api"
)

type dryRunApp struct {
	ofApp `embed:""`
	Last  bool          `help:"Show the last one instead of making another."`
	Wait  time.Duration `help:"How long to wait for it; 0 asks for it and no more." default:"5m"`
}

// Help is shown by 'postern app dry-run --help'.
func (dryRunApp) Help() string {
	return `  postern app dry-run Wiki

Postern signs in with an account of the app whose password is proved, fills the change form in and drops the request.
Nothing is changed in the app. Apps with a recipe are tried every night.`
}

// Run asks the gateway.
func (d dryRunApp) Run(ctx context.Context, terminal terminal) error {
	method := http.MethodPost
	if d.Last {
		method = http.MethodGet
	}
	text, err := d.ask(ctx, method, "/dry-run", nil)
	if err != nil {
		return err
	}
	var one api.DryRun
	deadline := time.Now().Add(d.Wait)
	for {
		if err := json.Unmarshal(text, &one); err != nil {
			return core.Internal(err)
		}
		if !one.Open || d.Last || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if text, err = d.ask(ctx, http.MethodGet, "/dry-run", nil); err != nil {
			return err
		}
	}
	return thing(terminal, d.remote, text, sheet.dryRun)
}

func (s sheet) dryRun(one api.DryRun) {
	if one.Open {
		s.say("A dry run is under way. 'postern app dry-run --last' shows what came of it.")
	}
	if one.Result == "" {
		return
	}
	s.say("%s", map[string]string{
		"passed": "The password could be changed.", "failed": "The password could NOT be changed.",
		"no_account": "There is no account to try it with.", "put_off": "It is put off.",
	}[one.Result])
	s.row("what was seen", visible(one.Detail))
	s.row("outcome", dash(strings.TrimSpace(one.Outcome+" "+one.Stage)))
	s.row("ended (UTC)", utc(one.Finished))
	if one.FailingSince != nil {
		s.row("failing since (UTC)", utc(one.FailingSince))
	}
	if one.Due != nil {
		s.row("next (UTC)", utc(one.Due))
	}
	s.difference("  ", recipe.Told(one.Model))
}

// difference says what became of an app's pages, line by line.
func (s sheet) difference(indent string, what recipe.Difference) {
	for _, line := range what.Gone {
		s.say("%s- %s", indent, visible(line))
	}
	for _, line := range what.New {
		s.say("%s+ %s", indent, visible(line))
	}
}
