package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"postern/conformance/scim"
	"postern/core"
)

// conformanceCommands are played against any server.
type conformanceCommands struct {
	SCIM    conformanceSCIM    `cmd:"" name:"scim" help:"Ask any SCIM server what the RFCs, Okta and Entra ID ask of it, and report."`
	Signals conformanceSignals `cmd:"" name:"signals" help:"Send a gateway every right and wrong logout and security event there is a vector of, and report."`
	IDP     conformanceIDP     `cmd:"" name:"idp" help:"Play Okta or Entra ID against a SCIM server: cycles, retries, duplicates, reordering."`
}

// conformanceSCIM asks a SCIM server everything.
type conformanceSCIM struct {
	URL         string        `env:"POSTERN_SCIM_URL" help:"Base of the SCIM endpoint: https://postern.example.com/scim/v2."`
	Token       string        `env:"POSTERN_SCIM_TOKEN" help:"Bearer token of a connection, or file:PATH or env:NAME. Better not on the command line."`
	OtherToken  string        `env:"POSTERN_SCIM_OTHER_TOKEN" help:"Token of another tenant, given likewise: what one has must be invisible to the other. Without it that is skipped."`
	TokenURL    string        `env:"POSTERN_SCIM_TOKEN_URL" help:"OAuth token endpoint, to ask it for tokens too: https://postern.example.com/scim/oauth/token."`
	ClientID    string        `env:"POSTERN_SCIM_CLIENT_ID" help:"OAuth client for --token-url."`
	Secret      string        `name:"client-secret" env:"POSTERN_SCIM_CLIENT_SECRET" help:"Its secret, or file:PATH or env:NAME. Better not on the command line."`
	Profile     string        `enum:"okta,entra,rfc,all" default:"all" help:"What to ask for: okta, entra, rfc or all."`
	Only        string        `placeholder:"PATTERN" help:"Only checks whose name contains PATTERN, or matches it where it has a *; commas separate several: rfc/patch/*,entra/manager."`
	Format      string        `enum:"text,json,junit,html" default:"text" help:"text, json, junit (for build servers) or html (one page to send to somebody)."`
	Output      string        `type:"path" placeholder:"FILE" help:"Write the report to FILE; the summary still goes to the terminal."`
	List        bool          `help:"List the checks and where each is written; ask nothing."`
	Concurrency int           `default:"8" help:"Checks under way at once."`
	Timeout     time.Duration `default:"30s" help:"Longest wait for an answer."`
	Patience    time.Duration `default:"5s" help:"Longest wait for a cursor to expire. One that lives longer is not waited for, and that check is skipped."`
}

// Help is shown by --help.
func (conformanceSCIM) Help() string {
	return `Asks any SCIM 2.0 server, Postern or another, what the RFCs, Okta and Entra ID ask of it, over HTTP alone.

  export POSTERN_SCIM_TOKEN=file:token
  postern conformance scim --url https://postern.example.com/scim/v2 --profile okta
  postern conformance scim --url … --format html --output report.html
  postern conformance scim --url … --profile rfc --only 'rfc/patch/*,rfc/filter/*'

Profiles: okta is Okta's own SPEC test and every shape Okta sends; entra is Microsoft's validation cases and
every shape Entra ID sends; rfc is RFC 7643, 7644 and 9865, clause by clause; all is the three together.

With --other-token, a token of another tenant (of Postern: of a connection in another workspace), it asks that
each sees nothing of the other, by id, filter, search, cursor, member or bulk. With --token-url, --client-id
and --client-secret it asks the OAuth token endpoint for tokens, rightly and wrongly. Both are skipped without.

It creates users and groups under names nobody has, reads and changes only those, and deletes them: use a
connection of a test workspace all the same. Features that the server's ServiceProviderConfig does not claim
are skipped, and named. A failed MUST fails the run; a failed SHOULD is a warning.

The exit code is 0 only when everything required passed. Ctrl-C reports what was done so far.`
}

// Run runs the checks and writes the report.
func (c conformanceSCIM) Run(ctx context.Context, terminal terminal) error {
	profile := scim.Profile(c.Profile)
	if c.List {
		for _, check := range scim.Checks(profile) {
			fmt.Fprintf(terminal.out, "%-40s %-6s  %s (%s)\n", check.Name, check.Level, check.Title, check.Source)
		}
		return nil
	}
	var secrets [3]string
	for i, given := range []string{c.Token, c.OtherToken, c.Secret} {
		var err error
		if secrets[i], err = tokenOf(given); err != nil {
			return err
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64, Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	progress := progressLine{screen: screen{terminal.err}}
	report, err := scim.Run(ctx, scim.Options{
		URL: c.URL, Token: secrets[0], OtherToken: secrets[1], TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: secrets[2],
		Profile: profile, Only: c.Only, Concurrency: c.Concurrency, Patience: c.Patience, Progress: progress.show,
		Client: &http.Client{Transport: transport, Timeout: c.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	})
	progress.clear()
	if err != nil {
		return core.Invalid("conformance", "%v", err)
	}
	if err := c.write(report, terminal.out); err != nil {
		return err
	}
	if c.Output != "" || c.Format != "text" {
		fmt.Fprintln(terminal.err, report.Verdict())
	}
	if report.Interrupted {
		return core.Invalid("", "stopped before every check was run")
	}
	if !report.Passed() {
		return core.Invalid("", "%s does not conform", c.URL)
	}
	return nil
}

// write writes the report in the format asked for, to a file whole or not at all.
func (c conformanceSCIM) write(report scim.Report, out io.Writer) error {
	var text bytes.Buffer
	err := map[string]func(io.Writer) error{"text": report.WriteText, "json": report.WriteJSON, "junit": report.WriteJUnit, "html": report.WriteHTML}[c.Format](&text)
	if err != nil {
		return err
	}
	if c.Output == "" {
		_, err = out.Write(text.Bytes())
		return err
	}
	if err := os.WriteFile(c.Output, text.Bytes(), 0o644); err != nil {
		return core.Invalid("output", "%v", err)
	}
	return nil
}

// tokenOf reads a token given by reference; one given as it is stays so.
func tokenOf(given string) (string, error) {
	if name, found := strings.CutPrefix(given, "env:"); found {
		if given = os.Getenv(name); given == "" {
			return "", core.Invalid("token", "the environment variable %s is empty", name)
		}
	} else if path, found := strings.CutPrefix(given, "file:"); found {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", core.Invalid("token", "%v", err)
		}
		given = string(text)
	}
	return strings.TrimSpace(given), nil
}

// progressLine is a line that is written over, on a terminal and nowhere else.
type progressLine struct {
	screen
	shown bool
}

func (p *progressLine) show(done, total int, latest scim.Result) {
	if p.style("1", "") == "" {
		return
	}
	p.shown = true
	name := latest.Name
	if len(name) > 50 {
		name = name[:50]
	}
	fmt.Fprintf(p.out, "\r\x1b[K%4d/%d  %s", done, total, p.style("2", name))
}

func (p *progressLine) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
