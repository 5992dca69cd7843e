package plugin

import (
	"context"
	"errors"

	"postern/connectors/plugin/connectorpb"
	"postern/core/rotation"
	"postern/core/seal"
)

// The gateway's end.

// Issue implements rotation.Issuer.
func (c *Connector) Issue(ctx context.Context, target rotation.Target, by rotation.Credential, username, name string, keep func(ctx context.Context, id string, value seal.Secret) error) rotation.Report {
	a := c.attempt(ofAct, connectorpb.ConnectorClient.Issue, by)
	wanted := task(target, by, seal.Secret{})
	a.acts, a.store, wanted.Whom, wanted.TokenName = true, keep, username, name
	return a.run(ctx, wanted)
}

// Tokens implements rotation.Issuer.
func (c *Connector) Tokens(ctx context.Context, target rotation.Target, by rotation.Credential, username string, each func(token rotation.Token) error) rotation.Report {
	a := c.attempt(ofAct, connectorpb.ConnectorClient.Tokens, by)
	wanted := task(target, by, seal.Secret{})
	a.acts, a.eachToken, wanted.Whom = true, each, username
	return a.run(ctx, wanted)
}

// Withdraw implements rotation.Issuer.
func (c *Connector) Withdraw(ctx context.Context, target rotation.Target, by rotation.Credential, username, id string) rotation.Report {
	a := c.attempt(ofAct, connectorpb.ConnectorClient.Withdraw, by)
	wanted := task(target, by, seal.Secret{})
	a.acts, wanted.Whom, wanted.TokenId = true, username, id
	return a.run(ctx, wanted)
}

// TryToken implements rotation.Issuer.
func (c *Connector) TryToken(ctx context.Context, target rotation.Target, username string, token seal.Secret) rotation.Report {
	wanted := task(target, rotation.Credential{}, seal.Secret{})
	wanted.Whom, wanted.Token = username, token.Reveal()
	return c.attempt(ofVerify, connectorpb.ConnectorClient.TryToken, rotation.Credential{}, token).run(ctx, wanted)
}

// answerIssued stores the token that the app has made, once.
func (a *attempt) answerIssued(ctx context.Context, s stream, issued *connectorpb.Issued) error {
	answer := &connectorpb.Answer{Refused: true}
	value, id := seal.NewSecret(issued.GetValue()), issued.GetId()
	a.secrets = append(a.secrets, value)
	if a.store != nil && !a.asked && !value.IsZero() && id != "" && len(id) <= maxHost {
		a.asked = true
		a.stored = a.store(ctx, id, value) == nil
		answer.Refused = !a.stored
	}
	return s.Send(&connectorpb.FromGateway{Message: &connectorpb.FromGateway_Stored{Stored: answer}})
}

// takeToken hands on one of an account's tokens.
func (a *attempt) takeToken(token *connectorpb.Token) error {
	if a.eachToken == nil || token.GetId() == "" {
		return errors.New("plugin: a token that nobody asked for, or that is none")
	}
	err := a.eachToken(rotation.Token{ID: token.GetId(), Name: token.GetName()})
	a.stopped = err != nil
	return err
}

// The program's end.

// Issue implements connectorpb.ConnectorServer.
func (s *server) Issue(c channel) error {
	return s.issues(c, func(issuer rotation.Issuer, task *connectorpb.Task, target rotation.Target, by rotation.Credential) rotation.Report {
		return issuer.Issue(c.Context(), target, by, task.GetWhom(), task.GetTokenName(), func(_ context.Context, id string, value seal.Secret) error {
			made := &connectorpb.FromPlugin_Issued{Issued: &connectorpb.Issued{Id: id, Value: value.Reveal()}}
			answer, err := ask(c, &connectorpb.FromPlugin{Message: made}, (*connectorpb.FromGateway).GetStored)
			if err == nil && answer.GetRefused() {
				err = errors.New("plugin: the gateway does not keep this token")
			}
			return err
		})
	})
}

// Tokens implements connectorpb.ConnectorServer.
func (s *server) Tokens(c channel) error {
	return s.issues(c, func(issuer rotation.Issuer, task *connectorpb.Task, target rotation.Target, by rotation.Credential) rotation.Report {
		return issuer.Tokens(c.Context(), target, by, task.GetWhom(), func(token rotation.Token) error {
			return c.Send(&connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_Token{Token: &connectorpb.Token{Id: token.ID, Name: token.Name}}})
		})
	})
}

// Withdraw implements connectorpb.ConnectorServer.
func (s *server) Withdraw(c channel) error {
	return s.issues(c, func(issuer rotation.Issuer, task *connectorpb.Task, target rotation.Target, by rotation.Credential) rotation.Report {
		return issuer.Withdraw(c.Context(), target, by, task.GetWhom(), task.GetTokenId())
	})
}

// TryToken implements connectorpb.ConnectorServer.
func (s *server) TryToken(c channel) error {
	return s.issues(c, func(issuer rotation.Issuer, task *connectorpb.Task, target rotation.Target, _ rotation.Credential) rotation.Report {
		return issuer.TryToken(c.Context(), target, task.GetWhom(), seal.NewSecret(task.GetToken()))
	})
}

func (s *server) issues(c channel, act func(issuer rotation.Issuer, task *connectorpb.Task, target rotation.Target, by rotation.Credential) rotation.Report) error {
	issuer, ok := s.connector.(rotation.Issuer)
	if !ok {
		return errCannot
	}
	task, target, by, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, act(issuer, task, target, by))
}
