package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"postern/core"
	"postern/gateway/api"
)

type paceOfApp struct {
	remote  `embed:""`
	App     string         `arg:"" help:"Name or id of the app."`
	AtOnce  *int           `help:"Rotations under way at once; 0: as many as of any app." placeholder:"N"`
	Spacing *time.Duration `help:"At least, between the beginnings of two; 0s: none." placeholder:"TIME"`
}

// Help is shown by 'postern app pace --help'.
func (paceOfApp) Help() string {
	return `  postern app pace Ledger
  postern app pace Ledger --at-once 1 --spacing 10s`
}

// Run asks the gateway.
func (p paceOfApp) Run(ctx context.Context, terminal terminal) error {
	c, err := p.connect()
	if err != nil {
		return err
	}
	app, err := c.app(ctx, p.App)
	if err != nil {
		return err
	}
	path := "/apps/" + app.String() + "/pace"
	text, err := c.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if p.AtOnce != nil || p.Spacing != nil {
		var pace api.Pace
		if err := json.Unmarshal(text, &pace); err != nil {
			return core.Internal(err)
		}
		if p.AtOnce != nil {
			pace.AtOnce = *p.AtOnce
		}
		if p.Spacing != nil {
			pace.Spacing = p.Spacing.Seconds()
		}
		if text, err = c.ask(ctx, http.MethodPut, path, nil, pace); err != nil {
			return err
		}
	}
	return thing(terminal, p.remote, text, sheet.pace)
}

func (s sheet) pace(pace api.Pace) {
	s.row("at once", map[bool]string{true: "the default", false: strconv.Itoa(pace.AtOnce)}[pace.AtOnce == 0])
	s.row("spacing", (time.Duration(pace.Spacing * float64(time.Second))).String())
}
