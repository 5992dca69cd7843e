package cli

import (
	"context"
	"net/http"

	"postern/gateway/api"
)

type legalHoldCommands struct {
	Show  showLegalHold  `cmd:"" help:"Show the hold on the workspace's records."`
	Place placeLegalHold `cmd:"" help:"Keep all records, however old, until the hold is lifted."`
	Lift  liftLegalHold  `cmd:"" help:"Give the records back to retention."`
}

const legalHoldPath = "/audit/legal-hold"

func (s sheet) legalHold(one api.LegalHold) {
	if !one.Held {
		s.say("no hold: records go when they are older than the operator keeps them")
		return
	}
	s.say("Every record is kept until the hold is lifted")
	s.row("reason", visible(one.Reason))
	s.row("placed", utc(one.Placed))
}

type showLegalHold struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l showLegalHold) Run(ctx context.Context, terminal terminal) error {
	return l.hold(ctx, terminal, http.MethodGet, nil)
}

type placeLegalHold struct {
	remote `embed:""`
	Reason string `help:"Why: kept in the activity, and shown to who lifts it." required:"" placeholder:"TEXT"`
}

// Run asks the gateway.
func (l placeLegalHold) Run(ctx context.Context, terminal terminal) error {
	return l.hold(ctx, terminal, http.MethodPost, map[string]string{"reason": l.Reason})
}

// hold sends a request that is answered with the hold.
func (r remote) hold(ctx context.Context, terminal terminal, method string, body any) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	text, err := c.ask(ctx, method, legalHoldPath, nil, body)
	if err != nil {
		return err
	}
	return thing(terminal, r, text, func(sheet sheet, one api.LegalHold) { sheet.legalHold(one) })
}

type liftLegalHold struct {
	remote `embed:""`
}

// Run asks the gateway.
func (l liftLegalHold) Run(ctx context.Context, terminal terminal) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	if _, err := c.ask(ctx, http.MethodDelete, legalHoldPath, nil, nil); err != nil {
		return err
	}
	sheet{terminal.out}.say("lifted; records go again when they are older than the operator keeps them")
	return nil
}
