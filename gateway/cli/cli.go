package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"postern/core"
)

// commands is the whole command line.
type commands struct {
	Serve   serve       `cmd:"" help:"Run Postern. Configuration comes from flags and POSTERN_… variables."`
	Dev     dev         `cmd:"" help:"Run everything on this machine with nothing configured: database, Kafka, development IdP, sample app, event receiver and Postern."`
	Demo    demoCommand `cmd:"" help:"Play the main job against a running 'postern dev' and verify each step from outside."`
	Migrate migrate     `cmd:"" help:"Bring the database schema up to date."`
	Key     key         `cmd:"" help:"Print a fresh 32-byte key for --key or --audit-key."`

	Login    login            `cmd:"" group:"remote" help:"Keep a gateway's address and a token for it, for the commands below."`
	Leave    logout           `cmd:"" name:"logout" group:"remote" help:"Forget them."`
	App      appCommands      `cmd:"" group:"remote" help:"List and add the apps whose passwords are kept."`
	Recipe   recipeCommands   `cmd:"" group:"remote" help:"Record how an app is signed in to where its forms are not found."`
	Account  accountCommands  `cmd:"" group:"remote" help:"List, add, tag and prove shared accounts."`
	Grant    grantCommands    `cmd:"" group:"remote" help:"Share accounts, and see who may use what."`
	Link     linkCommands     `cmd:"" group:"remote" help:"Give passwords to people outside, for a while, and see who saw them."`
	Sink     sinkCommands     `cmd:"" group:"remote" help:"Deliver events to a SIEM, see how that goes, and prove that nothing is missing."`
	Guest    guestCommands    `cmd:"" group:"remote" help:"Invite people outside, who sign in with mailed codes."`
	Partner  partnerCommands  `cmd:"" group:"remote" help:"Say which organisations guests are of, and end the access of all of one's."`
	Rotation rotationCommands `cmd:"" group:"remote" help:"Replace passwords, and see how it went."`
	Service  serviceCommands  `cmd:"" group:"remote" help:"Look after service accounts: owners, credentials, rotations, findings."`
	Policy   policyCommands   `cmd:"" group:"remote" help:"Say what starts a rotation: a schedule, a sign-in, somebody who leaves or loses access."`
	Posture  postureCommands  `cmd:"" group:"remote" help:"See how well accounts are kept, and give orphans new owners."`
	Review   reviewCommands   `cmd:"" group:"remote" help:"Ask whether access is still needed, and prove what was decided."`
	User     userCommands     `cmd:"" group:"remote" help:"List people, deprovision and reactivate them by hand; on the database: make the first owner."`
	Proposal proposalCommands `cmd:"" group:"remote" help:"Give who is back what they had before they left."`
	Team     teamCommands     `cmd:"" group:"remote" help:"List teams."`
	Import   importFile       `cmd:"" group:"remote" help:"Add accounts from the file of another password manager."`
	Activity activityCommands `cmd:"" group:"remote" help:"See what happened, follow it, and download it."`
	Audit    auditCommands    `cmd:"" group:"remote" help:"Prove that nothing is missing from the log and nothing in it was changed."`

	Workspace   workspaceCommands    `cmd:"" help:"Create workspaces: one per customer organisation."`
	Connection  connectionCommands   `cmd:"" help:"Connect identity providers, and keep their tokens."`
	Token       tokenCommands        `cmd:"" help:"Give scripts and other systems tokens for the API."`
	Session     sessionCommands      `cmd:"" help:"See who is signed in, end sessions, and set how long they last."`
	SCIM        scimCommands         `cmd:"" name:"scim" help:"See what identity providers asked for, and play it again."`
	Certificate certificateCommands  `cmd:"" help:"Prove what became of the passwords of who left, and verify it."`
	Succession  successionCommands   `cmd:"" help:"Say who accounts pass to when their last owner goes."`
	Hold        holdCommands         `cmd:"" help:"Decide on mass departures that wait."`
	Signal      signalCommands       `cmd:"" help:"See what identity providers said and what it did, and decide what it does."`
	Stream      streamCommands       `cmd:"" help:"Receive Shared Signals: make, adopt and prove streams."`
	Receiver    receiverCommands     `cmd:"" help:"Send Shared Signals: say who may hear them, and see how it goes."`
	Logout      logoutTargetCommands `cmd:"" name:"logout-target" help:"Have apps end sessions when somebody is logged out or leaves."`
	Hook        hookCommands         `cmd:"" help:"Receive events by Okta Event Hooks, Microsoft Graph, Standard Webhooks or any webhook that is signed."`
	Webhook     webhookCommands      `cmd:"" help:"Tell endpoints what happens, by Standard Webhooks."`
	SigningKey  signingKeyCommands   `cmd:"" name:"signing-key" help:"List and replace the keys Postern signs with."`
	Doctor      doctorCommands       `cmd:"" help:"Say what is wrong with a connection or an app, and what to do about it."`

	Completion kongcompletion.Completion `cmd:"" help:"Have bash, zsh or fish complete commands, flags and their values."`

	Conformance conformanceCommands `cmd:"" help:"Ask SCIM servers, Postern or others, whether they do what identity providers need."`
}

// terminal is where a command speaks: results on out, everything else on err.
type terminal struct {
	out, err io.Writer
}

// exitCodes are by core.Kind; 1 is for what nobody classified.
var exitCodes = map[core.Kind]int{
	core.KindInternal: 1, core.KindInvalid: 2, core.KindTooLarge: 2, core.KindUnauthenticated: 3, core.KindDenied: 3,
	core.KindNotFound: 4, core.KindConflict: 5, core.KindStale: 5, core.KindRateLimited: 6, core.KindUnavailable: 6,
}

// Run executes a command line, without the program's name, and returns the exit code.
func Run(arguments []string, out, errors io.Writer) int {
	var commands commands
	code := -1
	parser, err := kong.New(&commands,
		kong.Name("postern"),
		kong.Description("Postern closes the gap between your identity provider and the shared passwords it cannot see.\n\nNew here? Run 'postern dev --play'."),
		kong.UsageOnError(),
		kong.Writers(out, errors),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(asked int) { code = asked }),
		kong.Vars{"data": defaultData()},
		kong.Groups{
			"provisioning": "How its SCIM endpoint behaves:",
			"remote":       "Of a gateway anywhere, by its API:",
			"gateway":      "Which gateway, and how to print:",
			"events":       "Which events:",
		},
	)
	if err != nil {
		fmt.Fprintln(errors, "postern:", err)
		return 1
	}
	// A shell that asks how a line could go on gets its answer here.
	kongcompletion.Register(parser, kongcompletion.WithExitFunc(func(asked int) { code = asked }))
	if code >= 0 {
		return code
	}
	if len(arguments) == 0 {
		arguments = []string{"--help"}
	}
	parsed, err := parser.Parse(arguments)
	if code >= 0 { // --help was answered
		return code
	}
	if err != nil {
		fmt.Fprintln(errors, "postern:", err)
		return 2
	}
	ctx, stop := untilStopped()
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return report(errors, parsed.Run(terminal{out, errors}))
}

// untilStopped ends the context at the first SIGINT or SIGTERM; a second one ends the process.
func untilStopped() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals, ended := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	next := func() bool {
		select {
		case <-signals:
			return true
		case <-ended:
			return false
		}
	}
	go func() {
		if next() {
			cancel()
		}
		if next() {
			os.Exit(130)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(ended)
		cancel()
	}
}

func report(out io.Writer, err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	if remaining, ok := errors.AsType[open](err); ok {
		fmt.Fprintln(out, "postern:", remaining)
		return exitOpen
	}
	classified := *core.AsError(err)
	if classified.Kind == core.KindConflict || classified.Kind == core.KindNotFound {
		classified.Err = nil // what PostgreSQL said of it helps nobody
	}
	fmt.Fprintln(out, "postern:", classified.Error())
	return exitCodes[classified.Kind]
}

// newLogger writes to a terminal or a collector. Levels and formats are checked by the parser.
func newLogger(out io.Writer, level, format string) *slog.Logger {
	var parsed slog.Level
	if err := parsed.UnmarshalText([]byte(level)); err != nil {
		parsed = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: parsed}
	if format == "text" {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
