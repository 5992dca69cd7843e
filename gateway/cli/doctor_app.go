package cli

import (
	"context"
	"strings"

	"postern/core"
	"postern/core/accounts"
	"postern/core/rotation"
	"postern/gateway"
	"postern/gateway/doctor"
)

// doctorApp examines an app.
type doctorApp struct {
	inWorkspace  `embed:""`
	App          string   `arg:"" help:"Name or id of the app."`
	AllowPrivate bool     `help:"Reach apps at private and loopback addresses, as 'postern serve' may." env:"POSTERN_ALLOW_PRIVATE"`
	Browser      string   `help:"Headless browser; found on the machine when empty." env:"POSTERN_BROWSER" placeholder:"PATH"`
	Plugins      []string `help:"Connectors in programs of their own, as 'postern serve' gets them." env:"POSTERN_PLUGINS" placeholder:"NAME=sha256:SUM:PATH"`
}

// Help is shown by 'postern doctor app --help'.
func (doctorApp) Help() string {
	return `Looks at the app's connector and settings, goes to its sign-in address as a worker would and looks for the form, without signing in, and says how its accounts and its last rotations are.

  postern doctor app Wiki --workspace acme

Run it where workers run: it sees what they see. The exit code is 0 when nothing is at fault, and 1 when something is.`
}

func (c doctorApp) Run(ctx context.Context, terminal terminal) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	logins := &accounts.Accounts{DB: s.db}
	app, err := appOf(ctx, s, logins, c.App)
	if err != nil {
		return err
	}
	known, checks, end, err := gateway.OpenConnectors(gateway.Config{Browser: c.Browser, AllowPrivate: c.AllowPrivate, Plugins: c.Plugins})
	if err != nil {
		return err
	}
	defer end()
	examiner := &doctor.Apps{
		DB: s.db, Accounts: logins, Rotations: &rotation.Rotations{DB: s.db}, Connectors: known, Settings: checks, AllowPrivate: c.AllowPrivate,
	}
	found, err := examiner.Diagnose(ctx, s.workspace.ID, app.ID)
	if err != nil {
		return err
	}
	if err := c.show(terminal, found, func(sheet sheet) {
		sheet.say("%s (%s)\n", visible(found.Name), found.Connector)
		sheet.findings(found.Findings, func(about string) string { return about })
	}); err != nil || found.Healthy {
		return err
	}
	return &core.Error{Kind: core.KindInternal, Code: "not_healthy", Message: "the app has faults"}
}

// appOf finds an app of the workspace by id or name.
func appOf(ctx context.Context, s *setup, logins *accounts.Accounts, given string) (accounts.App, error) {
	all, err := logins.Apps(ctx, s.db, s.workspace.ID)
	if err != nil {
		return accounts.App{}, err
	}
	var names []string
	for _, one := range all {
		if one.ID.String() == given || strings.EqualFold(one.Name, given) {
			return one, nil
		}
		names = append(names, one.Name)
	}
	return accounts.App{}, missing("app", given, names, "'postern app add'")
}

// findings prints what a doctor saw.
func (s sheet) findings(all []doctor.Finding, name func(about string) string) {
	marks := map[doctor.Level]string{doctor.Good: "  ok     ", doctor.Note: "  note   ", doctor.Warning: "  WARNING", doctor.Fault: "  FAULT  "}
	for _, one := range all {
		s.say("%s  %s: %s", marks[one.Level], name(one.About), visible(one.Says))
		if one.Advice != "" {
			s.say("             %s", one.Advice)
		}
	}
}
