package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"postern/connectors/recipe"
	"postern/gateway/api"
)

type rotationCommands struct {
	Start startRotation `cmd:"" help:"Replace an account's password now."`
	List  listRotations `cmd:"" help:"List an account's rotations, newest first."`
	Show  showRotation  `cmd:"" help:"Show a rotation with its steps, and the receipt that proves it."`
}

type startRotation struct {
	oneAccount `embed:""`
}

// Help is shown by 'postern rotation start --help'.
func (startRotation) Help() string {
	return `Answers at once with the rotation that will do it; a worker carries it out.

  postern rotation start 0198c7e2-…
  postern activity tail --account 0198c7e2-…     watch it`
}

// Run asks the gateway.
func (s startRotation) Run(ctx context.Context, terminal terminal) error {
	text, err := s.ask(ctx, http.MethodPost, "/rotations", nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.begun)
}

// begun tells of a rotation, or a verification, that was just asked for.
func (s sheet) begun(one api.Rotation) {
	s.say("It is %s.", one.State)
	s.row("rotation", one.ID.String())
	s.say("\nSee how it goes: postern rotation show %s", one.ID)
}

type listRotations struct {
	oneAccount `embed:""`
	Limit      int `help:"At most so many rows; 0 is all." default:"20" placeholder:"N"`
}

// Run asks the gateway.
func (l listRotations) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/accounts/", l.Account)
	if err != nil {
		return err
	}
	return rows(terminal, l.remote, c.pages(ctx, path+"/rotations", nil, l.Limit),
		column[api.Rotation]{"ID", func(one api.Rotation) string { return one.ID.String() }},
		column[api.Rotation]{"BEGUN (UTC)", func(one api.Rotation) string { return utc(&one.Created) }},
		column[api.Rotation]{"REASON", func(one api.Rotation) string { return one.Reason }},
		column[api.Rotation]{"STATE", func(one api.Rotation) string { return one.State }},
		column[api.Rotation]{"ATTEMPTS", func(one api.Rotation) string { return strconv.Itoa(one.Attempts) }},
		column[api.Rotation]{"DETAIL", func(one api.Rotation) string { return dash(one.Detail) }})
}

type showRotation struct {
	remote   `embed:""`
	Rotation string `arg:"" help:"Id of the rotation."`
}

// Run asks the gateway.
func (s showRotation) Run(ctx context.Context, terminal terminal) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	path, err := pathOf("/rotations/", s.Rotation)
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, func(sheet sheet, one api.RotationWithSteps) {
		sheet.say("Rotation of the account %s: %s", one.Account, one.State)
		sheet.row("reason", one.Reason)
		sheet.row("correlation", one.Correlation.String())
		if one.Detail != "" {
			sheet.row("detail", visible(one.Detail))
		}
		if receipt := one.Receipt; receipt != nil {
			sheet.row("new password accepted", utc(&receipt.NewAccepted))
			sheet.row("old password refused", utc(&receipt.OldRefused))
			sheet.row("time to lockout", fmt.Sprintf("%.1f s", receipt.TimeToLockout))
		}
		for _, step := range one.Steps {
			sheet.say("  %3d. %s  %-10s  %s", step.Number, utc(&step.At), step.State, visible(step.Detail))
			var seen struct {
				Model json.RawMessage `json:"model"`
			}
			if json.Unmarshal(step.Evidence, &seen) == nil {
				sheet.difference("         ", recipe.Told(seen.Model))
			}
		}
	})
}
