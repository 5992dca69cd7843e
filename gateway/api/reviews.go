package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/accounts"
	"postern/core/reviews"
)

// Review is a list of accesses that are decided about until the end of a day.
type Review struct {
	ID        core.ID    `json:"id"`
	Campaign  core.ID    `json:"campaign,omitzero" doc:"Absent of a small review, and of a campaign that is gone"`
	Trigger   string     `json:"trigger" enum:"campaign,owner_change,scope_growth,unused"`
	Name      string     `json:"name"`
	Started   time.Time  `json:"started"`
	Due       time.Time  `json:"due" doc:"When its last day ends"`
	Fallback  string     `json:"fallback" enum:"keep,revoke" doc:"What is done where nobody decides"`
	State     string     `json:"state" enum:"open,closing,closed"`
	Closed    *time.Time `json:"closed,omitempty"`
	Cancelled *string    `json:"cancelled,omitempty" doc:"Why, if it was: what was not decided is left as it was"`
	Items     int        `json:"items"`
	Kept      int        `json:"kept"`
	Revoked   int        `json:"revoked"`
	Changed   int        `json:"changed" doc:"Narrowed, in role or time"`
	Ended     int        `json:"ended" doc:"The access was gone before anybody decided"`
	Defaulted int        `json:"defaulted" doc:"Of the kept and revoked: nobody decided"`
	Failed    int        `json:"failed" doc:"Could not be done"`
	Number    int        `json:"number" doc:"Of the latest signed evidence; 0 while none is"`
	Complete  bool       `json:"complete" doc:"By it, everything that was decided is done"`
}

func reviewOf(one reviews.Review) Review {
	return Review{
		one.ID, one.Campaign, string(one.Trigger), one.Name, one.Started, one.Due, string(one.Fallback), string(one.State), one.Closed, one.Cancelled,
		one.Items, one.Kept, one.Revoked, one.Changed, one.Ended, one.Defaulted, one.Failed, one.Issued, one.Complete,
	}
}

// ReviewActor is who decided.
type ReviewActor struct {
	Kind string  `json:"kind"`
	ID   core.ID `json:"id,omitzero"`
	Name string  `json:"name"`
}

// ReviewItem is one access that is asked about.
type ReviewItem struct {
	ID           core.ID      `json:"id"`
	Account      core.ID      `json:"account,omitzero" doc:"Absent: of a service account"`
	AppName      string       `json:"app_name"`
	Username     string       `json:"username"`
	Kind         string       `json:"kind" enum:"user,guest,team,service_account"`
	User         core.ID      `json:"user,omitzero"`
	Team         core.ID      `json:"team,omitzero"`
	Service      core.ID      `json:"service_account,omitzero" doc:"Whose scopes are asked about; absent also when it was removed since"`
	Subject      string       `json:"subject" doc:"Name of who has the access"`
	Grant        core.ID      `json:"grant,omitzero" doc:"Absent: of a service account"`
	Role         string       `json:"role" doc:"owner or collaborator; of a service account its scopes"`
	Purpose      string       `json:"purpose,omitempty"`
	GivenBy      string       `json:"given_by,omitempty" doc:"Absent: it was not kept"`
	Given        time.Time    `json:"given"`
	Expires      *time.Time   `json:"expires,omitempty"`
	LastUsed     *time.Time   `json:"last_used,omitempty" doc:"When the review began; absent: never"`
	Changed      *time.Time   `json:"changed,omitempty" doc:"It was given anew since the review began, and is told as it is now"`
	Reviewer     core.ID      `json:"reviewer,omitzero" doc:"Absent: nobody but administrators"`
	ReviewerName string       `json:"reviewer_name,omitempty"`
	AskedAs      string       `json:"asked_as,omitempty" enum:"owner,manager,administrator,delegate,"`
	Decision     string       `json:"decision,omitempty" enum:"keep,revoke,change,ended," doc:"Absent: none yet"`
	NewRole      string       `json:"new_role,omitempty"`
	NewExpires   *time.Time   `json:"new_expires,omitempty"`
	Reason       string       `json:"reason,omitempty"`
	Decided      *time.Time   `json:"decided,omitempty"`
	DecidedBy    *ReviewActor `json:"decided_by,omitempty"`
	Defaulted    bool         `json:"defaulted"`
	Failure      string       `json:"failure,omitempty" doc:"Why it could not be done"`
	Rotation     core.ID      `json:"rotation,omitzero" doc:"Under way when access ended"`
}

func reviewItemOf(one reviews.Item) ReviewItem {
	shown := ReviewItem{
		ID: one.ID, Account: one.Account, AppName: one.AppName, Username: one.Username, Kind: string(one.Kind), User: one.User, Team: one.Team, Service: one.Service,
		Subject: one.Subject, Grant: one.Grant, Role: one.Role, Purpose: one.Purpose, GivenBy: one.Giver, Given: one.Given, Expires: one.Expires,
		LastUsed: one.LastUsed, Changed: one.Changed, Reviewer: one.Reviewer, ReviewerName: one.Reviewing, AskedAs: string(one.AskedAs),
		Decision: string(one.Decision), NewRole: one.NewRole, NewExpires: one.NewExpires, Reason: one.Reason, Decided: one.Decided,
		Defaulted: one.Defaulted, Failure: one.Failure, Rotation: one.Rotation,
	}
	if one.Decider != nil {
		shown.DecidedBy = &ReviewActor{string(one.Decider.Kind), one.Decider.ID, one.Decider.Name}
	}
	return shown
}

type reviewList struct {
	State    string  `query:"state" enum:"open,closing,closed"`
	Trigger  string  `query:"trigger" enum:"campaign,owner_change,scope_growth,unused"`
	Campaign core.ID `query:"campaign"`
	Limit    int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
	Cursor   core.ID `query:"cursor" doc:"next of the page before"`
}

type reviewItemList struct {
	ID        core.ID `path:"id" doc:"The review"`
	Reviewer  core.ID `query:"reviewer"`
	Undecided bool    `query:"undecided" doc:"Only what nobody has decided"`
	Decision  string  `query:"decision" enum:"keep,revoke,change,ended"`
	Limit     int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor    core.ID `query:"cursor" doc:"next of the page before"`
}

// ReviewDecision is what somebody says about an item.
type ReviewDecision struct {
	Item     core.ID    `json:"item"`
	Decision string     `json:"decision" enum:"keep,revoke,change" doc:"A change narrows: a weaker role, an earlier end, or both"`
	Role     string     `json:"role,omitempty" enum:"owner,collaborator,"`
	Expires  *time.Time `json:"expires,omitempty"`
	Reason   string     `json:"reason" minLength:"1" maxLength:"500"`
}

type decideItems struct {
	ID   core.ID `path:"id" doc:"The review"`
	Body struct {
		Decisions []ReviewDecision `json:"decisions" minItems:"1" maxItems:"200" nullable:"false"`
	}
}

// ReviewRefusal is why a decision was not taken.
type ReviewRefusal struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// ReviewResult is what became of a decision.
type ReviewResult struct {
	Item     core.ID        `json:"item"`
	Decision string         `json:"decision,omitempty" enum:"keep,revoke,change,ended," doc:"That the item has now"`
	Refused  *ReviewRefusal `json:"refused,omitempty" doc:"Why the decision was not taken; the others were all the same"`
}

func reviewResultOf(one reviews.Result) ReviewResult {
	shown := ReviewResult{Item: one.Item, Decision: string(one.Verdict)}
	if one.Refused != nil {
		shown.Refused = &ReviewRefusal{one.Refused.Code, one.Refused.Message}
		if shown.Refused.Code == "" {
			shown.Refused.Code = one.Refused.Kind.String()
		}
	}
	return shown
}

// ReviewDocument is signed evidence as a file.
type ReviewDocument struct {
	Review    json.RawMessage `json:"review" doc:"Every item, who decided what, when and why, and what followed"`
	Signature string          `json:"signature" doc:"JWS with detached payload (RFC 7515 appendix F) over the canonical form (RFC 8785) of review"`
	Keys      json.RawMessage `json:"keys" doc:"The key it was signed with, as a JWK set; the workspace's keys are at /jwks/{workspace}/all"`
}

type reviewIssue struct {
	ID     core.ID `path:"id" doc:"The review"`
	Number int     `query:"number" minimum:"0" maximum:"1000000" doc:"Of the issue; the latest if absent"`
}

type reassignItems struct {
	ID   core.ID `path:"id" doc:"The review"`
	Body struct {
		Items []core.ID `json:"items,omitempty" maxItems:"200" doc:"Either these items"`
		From  core.ID   `json:"from,omitzero" doc:"or all open ones of this reviewer"`
		To    core.ID   `json:"to" doc:"A user who is to decide instead"`
	}
}

type cancelReview struct {
	ID   core.ID `path:"id" doc:"The review"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
	}
}

// ReviewMoved is how many items changed hands.
type ReviewMoved struct {
	Items int `json:"items"`
}

func (s *Service) reviews(api huma.API) {
	tags := []string{"Reviews"}
	one := func(ctx context.Context, by caller, id core.ID) (*single[Review], error) {
		found, err := s.Reviews.Review(ctx, s.DB, by.Workspace, id)
		if err != nil {
			return nil, err
		}
		return &single[Review]{reviewOf(found)}, nil
	}
	add(api, huma.Operation{OperationID: "listReviews", Method: http.MethodGet, Path: "/reviews", Tags: tags, Summary: "List access reviews, latest first",
		Description: "Those of campaigns, and the small ones about a new owner or access nobody uses."},
		ReviewsRead, func(ctx context.Context, by caller, in *reviewList) (*listed[Review], error) {
			found, err := s.Reviews.List(ctx, s.DB, by.Workspace, reviews.Query{
				State: reviews.State(in.State), Trigger: reviews.Trigger(in.Trigger), Campaign: in.Campaign, After: in.Cursor, Limit: in.Limit,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, reviewOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "getReview", Method: http.MethodGet, Path: "/reviews/{id}", Tags: tags, Summary: "Get a review and how far it is"},
		ReviewsRead, func(ctx context.Context, by caller, in *byID) (*single[Review], error) { return one(ctx, by, in.ID) })
	add(api, huma.Operation{OperationID: "listReviewItems", Method: http.MethodGet, Path: "/reviews/{id}/items", Tags: tags, Summary: "List what a review asks about, by app, account and name"},
		ReviewsRead, func(ctx context.Context, by caller, in *reviewItemList) (*listed[ReviewItem], error) {
			if _, err := one(ctx, by, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Reviews.Items(ctx, s.DB, by.Workspace, reviews.ItemQuery{
				Review: in.ID, Reviewer: in.Reviewer, Undecided: in.Undecided, Decision: reviews.Verdict(in.Decision), After: in.Cursor, Limit: in.Limit,
			})
			if err != nil {
				return nil, err
			}
			answer := listing(found, reviewItemOf)
			if len(found) == in.Limit {
				answer.Body.Next = found[len(found)-1].ID.String()
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "decideReviewItems", Method: http.MethodPost, Path: "/reviews/{id}/decisions", Tags: tags, Summary: "Decide about up to 200 items",
		Description: "All in one transaction; that one is refused keeps the others from nothing. Access that is revoked is gone with the answer, and rotated as policies say. A review never gives more."},
		ReviewsWrite, func(ctx context.Context, by caller, in *decideItems) (*listed[ReviewResult], error) {
			wanted := make([]reviews.Decision, len(in.Body.Decisions))
			for i, said := range in.Body.Decisions {
				wanted[i] = reviews.Decision{Item: said.Item, Verdict: reviews.Verdict(said.Decision), Role: accounts.Role(said.Role), Expires: said.Expires, Reason: said.Reason}
			}
			results, err := s.Reviews.Decide(ctx, by.cause, by.Workspace, in.ID, wanted)
			if err != nil {
				return nil, err
			}
			return listing(results, reviewResultOf), nil
		})
	add(api, huma.Operation{OperationID: "reassignReviewItems", Method: http.MethodPost, Path: "/reviews/{id}/reassign", Tags: tags, Summary: "Have somebody else decide",
		Description: "Mail tells them. Nobody gets access of their own to decide about: such items stay where they are."},
		ReviewsWrite, func(ctx context.Context, by caller, in *reassignItems) (*single[ReviewMoved], error) {
			if (len(in.Body.Items) == 0) == in.Body.From.IsZero() {
				return nil, core.Invalid("items", "name either items or a reviewer")
			}
			moved, err := s.Reviews.Reassign(ctx, by.cause, by.Workspace, in.ID, reviews.Reassignment{Items: in.Body.Items, From: in.Body.From, To: in.Body.To})
			if err != nil {
				return nil, err
			}
			return &single[ReviewMoved]{ReviewMoved{moved}}, nil
		})
	add(api, huma.Operation{OperationID: "cancelReview", Method: http.MethodPost, Path: "/reviews/{id}/cancel", Tags: tags, Summary: "End a review before its time",
		Description: "What is decided stays done, what is not is left as it is."},
		ReviewsWrite, func(ctx context.Context, by caller, in *cancelReview) (*single[Review], error) {
			if err := s.Reviews.Cancel(ctx, by.cause, by.Workspace, in.ID, in.Body.Reason); err != nil {
				return nil, err
			}
			return one(ctx, by, in.ID)
		})
	add(api, huma.Operation{OperationID: "getReviewDocument", Method: http.MethodGet, Path: "/reviews/{id}/document", Tags: tags, Summary: "Get a review's signed evidence as a file",
		Description: "Save it as it is; `postern review verify` verifies it, offline. Not found while nothing is signed: that is once the review is closed and what follows is done, or a day later."},
		ReviewsRead, func(ctx context.Context, by caller, in *reviewIssue) (*single[ReviewDocument], error) {
			issue, err := s.Reviews.Issue(ctx, s.DB, by.Workspace, in.ID, in.Number)
			if err != nil {
				return nil, err
			}
			document, err := issue.Document()
			if err != nil {
				return nil, err
			}
			keys, err := json.Marshal(document.Keys)
			if err != nil {
				return nil, core.Internal(err)
			}
			return &single[ReviewDocument]{ReviewDocument{document.Review, document.Signature, keys}}, nil
		})
	s.reviewCampaigns(api, tags)
	s.reviewSettings(api, tags)
}
