package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/certificates"
)

type certificateCommands struct {
	List     listCertificates    `cmd:"" help:"List the certificates of who left, latest first."`
	Show     showCertificate     `cmd:"" help:"Show what became of every password somebody knew, or print what was signed."`
	Verify   verifyCertificate   `cmd:"" help:"Verify a certificate from a file, offline."`
	Deadline certificateDeadline `cmd:"" help:"Show or change when a certificate is signed though something is open."`
}

func (s *setup) certificates() *certificates.Certificates {
	return &certificates.Certificates{DB: s.db}
}

// certificateRow is a certificate in a list.
type certificateRow struct {
	ID          core.ID             `json:"id"`
	User        core.ID             `json:"user"`
	UserName    string              `json:"user_name"`
	Reason      certificates.Reason `json:"reason"`
	Departed    time.Time           `json:"departed"`
	Deadline    time.Time           `json:"deadline"`
	State       certificates.State  `json:"state"`
	Passwords   int                 `json:"passwords"`
	Number      int                 `json:"number"`
	Reactivated *time.Time          `json:"reactivated,omitempty"`
}

// listCertificates shows them.
type listCertificates struct {
	inWorkspace `embed:""`
	User        string `help:"Only of this user: their id." placeholder:"ID"`
	State       string `help:"Only pending, complete or incomplete ones." enum:",pending,complete,incomplete" default:"" placeholder:"STATE"`
	Limit       int    `help:"How many at most." default:"50"`
}

func (l listCertificates) Run(ctx context.Context, terminal terminal) error {
	query := certificates.Query{State: certificates.State(l.State), Limit: l.Limit}
	if l.User != "" {
		id, err := core.ParseID(l.User)
		if err != nil {
			return core.Invalid("--user", "this is not an id")
		}
		query.User = id
	}
	return l.with(ctx, func(s *setup) error {
		found, err := s.certificates().List(ctx, s.db, s.workspace.ID, query)
		if err != nil {
			return err
		}
		rows := make([]certificateRow, 0, len(found))
		for _, one := range found {
			rows = append(rows, certificateRow{
				one.ID, one.Person.ID, one.Person.UserName, one.Reason, one.Departed, one.Deadline, one.State, one.Passwords, one.Issued, one.Reactivated,
			})
		}
		return l.show(terminal, map[string]any{"certificates": rows}, func(sheet sheet) {
			if len(rows) == 0 {
				sheet.say("There is no certificate.")
				return
			}
			sheet.say("%-36s  %-16s  %-10s  %-2s  %-9s  %s", "CERTIFICATE", "DEPARTED (UTC)", "STATE", "NO", "PASSWORDS", "WHO")
			for _, one := range rows {
				sheet.say("%s  %-16s  %-10s  %-2d  %-9d  %s", one.ID, minute(one.Departed), one.State, one.Number, one.Passwords, one.UserName)
			}
		})
	})
}

// showCertificate shows one.
type showCertificate struct {
	inWorkspace `embed:""`
	Certificate string `arg:"" help:"Id of the certificate."`
	Signed      bool   `help:"Print the signed document, to be saved and verified."`
	Number      int    `help:"With --signed: which issue; the latest when left out."`
}

// Help is shown by 'postern certificate show --help'.
func (showCertificate) Help() string {
	return `What is true now, whether it is signed or not. To hand it to somebody:

  postern certificate show ID --workspace acme --signed > leaver.json
  postern certificate verify leaver.json`
}

func (o showCertificate) Run(ctx context.Context, terminal terminal) error {
	id, err := core.ParseID(o.Certificate)
	if err != nil {
		return core.Invalid("certificate", "this is not an id")
	}
	return o.with(ctx, func(s *setup) error {
		if o.Signed {
			return o.print(ctx, terminal, s, id)
		}
		view, err := s.certificates().View(ctx, s.db, s.workspace.ID, id)
		if err != nil {
			return err
		}
		return o.show(terminal, view.Now, func(sheet sheet) {
			describe(sheet, view.Now)
			if view.Now.Number == 0 {
				sheet.say("This is not signed yet; %s.", core.Count(len(view.Issues), "issue is", "issues are"))
			}
		})
	})
}

func (o showCertificate) print(ctx context.Context, terminal terminal, s *setup, id core.ID) error {
	issue, err := s.certificates().Issue(ctx, s.db, s.workspace.ID, id, o.Number)
	if err != nil {
		return err
	}
	document, err := issue.Document()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(terminal.out, string(text))
	return err
}

// describe says what a certificate says.
func describe(sheet sheet, said certificates.Certificate) {
	what := map[certificates.Reason]string{certificates.Deprovision: "left", certificates.Logout: "was logged out", certificates.Revocation: "was reported by the identity provider"}[said.Reason]
	sheet.say("%s (%s) %s %s.", said.Person.Name, said.Person.UserName, what, said.Departed.Format(time.RFC3339))
	if said.Reactivated != nil {
		sheet.say("They are back since %s; nothing came back by that.", said.Reactivated.Format(time.RFC3339))
	}
	if said.Safe != nil {
		sheet.say("Complete: %s dead, safe %s after.", core.Count(len(said.Credentials), "password", "passwords"), time.Duration(*said.TimeToSafe)*time.Millisecond)
	} else {
		sheet.say("%s: %d of %s may still work.", said.State, said.Count(certificates.Open), core.Count(len(said.Credentials), "password", "passwords"))
	}
	for _, one := range said.Credentials {
		line := fmt.Sprintf("  %-8s  %s (%s) version %d", one.Fate, one.App, one.Username, one.Version)
		if one.Seen == nil {
			line += ", not seen"
		}
		if one.Died != nil {
			line += ", " + one.Died.Format(time.RFC3339)
		}
		sheet.say("%s", line)
		if one.Why != "" {
			sheet.say("            %s %s", one.Why, one.NextStep)
		}
	}
	for _, one := range said.Links {
		if one.Died == nil {
			sheet.say("  open      link to %s for %s, whose end is not seen to yet", one.Name, strings.Join(one.For, ", "))
			continue
		}
		sheet.say("  ended     link to %s for %s, %s", one.Name, strings.Join(one.For, ", "), one.Died.Format(time.RFC3339))
	}
	for _, one := range said.Secrets {
		what := strings.ReplaceAll(string(one.Kind), "_", " ")
		if one.Credential != "" {
			what += fmt.Sprintf(" %q", one.Credential)
		}
		what += fmt.Sprintf(" of %s, version %d", one.Of.Name, one.Version)
		if one.Ended == nil {
			sheet.say("  open      %s", what)
			sheet.say("            %s %s", one.Why, one.NextStep)
			continue
		}
		sheet.say("  ended     %s, %s", what, one.Ended.Format(time.RFC3339))
	}
	for _, one := range said.Disabled {
		if one.Proved == nil {
			sheet.say("  to be disabled  %s (%s)", one.App, one.Username)
			sheet.say("            %s %s", one.Why, one.NextStep)
			continue
		}
		sheet.say("  disabled  %s (%s), %s", one.App, one.Username, one.Proved.Format(time.RFC3339))
	}
	sheet.say("Sessions ended: %d. Grants revoked: %d. Accounts passed on: %d. Left without an owner: %d.",
		said.Taken.Sessions, len(said.Taken.Grants), len(said.Taken.Passed), len(said.Taken.Orphaned))
}

// certificateDeadline shows or changes it.
type certificateDeadline struct {
	inWorkspace `embed:""`
	Set         time.Duration `help:"From 1m to 2160h; for departures from now on." placeholder:"DURATION"`
}

func (d certificateDeadline) Run(ctx context.Context, terminal terminal) error {
	return d.with(ctx, func(s *setup) error {
		if d.Set != 0 {
			err := s.db.Tx(ctx, func(tx pgx.Tx) error { return s.certificates().SetDeadline(ctx, tx, s.cause, s.workspace.ID, d.Set) })
			if err != nil {
				return err
			}
		}
		deadline, err := s.certificates().Deadline(ctx, s.db, s.workspace.ID)
		if err != nil {
			return err
		}
		return d.show(terminal, map[string]any{"deadline_seconds": int(deadline / time.Second)}, func(sheet sheet) {
			sheet.say("A certificate is signed %s after the departure, though something is open.", deadline)
		})
	})
}
