package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"postern/core"
	"postern/core/importing"
	"postern/gateway/api"
)

// importFile adds accounts from a file.
type importFile struct {
	remote  `embed:""`
	File    string `arg:"" help:"The file, as the other password manager wrote it."`
	Format  string `help:"Who wrote it: csv (any, by the names of its columns), 1password (1pux), 1password_csv, bitwarden (JSON), bitwarden_csv or lastpass." enum:"csv,1password,1password_csv,bitwarden,bitwarden_csv,lastpass" required:"" placeholder:"FORMAT"`
	Owner   string `help:"userName or id of the user who will own the accounts." required:"" placeholder:"NAME"`
	NewApps bool   `help:"Add apps for sites that have none."`
	Commit  bool   `help:"Add the accounts. Without it nothing is changed: the table says what would be."`
}

// Help is shown by 'postern import --help'.
func (importFile) Help() string {
	return `See what a file would do, row by row, then do it:

  postern import export.1pux --format 1password --owner dana@acme.example --new-apps
  postern import export.1pux --format 1password --owner dana@acme.example --new-apps --commit

Apps are known by their sites, accounts by app and username: what is there already is not touched, so the same file can be sent again. A sign-in then proves each password. TOTP secrets come along. What accounts have no place for, notes and files among it, is listed row by row. Encrypted exports are refused; delete an export once it is imported.`
}

const (
	importPoll = time.Second
	importWait = 5 * time.Second
)

// Run sends the file, prints what it would do, and has it done.
func (i importFile) Run(ctx context.Context, terminal terminal) error {
	c, err := i.connect()
	if err != nil {
		return err
	}
	file, err := i.read()
	if err != nil {
		return err
	}
	owner, err := c.user(ctx, i.Owner)
	if err != nil {
		return err
	}
	query := url.Values{"format": {i.Format}, "owner": {owner.ID.String()}}
	if i.NewApps {
		query.Set("new_apps", "true")
	}
	text, err := c.ask(ctx, http.MethodPost, "/imports", query, upload(file), "Content-Type", "application/octet-stream")
	if err != nil {
		return err
	}
	var planned api.Import
	if err := json.Unmarshal(text, &planned); err != nil {
		return err
	}
	path := "/imports/" + planned.ID.String()
	if !i.Commit {
		if err := i.report(ctx, terminal, c, path); err != nil {
			return err
		}
		sheet{terminal.err}.say("%s. Nothing is changed yet: run it with --commit.", counts(planned))
		_, err := c.ask(ctx, http.MethodDelete, path, nil, nil)
		return err
	}
	if _, err := c.ask(ctx, http.MethodPost, path+"/commit", nil, nil); err != nil {
		return err
	}
	for wait := importPoll; planned.State != "done"; wait = min(wait+importPoll, importWait) {
		select {
		case <-ctx.Done():
			sheet{terminal.err}.say("It goes on by itself: GET /api/v1%s", path)
			return nil
		case <-time.After(wait):
		}
		if planned, err = get[api.Import](ctx, c, path, nil); err != nil {
			return err
		}
	}
	if err := i.report(ctx, terminal, c, path); err != nil {
		return err
	}
	sheet{terminal.err}.say("%s.", counts(planned))
	return nil
}

// read reads the file, which may not be larger than a gateway takes.
func (i importFile) read() ([]byte, error) {
	info, err := os.Stat(i.File)
	if err != nil {
		return nil, core.Invalid("file", "%s cannot be read", i.File).Because(err)
	}
	if info.Size() > importing.MaxFile {
		return nil, core.TooLarge("%s is larger than %d MiB; split it", i.File, importing.MaxFile>>20)
	}
	file, err := os.ReadFile(i.File)
	if err != nil {
		return nil, core.Invalid("file", "%s cannot be read", i.File).Because(err)
	}
	return file, nil
}

// upload is a body that is sent as it is.
type upload []byte

func (i importFile) report(ctx context.Context, terminal terminal, c *apiClient, path string) error {
	return rows(terminal, i.remote, c.pages(ctx, path+"/rows", url.Values{"limit": {"1000"}}, 0),
		column[api.ImportRow]{"ROW", func(one api.ImportRow) string { return fmt.Sprint(one.Number) }},
		column[api.ImportRow]{"TITLE", func(one api.ImportRow) string { return dash(one.Title) }},
		column[api.ImportRow]{"SITE", func(one api.ImportRow) string { return dash(one.Site) }},
		column[api.ImportRow]{"USERNAME", func(one api.ImportRow) string { return dash(one.Username) }},
		column[api.ImportRow]{"APP", func(one api.ImportRow) string { return dash(one.AppName) }},
		column[api.ImportRow]{"WHAT", func(one api.ImportRow) string { return strings.ReplaceAll(one.Outcome, "_", " ") }},
		column[api.ImportRow]{"WHY", func(one api.ImportRow) string { return dash(one.Reason) }},
		column[api.ImportRow]{"NOT TAKEN", func(one api.ImportRow) string { return dash(strings.Join(one.LeftOut, " ")) }})
}

// counts says in words how many rows do what.
func counts(one api.Import) string {
	var parts []string
	for _, part := range []struct {
		number int
		words  string
	}{
		{one.Rows.Create, "to create"}, {one.Rows.CreateWithApp, "to create with their apps"}, {one.Rows.Created, "created"},
		{one.Rows.Duplicate, "there already"}, {one.Rows.Skipped, "skipped"}, {one.Rows.Refused, "refused"},
	} {
		if part.number > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.number, part.words))
		}
	}
	return strings.Join(parts, ", ")
}
