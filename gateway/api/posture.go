package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"postern/core"
	"postern/core/posture"
	"postern/gateway/problem"
)

// ExportFindingsRoute is the route of the findings as a file, as gin knows it: it must not be given a timeout.
const ExportFindingsRoute = base + "/posture/findings/export"

// exportWrite bounds how long a reader of a file may take nothing of it.
const exportWrite = 30 * time.Second

// PostureGoal is how many accounts meet a milestone.
type PostureGoal struct {
	Milestone string `json:"milestone" enum:"credentials_correct,managed_email,managed_mfa,shared,rotated"`
	Words     string `json:"words" doc:"What an account that meets it is"`
	Available bool   `json:"available" doc:"False: this Postern has nothing to meet it with, as it receives no e-mail, and it counts nowhere"`
	Met       int    `json:"met"`
	Of        int    `json:"of"`
	Why       string `json:"why"`
	Next      string `json:"next,omitempty" doc:"What to do"`
}

// PosturePart is a part of the score.
type PosturePart struct {
	Name   string  `json:"name"`
	Words  string  `json:"words" doc:"What a good account, or service account, is"`
	Weight int     `json:"weight"`
	Good   int     `json:"good"`
	Of     int     `json:"of"`
	Points float64 `json:"points" doc:"Of 100, that these accounts are worth"`
	Lost   float64 `json:"lost" doc:"Of 100, that would be gained if all were good"`
	Next   string  `json:"next,omitempty" doc:"What raises it"`
}

// PostureKind is how many findings of a kind there are.
type PostureKind struct {
	Kind     string `json:"kind"`
	Severity string `json:"severity" enum:"critical,high,medium,low"`
	Words    string `json:"words"`
	Next     string `json:"next" doc:"What to do"`
	Count    int    `json:"count"`
}

// Posture is how well the workspace keeps its accounts.
type Posture struct {
	At         time.Time     `json:"at"`
	Score      *int          `json:"score,omitempty" doc:"0 to 100; absent while there is no account. The sum of parts[].points, rounded down"`
	Accounts   int           `json:"accounts"`
	Complete   int           `json:"complete" doc:"Accounts that meet every milestone there is"`
	Services   int           `json:"service_accounts"`
	Unjudged   int           `json:"unjudged" doc:"Passwords that are still to be judged; they are not taken for good meanwhile"`
	Milestones []PostureGoal `json:"milestones" nullable:"false"`
	Parts      []PosturePart `json:"parts" nullable:"false" doc:"What the score is made up of: what raises it most first"`
	Findings   []PostureKind `json:"findings" nullable:"false" doc:"The gravest first"`
}

func postureOf(o posture.Overview) Posture {
	shown := Posture{
		At: o.At, Score: o.Score, Accounts: o.Accounts, Complete: o.Complete, Services: o.Services, Unjudged: o.Unjudged,
		Milestones: []PostureGoal{}, Parts: []PosturePart{}, Findings: []PostureKind{},
	}
	for _, one := range o.Milestones {
		shown.Milestones = append(shown.Milestones, PostureGoal{string(one.Milestone), one.Words, one.Available, one.Met, one.Of, one.Why, one.Next})
	}
	for _, one := range o.Parts {
		shown.Parts = append(shown.Parts, PosturePart(one))
	}
	for _, one := range o.Findings {
		shown.Findings = append(shown.Findings, PostureKind{string(one.Kind), string(one.Severity), one.Words, one.Next, one.Count})
	}
	return shown
}

// PostureDay is how the workspace stood when a day began.
type PostureDay struct {
	Day        string         `json:"day" format:"date" doc:"UTC"`
	Score      *int           `json:"score,omitempty" doc:"Absent: there was no account"`
	Accounts   int            `json:"accounts"`
	Milestones map[string]int `json:"milestones" doc:"Accounts that met each"`
	Findings   map[string]int `json:"findings" doc:"Of each kind"`
}

func postureDayOf(one posture.Day) PostureDay {
	shown := PostureDay{one.Day.Format(time.DateOnly), one.Score, one.Accounts, map[string]int{}, map[string]int{}}
	for name, count := range one.Milestones {
		shown.Milestones[string(name)] = count
	}
	for name, count := range one.Findings {
		shown.Findings[string(name)] = count
	}
	return shown
}

// PostureFinding is one thing that is wrong, or is about to be.
type PostureFinding struct {
	Kind     string     `json:"kind"`
	Severity string     `json:"severity" enum:"critical,high,medium,low"`
	About    string     `json:"about" doc:"What id is of: account, grant, link, token, service_account or app"`
	ID       core.ID    `json:"id"`
	Name     string     `json:"name"`
	Account  core.ID    `json:"account,omitzero"`
	App      core.ID    `json:"app,omitzero"`
	AppName  string     `json:"app_name,omitempty"`
	Username string     `json:"username,omitempty"`
	Tags     []string   `json:"tags" nullable:"false"`
	Owners   []string   `json:"owners" nullable:"false" doc:"Up to three, by name"`
	State    string     `json:"state" doc:"Of the account, the rotation, the role, the token or the finding"`
	Since    *time.Time `json:"since,omitempty"`
	Why      string     `json:"why"`
	Next     string     `json:"next" doc:"What to do"`
}

func findingOf(one posture.Finding) PostureFinding {
	return PostureFinding{
		string(one.Kind), string(one.Severity), one.About, one.ID, one.Name, one.Account, one.App, one.AppName, one.Username, one.Tags, one.Owners,
		one.State, one.Since, one.Why, one.Next,
	}
}

// FindingFilter is part of every question for findings.
type FindingFilter struct {
	Kind     string  `query:"kind" maxLength:"40" doc:"As getPosture lists them"`
	Severity string  `query:"severity" enum:"critical,high,medium,low"`
	State    string  `query:"state" maxLength:"40"`
	App      core.ID `query:"app" doc:"Only about accounts of this app"`
	Tag      string  `query:"tag" maxLength:"40" doc:"Only about accounts with this tag"`
	Owner    core.ID `query:"owner" doc:"Only about accounts of this owner: a user, also through a team, or a team"`
	Account  core.ID `query:"account"`
}

func (f FindingFilter) filter() posture.Filter {
	return posture.Filter{
		Kind: posture.Kind(f.Kind), Severity: posture.Severity(f.Severity), State: f.State, App: f.App, Tag: f.Tag, Owner: f.Owner, Account: f.Account,
	}
}

type findingList struct {
	FindingFilter
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next of the page before"`
}

type findingExport struct {
	FindingFilter
	Format string `query:"format" enum:"csv,jsonl" default:"csv"`
}

type historyList struct {
	Days int `query:"days" default:"90" minimum:"1" maximum:"400" doc:"How many, up to today"`
}

// PostureStep is how an account stands with a milestone.
type PostureStep struct {
	Milestone string `json:"milestone" enum:"credentials_correct,managed_email,managed_mfa,shared,rotated"`
	Words     string `json:"words"`
	Available bool   `json:"available" doc:"False: this Postern has nothing to meet it with"`
	Met       bool   `json:"met"`
	Why       string `json:"why"`
	Next      string `json:"next,omitempty" doc:"What to do"`
}

// AccountPosture is an account with its milestones.
type AccountPosture struct {
	ID       core.ID       `json:"id"`
	App      core.ID       `json:"app"`
	AppName  string        `json:"app_name"`
	Username string        `json:"username"`
	State    string        `json:"state"`
	Tags     []string      `json:"tags" nullable:"false"`
	Orphaned bool          `json:"orphaned"`
	Complete bool          `json:"complete" doc:"It meets every milestone there is"`
	Steps    []PostureStep `json:"steps" nullable:"false"`
}

func accountPostureOf(one posture.Standing) AccountPosture {
	shown := AccountPosture{one.ID, one.App, one.AppName, one.Username, string(one.State), one.Tags, one.Orphaned, one.Complete, []PostureStep{}}
	for _, step := range one.Steps {
		shown.Steps = append(shown.Steps, PostureStep{string(step.Milestone), step.Words, step.Available, step.Met, step.Why, step.Next})
	}
	return shown
}

type standingList struct {
	Missing string  `query:"missing" enum:"credentials_correct,managed_email,managed_mfa,shared,rotated" doc:"Only accounts that do not meet it"`
	State   string  `query:"state" maxLength:"40" doc:"Of the account"`
	App     core.ID `query:"app"`
	Tag     string  `query:"tag" maxLength:"40"`
	Owner   core.ID `query:"owner" doc:"A user, also through a team, or a team"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor  core.ID `query:"cursor" doc:"next of the page before"`
}

func (s *Service) posture(api huma.API) {
	tags := []string{"Posture"}
	add(api, huma.Operation{OperationID: "getPosture", Method: http.MethodGet, Path: "/posture", Tags: tags, Summary: "Get how well the workspace keeps its accounts",
		Description: "The score and what raises it, the milestones, and how many findings there are of each kind."},
		PostureRead, func(ctx context.Context, by caller, _ *struct{}) (*single[Posture], error) {
			found, err := s.Posture.Overview(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return &single[Posture]{postureOf(found)}, nil
		})
	add(api, huma.Operation{OperationID: "listPostureDays", Method: http.MethodGet, Path: "/posture/days", Tags: tags, Summary: "List how the workspace stood, a row a day, oldest first"},
		PostureRead, func(ctx context.Context, by caller, in *historyList) (*listed[PostureDay], error) {
			found, err := s.Posture.History(ctx, s.DB, by.Workspace, in.Days)
			if err != nil {
				return nil, err
			}
			return listing(found, postureDayOf), nil
		})
	add(api, huma.Operation{OperationID: "listFindings", Method: http.MethodGet, Path: "/posture/findings", Tags: tags, Summary: "List what is wrong or is about to be, the gravest first"},
		PostureRead, func(ctx context.Context, by caller, in *findingList) (*listed[PostureFinding], error) {
			found, next, err := s.Posture.Findings(ctx, s.DB, by.Workspace, posture.Query{Filter: in.filter(), Limit: in.Limit, After: in.Cursor})
			if err != nil {
				return nil, err
			}
			answer := listing(found, findingOf)
			answer.Body.Next = next
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "exportFindings", Method: http.MethodGet, Path: "/posture/findings/export", Tags: tags, Summary: "Get all findings as a file, however many",
		Description: "CSV with a header, or one JSON object a line in the form of listFindings. A cell that a spreadsheet would take for a formula begins with an apostrophe. A file that breaks off is incomplete."},
		PostureRead, func(ctx context.Context, by caller, in *findingExport) (*huma.StreamResponse, error) {
			format, err := posture.ParseFormat(in.Format)
			if err == nil {
				err = in.filter().Check()
			}
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(ctx huma.Context) { s.export(ctx, by, in.filter(), format) }}, nil
		})
	exported(api.OpenAPI().Paths[ExportFindingsRoute].Get)
	add(api, huma.Operation{OperationID: "listAccountPostures", Method: http.MethodGet, Path: "/posture/accounts", Tags: tags, Summary: "List accounts with their milestones, oldest first"},
		PostureRead, func(ctx context.Context, by caller, in *standingList) (*listed[AccountPosture], error) {
			found, err := s.Posture.Standings(ctx, s.DB, by.Workspace, posture.StandingQuery{
				Filter: posture.Filter{State: in.State, App: in.App, Tag: in.Tag, Owner: in.Owner}, Missing: posture.Milestone(in.Missing), Limit: in.Limit, After: in.Cursor,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, accountPostureOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getAccountPosture", Method: http.MethodGet, Path: "/accounts/{id}/posture", Tags: tags, Summary: "Get an account's milestones, why each is met or not, and the next step"},
		PostureRead, func(ctx context.Context, by caller, in *byID) (*single[AccountPosture], error) {
			found, err := s.Posture.Standing(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return &single[AccountPosture]{accountPostureOf(found)}, nil
		})
	s.reassignments(api, tags)
}

// exported documents an answer that is a file.
func exported(operation *huma.Operation) {
	text := func(kind posture.Format) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: string(kind)}}
	}
	operation.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
		Description: "The file, as it is read", Content: map[string]*huma.MediaType{
			posture.CSV.ContentType(): text(posture.CSV), posture.JSONL.ContentType(): text(posture.JSONL),
		},
	}
}

// export writes the file to whoever asks, as fast as they read.
func (s *Service) export(ctx huma.Context, by caller, filter posture.Filter, format posture.Format) {
	out := problem.NewDownload(humagin.Unwrap(ctx), "findings."+string(format), format.ContentType(), exportWrite)
	out.End(s.Posture.Export(ctx.Context(), s.DB, by.Workspace, filter, format, out))
}
