package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"postern/conformance/signals"
	"postern/core"
)

// conformanceSignals plays an identity provider's signals against a gateway.
type conformanceSignals struct {
	URL     string        `env:"POSTERN_PUBLIC_URL" required:"" help:"Address identity providers reach the gateway at." placeholder:"URL"`
	Token   string        `env:"POSTERN_API_TOKEN" required:"" help:"Token of a service account with connections:read, connections:write and signals:read, or file:PATH or env:NAME." placeholder:"TOKEN"`
	Listen  string        `help:"Where the suite's own identity provider listens." default:"127.0.0.1:0" placeholder:"ADDRESS"`
	Public  string        `help:"Where the gateway reaches it: https, or http on the gateway's own machine; the listening address when left out." placeholder:"URL"`
	Only    string        `placeholder:"PART" help:"Only vectors whose name contains PART; commas separate several: back_channel_logout/,ssf_poll/alg."`
	Format  string        `enum:"text,json,html" default:"text" help:"text, json or html (one page to send to somebody)."`
	Output  string        `type:"path" placeholder:"FILE" help:"Write the report to FILE; the summary still goes to the terminal."`
	Timeout time.Duration `default:"40s" help:"Longest wait for an answer."`
}

// Help is shown by --help.
func (conformanceSignals) Help() string {
	return `Plays an identity provider of its own: it hosts its discovery document and keys, makes connections to itself through the API, provisions people by SCIM, signs them in, and sends every vector of every door with real signatures: Universal Logout, back-channel and front-channel logout, Shared Signals pushed and polled, Okta event hooks, Microsoft Graph, Standard Webhooks and other signed webhooks. It is their Microsoft Graph and their transmitter too, so a worker has to run. It looks at statuses, at what errors are called, at whose sessions died, and at the receipts.

  postern token create --workspace test --name suite --scopes connections:read,connections:write,signals:read
  postern conformance signals --url https://postern.example.com --token file:token --listen :8443 --public https://idp.test.example.com

The gateway has to reach --public: on one machine it needs --allow-private. Use a test workspace: the suite takes its people, tokens, streams and hooks away again and has its connections believe nobody any more. The connections themselves stay, as does what they did on record; the report names them.

The exit code is 0 only when every vector passed.`
}

// Run runs the vectors and writes the report.
func (c conformanceSignals) Run(ctx context.Context, terminal terminal) error {
	token, err := tokenOf(c.Token)
	if err != nil {
		return err
	}
	report, err := signals.Run(ctx, signals.Options{
		URL: c.URL, Token: token, Listen: c.Listen, Public: c.Public, Only: c.Only, Client: &http.Client{Timeout: c.Timeout},
	})
	if err != nil {
		return core.Invalid("conformance", "%v", err)
	}
	var text bytes.Buffer
	if err := map[string]func(io.Writer) error{"text": report.WriteText, "json": report.WriteJSON, "html": report.WriteHTML}[c.Format](&text); err != nil {
		return err
	}
	if c.Output != "" {
		err = os.WriteFile(c.Output, text.Bytes(), 0o644)
	} else {
		_, err = terminal.out.Write(text.Bytes())
	}
	if err != nil {
		return core.Invalid("output", "%v", err)
	}
	if c.Output != "" || c.Format != "text" {
		fmt.Fprintln(terminal.err, report.Verdict())
	}
	switch {
	case report.Interrupted:
		return core.Invalid("", "stopped before every vector was sent")
	case !report.Passed():
		return core.Invalid("", "%s does not conform", c.URL)
	}
	return nil
}
