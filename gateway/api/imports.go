package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"postern/core"
	"postern/core/importing"
	"postern/gateway/problem"
)

// ImportsPath is where files come in, which are larger than other bodies.
const ImportsPath = base + "/imports"

// Import is a file of accounts, and what became of it.
type Import struct {
	ID       core.ID      `json:"id"`
	Format   string       `json:"format" enum:"csv,1password,1password_csv,bitwarden,bitwarden_csv,lastpass"`
	Owner    core.ID      `json:"owner" doc:"Of the accounts"`
	NewApps  bool         `json:"new_apps" doc:"Apps are added for sites that have none"`
	State    string       `json:"state" enum:"planned,running,done,dropped" doc:"planned: nothing is added until it is committed, within an hour"`
	Rows     ImportCounts `json:"rows" doc:"How many rows do what, or did"`
	Created  time.Time    `json:"created"`
	Finished *time.Time   `json:"finished,omitempty"`
}

// ImportCounts says how many rows of an import do what, or did.
type ImportCounts struct {
	Create        int `json:"create" doc:"Will add an account"`
	CreateWithApp int `json:"create_with_app" doc:"Will add an account and its app"`
	Created       int `json:"created"`
	Duplicate     int `json:"duplicate" doc:"The account is there; it is not touched"`
	Skipped       int `json:"skipped" doc:"Cannot be an account"`
	Refused       int `json:"refused" doc:"A rule said no"`
}

// ImportRow is what an entry of the file does, or did. Its password is never part of it.
type ImportRow struct {
	Number   int      `json:"number" doc:"Of the entry in the file, from 1"`
	Title    string   `json:"title"`
	Site     string   `json:"site" doc:"Host of its address"`
	Username string   `json:"username"`
	AppName  string   `json:"app_name,omitempty" doc:"Name of the app the account is, or would be, in"`
	Outcome  string   `json:"outcome" enum:"create,create_with_app,created,duplicate,skipped,refused"`
	Reason   string   `json:"reason,omitempty" doc:"Why it is not created"`
	LeftOut  []string `json:"left_out" nullable:"false" doc:"What of the entry is not taken: notes, fields, files, passkeys, more_sites, and a totp that is no secret"`
	Account  core.ID  `json:"account,omitzero" doc:"That was created, or was there"`
}

func importOf(one importing.Import) Import {
	return Import{one.ID, string(one.Format), one.Owner, one.NewApps, string(one.State), ImportCounts{
		one.Rows[importing.Create], one.Rows[importing.CreateWithApp], one.Rows[importing.Created], one.Rows[importing.Duplicate], one.Rows[importing.Skipped], one.Rows[importing.Refused],
	}, one.Created, one.Finished}
}

func importRowOf(row importing.Row) ImportRow {
	return ImportRow{row.Number, row.Title, row.Site, row.Username, row.App, string(row.Outcome), row.Reason, row.LeftOut, row.Account}
}

// sized refuses a body that says it is larger than its operation takes before any of it is read.
func sized(ctx huma.Context, next func(huma.Context)) {
	if c := humagin.Unwrap(ctx); c.Request.ContentLength > ctx.Operation().MaxBodyBytes {
		problem.Write(c, core.TooLarge("the request body is too large"))
		return
	}
	next(ctx)
}

type newImport struct {
	Format  string  `query:"format" enum:"csv,1password,1password_csv,bitwarden,bitwarden_csv,lastpass" default:"csv" doc:"Who wrote the file: any CSV with columns for address, username and password; 1password is a 1pux, bitwarden its JSON, lastpass its CSV"`
	Owner   core.ID `query:"owner" required:"true" doc:"The user who will own the accounts"`
	NewApps bool    `query:"new_apps" doc:"Add apps for sites that have none"`
	RawBody []byte  `contentType:"application/octet-stream"`
}

type importList struct {
	Limit  int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type importRows struct {
	ID      core.ID `path:"id" doc:"The import"`
	Outcome string  `query:"outcome" enum:"create,create_with_app,created,duplicate,skipped,refused"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	Cursor  int     `query:"cursor" minimum:"0" doc:"next of the page before"`
}

func (s *Service) imports(api huma.API) {
	tags := []string{"Imports"}
	add(api, huma.Operation{OperationID: "createImport", Method: http.MethodPost, Path: "/imports", Tags: tags, Summary: "Send a file of accounts, and see what it would do",
		Description: "The body is the file as it is, up to 32 MiB and 100,000 entries. Nothing is added until the import is committed; an hour later its passwords are erased. " +
			"Apps are known by their sites, accounts by app and username. Encrypted exports are refused. Sent again with the same Idempotency-Key it is the same import, as far as it has come.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: importing.MaxFile, BodyReadTimeout: time.Minute, Metadata: map[string]any{ownKey: true}},
		AccountsWrite, func(ctx context.Context, by caller, in *newImport) (*single[Import], error) {
			select {
			case s.uploads <- struct{}{}:
				defer func() { <-s.uploads }()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			planned, err := s.Imports.Plan(ctx, by.cause, by.Workspace, importing.New{
				Format: importing.Format(in.Format), File: in.RawBody, Owner: in.Owner, NewApps: in.NewApps, Key: by.c.GetHeader(idempotencyKey),
			})
			if err != nil {
				return nil, err
			}
			return &single[Import]{importOf(planned)}, nil
		})
	add(api, huma.Operation{OperationID: "listImports", Method: http.MethodGet, Path: "/imports", Tags: tags, Summary: "List imports, latest first"},
		AccountsRead, func(ctx context.Context, by caller, in *importList) (*listed[Import], error) {
			found, err := s.Imports.List(ctx, s.DB, by.Workspace, core.ID{}, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, importOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getImport", Method: http.MethodGet, Path: "/imports/{id}", Tags: tags, Summary: "Get an import, and how far it has come"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[Import], error) {
			found, err := s.Imports.Import(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Import]{importOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "listImportRows", Method: http.MethodGet, Path: "/imports/{id}/rows", Tags: tags, Summary: "List what each entry of the file does, or did"},
		AccountsRead, func(ctx context.Context, by caller, in *importRows) (*listed[ImportRow], error) {
			if _, err := s.Imports.Import(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Imports.Rows(ctx, s.DB, by.Workspace, in.ID, importing.Outcome(in.Outcome), in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, importRowOf)
			if len(found) == in.Limit {
				answer.Body.Next = strconv.Itoa(found[len(found)-1].Number)
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "commitImport", Method: http.MethodPost, Path: "/imports/{id}/commit", Tags: tags, Summary: "Add the accounts of an import",
		Description: "Answers at once; a worker adds them, each by itself, with a sign-in that proves its password. Committed again it goes on.", DefaultStatus: http.StatusAccepted},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*single[Import], error) {
			begun, err := s.Imports.Commit(ctx, by.cause, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[Import]{importOf(begun)}, nil
		})
	add(api, huma.Operation{OperationID: "dropImport", Method: http.MethodDelete, Path: "/imports/{id}", Tags: tags, Summary: "Erase the passwords of an import that is not committed", DefaultStatus: http.StatusNoContent},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Imports.Drop(ctx, by.Workspace, in.ID)
		})
}
