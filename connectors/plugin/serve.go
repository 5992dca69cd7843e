package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"postern/connectors/plugin/connectorpb"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// Serve is the main of a connector's program: it serves the connector to the gateway that started it, and returns when
// that ends. What it can do is what the connector has the interfaces for. Started by anybody else it says so and exits.
func Serve(connector rotation.Connector) {
	go leaveWith(os.Getppid())
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake, Plugins: goplugin.PluginSet{kind: wire{server: &server{connector: connector}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(maxMessage))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off}),
	})
}

// leaveWith ends the program when the gateway that started it is gone, however that went.
func leaveWith(gateway int) {
	for os.Getppid() == gateway {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}

type server struct {
	connectorpb.UnimplementedConnectorServer
	connector rotation.Connector
}

// Describe implements connectorpb.ConnectorServer.
func (s *server) Describe(context.Context, *connectorpb.Nothing) (*connectorpb.Description, error) {
	can := rotation.Capabilities(s.connector, nil)
	has := func(capability rotation.Capability) bool { return slices.Contains(can, capability) }
	return &connectorpb.Description{
		Changes: has(rotation.CanChange), Resets: has(rotation.CanReset), Disables: has(rotation.CanDisable), Revokes: has(rotation.CanRevoke),
		Lists: has(rotation.CanList), Recovers: has(rotation.CanRecover), Enrols: has(rotation.CanEnrol),
		Issues: has(rotation.CanIssue),
	}, nil
}

// channel is the program's end of an attempt.
type channel = grpc.BidiStreamingServer[connectorpb.FromGateway, connectorpb.FromPlugin]

// Verify implements connectorpb.ConnectorServer.
func (s *server) Verify(c channel) error {
	_, target, credential, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, s.connector.Verify(c.Context(), target, credential))
}

// Change implements connectorpb.ConnectorServer.
func (s *server) Change(c channel) error {
	changer, ok := s.connector.(rotation.Changer)
	if !ok {
		return errors.New("plugin: this connector only verifies")
	}
	task, target, credential, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, changer.Change(c.Context(), target, credential, seal.NewSecret(task.GetNext()), gate(c)))
}

// gate asks the gateway whether a change may leave.
func gate(c channel) func(context.Context) error {
	return func(context.Context) error {
		answer, err := ask(c, &connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_Release{Release: &connectorpb.Nothing{}}}, (*connectorpb.FromGateway).GetReleased)
		if err == nil && answer.GetRefused() {
			err = errors.New("plugin: the gateway does not let the change leave")
		}
		return err
	}
}

// begin reads the task.
func begin(c channel) (*connectorpb.Task, rotation.Target, rotation.Credential, error) {
	fail := func(err error) (*connectorpb.Task, rotation.Target, rotation.Credential, error) {
		return nil, rotation.Target{}, rotation.Credential{}, err
	}
	message, err := c.Recv()
	if err != nil {
		return fail(err)
	}
	task := message.GetTask()
	if task == nil {
		return fail(errors.New("plugin: the gateway begins without a task"))
	}
	given := task.GetTarget()
	workspace, err := core.ParseID(given.GetWorkspace())
	if err != nil {
		return fail(err)
	}
	account, err := core.ParseID(given.GetAccount())
	if err != nil {
		return fail(err)
	}
	target := rotation.Target{
		Workspace: workspace, Account: account, AppName: given.GetAppName(), Domains: given.GetDomains(), SignInURL: given.GetSignInUrl(),
		ChangeURL: given.GetChangeUrl(), Settings: json.RawMessage(given.GetSettings()), AllowPrivate: given.GetAllowPrivate(),
		PasswordRules: given.GetPasswordRules(),
	}
	credential := rotation.Credential{Username: task.GetUsername(), Password: seal.NewSecret(task.GetPassword())}
	if task.GetCodes() {
		credential.Code = func(context.Context) (seal.Secret, error) {
			answer, err := ask(c, &connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_Code{Code: &connectorpb.Nothing{}}}, (*connectorpb.FromGateway).GetCode)
			if err == nil && answer.GetRefused() {
				err = errors.New("plugin: the gateway has no code")
			}
			return seal.NewSecret(answer.GetText()), err
		}
	}
	return task, target, credential, nil
}

// ask sends a question and reads the answer to it. A connector asks one thing at a time.
func ask(c channel, question *connectorpb.FromPlugin, answer func(*connectorpb.FromGateway) *connectorpb.Answer) (*connectorpb.Answer, error) {
	if err := c.Send(question); err != nil {
		return nil, err
	}
	message, err := c.Recv()
	if err != nil {
		return nil, err
	}
	found := answer(message)
	if found == nil {
		return nil, errors.New("plugin: the gateway answers something else")
	}
	return found, nil
}

func finish(c channel, report rotation.Report) error {
	var codes []string
	for _, code := range report.BackupCodes {
		codes = append(codes, code.Reveal())
	}
	return c.Send(&connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_Report{Report: &connectorpb.Report{
		Outcome: string(report.Outcome), Detail: report.Detail, Stage: report.Stage, Hosts: report.Hosts, Released: report.Released,
		Screenshot: report.Screenshot, Model: report.Model, Agent: report.Agent, Rules: report.Rules, Reused: report.Reused, Recorded: report.Recorded, BackupCodes: codes,
	}}})
}
