package plugin

import (
	"context"
	"errors"

	"postern/connectors/plugin/connectorpb"
	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
)

// errCannot is what the gateway asks for that Describe did not promise.
var errCannot = errors.New("plugin: this connector cannot do that")

// Reset implements connectorpb.ConnectorServer.
func (s *server) Reset(c channel) error {
	resetter, ok := s.connector.(rotation.Resetter)
	if !ok {
		return errCannot
	}
	task, target, admin, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, resetter.Reset(c.Context(), target, admin, task.GetWhom(), seal.NewSecret(task.GetNext()), gate(c)))
}

// SetEnabled implements connectorpb.ConnectorServer.
func (s *server) SetEnabled(c channel) error {
	disabler, ok := s.connector.(rotation.Disabler)
	if !ok {
		return errCannot
	}
	task, target, admin, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, disabler.SetEnabled(c.Context(), target, admin, task.GetWhom(), task.GetEnabled()))
}

// Revoke implements connectorpb.ConnectorServer.
func (s *server) Revoke(c channel) error {
	revoker, ok := s.connector.(rotation.Revoker)
	if !ok {
		return errCannot
	}
	task, target, admin, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, revoker.Revoke(c.Context(), target, admin, task.GetWhom()))
}

// Users implements connectorpb.ConnectorServer.
func (s *server) Users(c channel) error {
	lister, ok := s.connector.(rotation.Lister)
	if !ok {
		return errCannot
	}
	_, target, admin, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, lister.Users(c.Context(), target, admin, func(user rotation.User) error {
		return c.Send(&connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_User{User: &connectorpb.User{
			Username: user.Username, Name: user.Name, Disabled: user.Disabled,
		}}})
	}))
}

// Recover implements connectorpb.ConnectorServer.
func (s *server) Recover(c channel) error {
	recoverer, ok := s.connector.(rotation.Recoverer)
	if !ok {
		return errCannot
	}
	task, target, _, err := begin(c)
	if err != nil {
		return err
	}
	forgotten := rotation.Forgotten{Username: task.GetWhom(), Address: task.GetAddress(), Link: func(context.Context) (seal.Secret, error) {
		answer, err := ask(c, &connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_Link{Link: &connectorpb.Nothing{}}}, (*connectorpb.FromGateway).GetLink)
		if err == nil && answer.GetRefused() {
			err = core.NotFound("message").WithCode("no_message")
		}
		return seal.NewSecret(answer.GetText()), err
	}}
	return finish(c, recoverer.Recover(c.Context(), target, forgotten, seal.NewSecret(task.GetNext()), gate(c)))
}

// Enrol implements connectorpb.ConnectorServer.
func (s *server) Enrol(c channel) error {
	enroller, ok := s.connector.(rotation.Enroller)
	if !ok {
		return errCannot
	}
	_, target, credential, err := begin(c)
	if err != nil {
		return err
	}
	return finish(c, enroller.Enrol(c.Context(), target, credential, func(_ context.Context, secret seal.Secret) (seal.Secret, error) {
		answer, err := ask(c, &connectorpb.FromPlugin{Message: &connectorpb.FromPlugin_Keep{Keep: &connectorpb.Secret{Text: secret.Reveal()}}}, (*connectorpb.FromGateway).GetKept)
		if err == nil && answer.GetRefused() {
			err = errors.New("plugin: the gateway does not keep this secret")
		}
		return seal.NewSecret(answer.GetText()), err
	}))
}
