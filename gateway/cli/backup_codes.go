package cli

import (
	"context"
	"net/http"
	"strings"

	"postern/core"
	"postern/gateway/api"
)

type backupCodeCommands struct {
	Show showBackupCodes `cmd:"" help:"Count the backup codes of an account."`
	Set  setBackupCodes  `cmd:"" help:"Store the backup codes an app gave out."`
	Use  useBackupCode   `cmd:"" help:"Give somebody the next backup code."`
}

func (s sheet) backupCodes(one api.BackupCodes) {
	s.say("%d of %d backup codes of %s are left.", one.Left, one.Total, one.Account)
	s.row("stored (UTC)", utc(&one.Stored))
}

type showBackupCodes struct {
	oneAccount `embed:""`
}

// Run asks the gateway.
func (s showBackupCodes) Run(ctx context.Context, terminal terminal) error {
	text, err := s.ask(ctx, http.MethodGet, "/backup-codes", nil)
	if err != nil {
		return err
	}
	return thing(terminal, s.remote, text, sheet.backupCodes)
}

type setBackupCodes struct {
	oneAccount `embed:""`
	CodesFile  string `help:"File that holds the codes, apart by commas, in one line; - is standard input." required:"" placeholder:"PATH"`
}

// Help is shown by 'postern account backup-codes set --help'.
func (setBackupCodes) Help() string {
	return `  postern account backup-codes set 0198c7e2-… --codes-file -

They take the place of those stored before. Codes are never arguments: others could see them.`
}

// Run asks the gateway.
func (p setBackupCodes) Run(ctx context.Context, terminal terminal) error {
	line, err := readLine("--codes-file", p.CodesFile)
	if err != nil {
		return err
	}
	text, err := p.ask(ctx, http.MethodPut, "/backup-codes", map[string][]string{"codes": strings.Split(line.Reveal(), ",")})
	if err != nil {
		return err
	}
	return thing(terminal, p.remote, text, sheet.backupCodes)
}

type useBackupCode struct {
	oneAccount `embed:""`
	For        string `help:"userName or id of who is given it; it goes on record." required:"" placeholder:"NAME"`
}

// Help is shown by 'postern account backup-codes use --help'.
func (useBackupCode) Help() string {
	return `  postern account backup-codes use 0198c7e2-… --for dana@acme.example

Each code is given once.`
}

// Run asks the gateway.
func (u useBackupCode) Run(ctx context.Context, terminal terminal) error {
	client, err := u.connect()
	if err != nil {
		return err
	}
	user, err := client.user(ctx, u.For)
	if err != nil {
		return err
	}
	text, err := u.ask(ctx, http.MethodPost, "/backup-code", map[string]core.ID{"user": user.ID})
	if err != nil {
		return err
	}
	return thing(terminal, u.remote, text, func(sheet sheet, one api.BackupCode) {
		sheet.say("%s", visible(one.Code))
		sheet.say("%d left", one.Left)
	})
}
