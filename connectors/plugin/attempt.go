package plugin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"postern/connectors/plugin/connectorpb"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// attempt is one Verify, Change and so on. What it may not be asked is nil.
type attempt struct {
	program  *program
	possible []rotation.Outcome
	open     call
	secrets  []seal.Secret
	code     func(ctx context.Context) (seal.Secret, error)
	release  func(ctx context.Context) error
	link     func(ctx context.Context) (seal.Secret, error)
	keep     func(ctx context.Context, secret seal.Secret) (seal.Secret, error)
	each     func(user rotation.User) error
	acts     bool // somebody does something that is held at no gate

	store     func(ctx context.Context, id string, value seal.Secret) error
	eachToken func(token rotation.Token) error

	asked    bool // the program asked for release, or gave a token
	kept     bool // it gave a secret, which was stored
	stored   bool // and the token was
	stopped  bool // each did not take an account or a token
	released bool // and was allowed to send
	claims   bool // it says that it sent the change without having asked
}

// call is one of the program's.
type call = func(stub connectorpb.ConnectorClient, ctx context.Context, options ...grpc.CallOption) (stream, error)

type stream = grpc.BidiStreamingClient[connectorpb.FromGateway, connectorpb.FromPlugin]

func task(target rotation.Target, credential rotation.Credential, next seal.Secret) *connectorpb.Task {
	return &connectorpb.Task{
		Target: &connectorpb.Target{
			Workspace: target.Workspace.String(), Account: target.Account.String(), AppName: target.AppName, Domains: target.Domains,
			SignInUrl: target.SignInURL, ChangeUrl: target.ChangeURL, Settings: target.Settings, AllowPrivate: target.AllowPrivate,
			PasswordRules: target.PasswordRules,
		},
		Username: credential.Username, Password: credential.Password.Reveal(), Codes: credential.Code != nil, Next: next.Reveal(),
	}
}

// run makes the attempt and judges what came of it.
func (a *attempt) run(ctx context.Context, task *connectorpb.Task) rotation.Report {
	now := a.program.options.Now
	report := rotation.Report{Started: now(), Stage: rotation.StageNavigate, Agent: a.program.options.Name}
	end := func(outcome rotation.Outcome, detail string) rotation.Report {
		report.Outcome, report.Detail, report.Finished, report.Released = outcome, detail, now(), report.Released || a.released || a.claims
		return a.clean(report)
	}
	if err := ctx.Err(); err != nil {
		return end(a.broken(err))
	}
	process, err := a.program.acquire(ctx)
	if ctx.Err() != nil && process == nil {
		return end(a.broken(ctx.Err()))
	}
	if err != nil {
		// As if the app were down: nothing is wrong with the account, and it may start next time.
		return end(rotation.Unreachable, sentence(core.AsError(err).Message))
	}
	within, stop := context.WithCancel(ctx)
	defer stop()
	said, err := a.talk(within, process.stub, task)
	if err != nil {
		// Who gave up is no fault of the program; who hangs past that, or breaks off, is replaced.
		a.program.release(process, !a.stopped && !errors.Is(ctx.Err(), context.Canceled))
		if a.stopped {
			return end(rotation.Unknown, "The app tells of more than is wanted.")
		}
		if a.asked {
			report.Stage = rotation.StageSubmit
		}
		ended := ctx.Err()
		if status.Code(err) == codes.DeadlineExceeded {
			ended = context.DeadlineExceeded // the other side may see the end of its time first
		}
		return end(a.broken(ended))
	}
	a.program.release(process, false)
	report.Stage, report.Hosts, report.Screenshot, report.Model = said.GetStage(), said.GetHosts(), said.GetScreenshot(), said.GetModel()
	report.Rules, report.Reused, report.Recorded = said.GetRules(), said.GetReused(), said.GetRecorded()
	report.Released = said.GetReleased() && (a.acts || a.kept)
	for _, code := range said.GetBackupCodes()[:min(len(said.GetBackupCodes()), maxBackupCodes)] {
		if a.kept && code != "" && len(code) <= maxHost {
			report.BackupCodes = append(report.BackupCodes, seal.NewSecret(code))
		}
	}
	a.secrets = append(a.secrets, report.BackupCodes...)
	if said.GetAgent() != "" {
		report.Agent = said.GetAgent()
	}
	return end(a.judge(rotation.Outcome(said.GetOutcome()), said))
}

// talk goes on until the program reports.
func (a *attempt) talk(ctx context.Context, stub connectorpb.ConnectorClient, task *connectorpb.Task) (*connectorpb.Report, error) {
	s, err := a.open(stub, ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Send(&connectorpb.FromGateway{Message: &connectorpb.FromGateway_Task{Task: task}}); err != nil {
		return nil, err
	}
	for {
		message, err := s.Recv()
		if err != nil {
			return nil, err
		}
		switch message := message.GetMessage().(type) {
		case *connectorpb.FromPlugin_Release:
			err = a.answerRelease(ctx, s)
		case *connectorpb.FromPlugin_Code:
			err = a.answerCode(ctx, s)
		case *connectorpb.FromPlugin_Link:
			err = a.answerLink(ctx, s)
		case *connectorpb.FromPlugin_Keep:
			err = a.answerKeep(ctx, s, message.Keep.GetText())
		case *connectorpb.FromPlugin_User:
			err = a.take(message.User)
		case *connectorpb.FromPlugin_Issued:
			err = a.answerIssued(ctx, s, message.Issued)
		case *connectorpb.FromPlugin_Token:
			err = a.takeToken(message.Token)
		case *connectorpb.FromPlugin_Report:
			return message.Report, nil
		default:
			err = errors.New("plugin: a message that is none")
		}
		if err != nil {
			return nil, err
		}
	}
}

// answerRelease lets the change leave if the gateway does, and never twice.
func (a *attempt) answerRelease(ctx context.Context, s stream) error {
	answer := &connectorpb.Answer{Refused: true}
	if a.release != nil && !a.asked {
		a.asked = true
		answer.Refused = a.release(ctx) != nil
		a.released = !answer.Refused
	}
	return s.Send(&connectorpb.FromGateway{Message: &connectorpb.FromGateway_Released{Released: answer}})
}

func (a *attempt) answerCode(ctx context.Context, s stream) error {
	answer := &connectorpb.Answer{Refused: true}
	if a.code != nil {
		if code, err := a.code(ctx); err == nil {
			a.secrets = append(a.secrets, code)
			answer = &connectorpb.Answer{Text: code.Reveal()}
		}
	}
	return s.Send(&connectorpb.FromGateway{Message: &connectorpb.FromGateway_Code{Code: answer}})
}

func (a *attempt) answerLink(ctx context.Context, s stream) error {
	answer := &connectorpb.Answer{Refused: true}
	if a.link != nil {
		if link, err := a.link(ctx); err == nil {
			a.secrets = append(a.secrets, link)
			answer = &connectorpb.Answer{Text: link.Reveal()}
		}
	}
	return s.Send(&connectorpb.FromGateway{Message: &connectorpb.FromGateway_Link{Link: answer}})
}

// answerKeep stores the secret the app shows, once, and gives a code of it.
func (a *attempt) answerKeep(ctx context.Context, s stream, secret string) error {
	answer := &connectorpb.Answer{Refused: true}
	if a.keep != nil && (secret == "") == a.kept {
		shown := seal.NewSecret(secret)
		a.secrets = append(a.secrets, shown)
		if code, err := a.keep(ctx, shown); err == nil {
			a.kept, a.secrets = true, append(a.secrets, code)
			answer = &connectorpb.Answer{Text: code.Reveal()}
		}
	}
	return s.Send(&connectorpb.FromGateway{Message: &connectorpb.FromGateway_Kept{Kept: answer}})
}

// take hands on one of the app's accounts.
func (a *attempt) take(user *connectorpb.User) error {
	if a.each == nil {
		return errors.New("plugin: accounts that nobody asked for")
	}
	err := a.each(rotation.User{Username: user.GetUsername(), Name: user.GetName(), Disabled: user.GetDisabled()})
	a.stopped = err != nil
	return err
}

// broken is what an attempt without a report came to.
func (a *attempt) broken(ended error) (rotation.Outcome, string) {
	switch {
	case a.released:
		return rotation.Unknown, "The request to change the password was released, and the connector's program did not say what became of it."
	case errors.Is(ended, context.DeadlineExceeded):
		return rotation.TimedOut, "The connector's program did not answer in time."
	case a.kept:
		return rotation.Unknown, "The connector's program was given a one-time code, and did not say what became of it."
	case a.release != nil, a.keep != nil:
		return rotation.NotSent, "The connector's program ended before it asked to send the new password."
	}
	return rotation.Unknown, "The connector's program ended before it said what the app does."
}

// The outcomes that each may have.
var (
	seen     = []rotation.Outcome{rotation.Rejected, rotation.Unknown, rotation.FormNotFound, rotation.Challenge, rotation.Locked, rotation.Disabled, rotation.MustChange, rotation.Unreachable, rotation.TimedOut}
	ofVerify = append([]rotation.Outcome{rotation.Accepted}, seen...)
	ofChange = append([]rotation.Outcome{rotation.Applied, rotation.Refused, rotation.NotSent}, seen...)
	ofEnrol  = ofChange

	ofReset   = append([]rotation.Outcome{rotation.AdminRejected, rotation.AdminDenied}, ofChange...)
	ofRecover = append([]rotation.Outcome{rotation.NoMessage}, ofChange...)
	ofAct     = append([]rotation.Outcome{rotation.Applied, rotation.AdminRejected, rotation.AdminDenied}, seen...)
)

// judge believes a report as far as it agrees with what was asked and answered.
func (a *attempt) judge(outcome rotation.Outcome, said *connectorpb.Report) (rotation.Outcome, string) {
	switch {
	case !slices.Contains(a.possible, outcome):
		return rotation.Unknown, "The connector's program says something that makes no sense here."
	case a.keep != nil && !a.kept && (outcome == rotation.Applied || outcome == rotation.Refused || said.GetReleased()):
		return rotation.Unknown, "The connector's program says what the app made of a code, and never had one."
	case a.store != nil && !a.stored && outcome == rotation.Applied:
		return rotation.Unknown, "The connector's program says that the app made a token, and did not give it to be kept."
	case a.acts, a.keep != nil:
		return outcome, said.GetDetail()
	case a.release == nil && said.GetReleased():
		return rotation.Unknown, "The connector's program says that it sent a change, and was to sign in alone."
	case !a.released && (said.GetReleased() || outcome == rotation.Applied):
		a.claims = true
		return rotation.Unknown, "The connector's program says that it sent the change, and never asked whether it may."
	case a.released && outcome == rotation.NotSent:
		return rotation.Unknown, "The connector's program asked to send the change, and says that it did not. " + said.GetDetail()
	}
	return outcome, said.GetDetail()
}

var stages = []string{rotation.StageNavigate, rotation.StageSignIn, rotation.StageChangeForm, rotation.StageSubmit, rotation.StageVerify, rotation.StageEnrolForm}

// What is kept of a report, at most.
const (
	maxText  = 500
	maxHosts = 50
	maxHost  = 255

	maxBackupCodes = 50
)

// clean makes a report fit to be kept: bounded, without control characters and without the secrets the program was given.
func (a *attempt) clean(report rotation.Report) rotation.Report {
	text := func(text string, limit int) string {
		for _, secret := range a.secrets {
			if hidden := secret.Reveal(); hidden != "" {
				text = strings.ReplaceAll(text, hidden, "[redacted]")
			}
		}
		return tidy(text, limit)
	}
	report.Detail, report.Agent, report.Rules = text(report.Detail, maxText), text(report.Agent, maxHost), text(report.Rules, maxText*2)
	if report.Detail == "" {
		report.Detail = "The connector's program says no more."
	}
	switch {
	case report.Released:
		report.Stage = rotation.StageSubmit
	case !slices.Contains(stages, report.Stage):
		report.Stage = rotation.StageNavigate
	}
	var hosts []string
	for _, host := range report.Hosts[:min(len(report.Hosts), maxHosts)] {
		hosts = append(hosts, text(host, maxHost))
	}
	report.Hosts = hosts
	if a.holds(report.Model) || a.holds(report.Screenshot) {
		report.Model, report.Screenshot = nil, nil
	}
	return report
}

func sentence(message string) string { return strings.ToUpper(message[:1]) + message[1:] + "." }

func (a *attempt) holds(data []byte) bool {
	return slices.ContainsFunc(a.secrets, func(secret seal.Secret) bool {
		return !secret.IsZero() && strings.Contains(string(data), secret.Reveal())
	})
}
