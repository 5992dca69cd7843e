package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"postern/conformance/idp"
	"postern/core"
)

// conformanceIDP plays an identity provider against a SCIM endpoint and compares the end with what was
// intended.
type conformanceIDP struct {
	URL         string `help:"Address of the SCIM endpoint: https://postern.example.com/scim/v2" required:"" placeholder:"URL"`
	Token       string `help:"Bearer token of the connection." required:"" env:"POSTERN_SCIM_TOKEN" placeholder:"TOKEN"`
	Shape       string `help:"Who to be: okta, okta-wizard, entra or entra-legacy." enum:"okta,okta-wizard,entra,entra-legacy" default:"okta"`
	Users       int    `help:"People in the initial cycle." default:"200"`
	Groups      int    `help:"Groups in the initial cycle." default:"12"`
	Cycles      int    `help:"Cycles after the initial one: some join, move, leave and return in each." default:"3"`
	Seed        uint64 `help:"What everything follows from; 0 draws one. The same seed needs an empty workspace again." default:"0"`
	Chaos       bool   `help:"Lose requests and answers, deliver some twice, some late and some behind a newer change, answer 503 on the way."`
	Concurrency int    `help:"Requests at once; 0: 8, or as many as a burst has." default:"0"`
	Burst       int    `help:"Send so many requests at once, then none for a while; 0: as they come." default:"0"`
	APIURL      string `name:"api-url" help:"Address of Postern: with it, the effects of each departure are counted too." placeholder:"URL"`
	APIToken    string `name:"api-token" help:"A service account's token with activity:read." env:"POSTERN_API_TOKEN" placeholder:"TOKEN"`
	JSON        bool   `name:"json" help:"Write the report as JSON."`
}

// Help is shown by 'postern conformance idp --help'.
func (conformanceIDP) Help() string {
	return `It creates, changes and deactivates people and groups with made-up names, as the identity provider would, then reads everything back. Give it a workspace of its own: what it makes stays there, and the people it deactivates count for the guard against mass departures, who is asked for nothing below a fifth.

  postern conformance idp --url https://postern.example.com/scim/v2 --token TOKEN --shape entra --users 10000 --groups 200 --chaos

The exit code is 0 when the end is exactly what was intended, and 1 when it is not.`
}

func (c conformanceIDP) Run(ctx context.Context, terminal terminal) error {
	if c.Users < 1 || c.Groups < 0 || c.Cycles < 0 || c.Concurrency < 0 || c.Burst < 0 {
		return core.Invalid("--users", "there is nothing to play with fewer than one person, or less than no groups, cycles, requests at once and bursts")
	}
	shape, err := idp.ParseShape(c.Shape)
	if err != nil {
		return err
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1 << 24)
	}
	options := idp.Options{
		URL: c.URL, Token: c.Token, Shape: shape, Seed: c.Seed, Concurrency: c.Concurrency, Burst: c.Burst,
		Size: idp.Size{Users: c.Users, Groups: c.Groups, Cycles: c.Cycles}, Progress: c.progress(terminal),
	}
	if c.Chaos {
		options.Chaos = idp.Rough()
	}
	if c.APIURL != "" {
		if c.APIToken == "" {
			return core.Invalid("--api-token", "the API wants a token with activity:read")
		}
		options.Events = idp.Activity(&http.Client{Timeout: 30 * time.Second}, c.APIURL, c.APIToken)
	}
	fmt.Fprintf(terminal.err, "seed %d\n", c.Seed)
	report, err := idp.Run(ctx, options)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(terminal.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		report.WriteText(terminal.out)
	}
	if err == nil && report.Failed() {
		err = &core.Error{Kind: core.KindInternal, Code: "not_as_intended", Message: "the end is not what was intended"}
	}
	return err
}

// progress tells on the error stream how far the run is, once a second and at the end of each stage.
func (conformanceIDP) progress(terminal terminal) func(idp.Progress) {
	var last time.Time
	return func(p idp.Progress) {
		if p.Done < p.Total && time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(terminal.err, "%6.1fs  %-28s %6d of %-6d  %d requests, %.0f/s, %d faults\n",
			p.Elapsed.Seconds(), p.Stage, p.Done, p.Total, p.Requests, float64(p.Requests)/p.Elapsed.Seconds(), p.Faults)
	}
}
