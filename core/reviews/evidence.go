package reviews

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/statements"
)

// Format is the version of the form evidence has.
const Format = 1

// Type is the typ of signed evidence (RFC 7515 §4.1.9): it is taken for nothing else.
const Type = "postern-review+jws"

var kind = statements.Kind{Type: Type, Member: "review", Noun: "review"}

// Followed is how far what was decided has been done.
type Followed string

// What can have followed.
const (
	Nothing  Followed = "nothing"   // was to be done: it was kept, or had ended
	Done     Followed = "done"      // access is gone or narrowed, and the app refuses the password that was known
	Rotating Followed = "under_way" // access is gone or narrowed, but the password is not changed yet
	Failed   Followed = "failed"    // it could not be done
)

// Evidence says what was asked, what was decided and what came of it. Its JSON is what is signed.
type Evidence struct {
	Format     int            `json:"format"`
	ID         core.ID        `json:"id"`
	Workspace  core.ID        `json:"workspace"`
	Number     int            `json:"number"`               // of the issue; 0: not signed yet
	Supersedes string         `json:"supersedes,omitempty"` // SHA-256 of the issue before, hexadecimal
	Issued     time.Time      `json:"issued"`
	Name       string         `json:"name"`
	Trigger    Trigger        `json:"trigger"`
	Scope      *Scope         `json:"scope,omitempty"`
	StartedBy  core.Actor     `json:"started_by"`
	Started    time.Time      `json:"started"`
	Due        time.Time      `json:"due"`
	Fallback   Verdict        `json:"fallback"`
	Closed     *time.Time     `json:"closed,omitempty"`
	Cancelled  string         `json:"cancelled,omitempty"` // why; what has no decision was left as it was
	Complete   bool           `json:"complete"`            // everything that was decided is done
	Items      []EvidenceItem `json:"items"`
}

// EvidenceItem is one access, the decision about it, and what followed.
type EvidenceItem struct {
	ID         core.ID     `json:"id"`
	Account    core.ID     `json:"account,omitzero"` // zero: of a service account
	App        string      `json:"app"`
	Username   string      `json:"username"`
	Kind       Kind        `json:"kind"`
	Subject    core.Target `json:"subject"`
	Grant      core.ID     `json:"grant,omitzero"`
	Role       string      `json:"role"`
	Purpose    string      `json:"purpose,omitempty"`
	GivenBy    string      `json:"given_by,omitempty"`
	Given      time.Time   `json:"given"`
	Expires    *time.Time  `json:"expires,omitempty"`
	LastUsed   *time.Time  `json:"last_used,omitempty"`
	Reviewer   string      `json:"reviewer,omitempty"` // who was asked last
	AskedAs    AskedAs     `json:"asked_as,omitempty"`
	Decision   Verdict     `json:"decision,omitempty"` // absent: none
	NewRole    string      `json:"new_role,omitempty"`
	NewExpires *time.Time  `json:"new_expires,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	Decided    *time.Time  `json:"decided,omitempty"`
	DecidedBy  *core.Actor `json:"decided_by,omitempty"`
	Defaulted  bool        `json:"defaulted,omitempty"` // nobody decided until the end
	Followed   Followed    `json:"followed"`
	Why        string      `json:"why,omitempty"`     // it failed, or is under way
	Rotation   core.ID     `json:"rotation,omitzero"` // under way when access ended
	OldRefused *time.Time  `json:"refused,omitempty"` // when the app was first seen to refuse a password that was in use then
}

// Count is how many items something followed for.
func (e Evidence) Count(followed Followed) int {
	count := 0
	for _, one := range e.Items {
		if one.Followed == followed {
			count++
		}
	}
	return count
}

// Decided is how many items have a decision.
func (e Evidence) Decided(verdict Verdict) int {
	count := 0
	for _, one := range e.Items {
		if one.Decision == verdict {
			count++
		}
	}
	return count
}

// What was in use when access ended is dead when, after that, the app was seen to refuse what it had.
const selectEvidence = `
select i.id, i.account_id, i.app_name, i.username, i.kind, i.user_id, i.team_id, i.service_account_id, i.subject, i.grant_id, i.role, i.purpose, i.giver,
	i.given, i.expires, i.last_used, i.asked_as, coalesce(i.decision, '') as decision, coalesce(i.new_role, '') as new_role, i.new_expires, i.reason, i.decided,
	i.decider, i.defaulted, i.failure, i.rotation_id, coalesce(t.detail, '') as detail,
	coalesce((select coalesce(nullif(v.display_name, ''), v.user_name) from users v where v.workspace_id = i.workspace_id and v.id = i.reviewer_id), '') as reviewing,
	` + refusedSince + ` as refused
from review_items i
left join rotations t on t.workspace_id = i.workspace_id and t.id = i.rotation_id
where i.workspace_id = @workspace and i.review_id = @id
order by i.place`

const refusedSince = `(
		select min(x.old_refused) from rotations x
		where i.rotation_id is not null and x.workspace_id = i.workspace_id and x.account_id = i.account_id and x.old_refused >= i.decided
	)`

// compose says what is true now. Neither number nor what it supersedes is in it.
func (r *Reviews) compose(ctx context.Context, q postgres.Querier, of Review) (Evidence, error) {
	type found struct {
		Item
		Detail  string     `db:"detail"`
		Refused *time.Time `db:"refused"`
	}
	rows, err := q.Query(ctx, selectEvidence, pgx.StrictNamedArgs{"workspace": of.Workspace, "id": of.ID})
	if err != nil {
		return Evidence{}, postgres.Classify(err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[found])
	if err != nil {
		return Evidence{}, postgres.Classify(err)
	}
	made := Evidence{
		Format: Format, ID: of.ID, Workspace: of.Workspace, Issued: r.now(), Name: of.Name, Trigger: of.Trigger, Scope: of.Scope,
		StartedBy: of.Cause.Actor, Started: of.Started.UTC(), Due: of.Due.UTC(), Fallback: of.Fallback, Closed: utc(of.Closed),
		Complete: of.State == Closed, Items: make([]EvidenceItem, len(items)),
	}
	if of.Cancelled != nil {
		made.Cancelled = *of.Cancelled
	}
	for i, one := range items {
		told := EvidenceItem{
			ID: one.ID, Account: one.Account, App: one.AppName, Username: one.Username, Kind: one.Kind, Subject: one.Target(), Grant: one.Grant,
			Role: one.Role, Purpose: one.Purpose, GivenBy: one.Giver, Given: one.Given.UTC(), Expires: utc(one.Expires), LastUsed: utc(one.LastUsed),
			Reviewer: one.Reviewing, AskedAs: one.AskedAs, Decision: one.Decision, NewRole: one.NewRole, NewExpires: utc(one.NewExpires),
			Reason: one.Reason, Decided: utc(one.Decided), DecidedBy: one.Decider, Defaulted: one.Defaulted, Followed: Nothing, Rotation: one.Rotation,
		}
		switch {
		case one.Failure != "":
			told.Followed, told.Why = Failed, one.Failure
		case !one.Rotation.IsZero() && one.Refused == nil:
			told.Followed, told.Why = Rotating, one.Detail
		case one.Decision == Revoke || one.Decision == Change:
			told.Followed, told.OldRefused = Done, utc(one.Refused)
		}
		made.Complete = made.Complete && told.Followed != Failed && told.Followed != Rotating
		made.Items[i] = told
	}
	return made, nil
}

func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	return new(at.UTC())
}

// Evidence is what is true of a review now, signed or not. It asks nobody's leave: the caller does.
func (r *Reviews) Evidence(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Evidence, error) {
	of, err := r.Review(ctx, q, workspace, id)
	if err != nil {
		return Evidence{}, err
	}
	return r.compose(ctx, q, of)
}

// Document is evidence as a file: readable, and with a JWS of it whose payload is detached (RFC 7515 appendix F).
// What is signed is the canonical form (RFC 8785) of Evidence, however it is laid out.
type Document struct {
	Review    json.RawMessage     `json:"review"`
	Signature string              `json:"signature"`
	Keys      *jose.JSONWebKeySet `json:"keys,omitempty"` // what it was signed with; whoever forges it can put theirs here
}

// Read reads evidence from a file: a document, or a JWS in one line. Nothing of it is verified.
func Read(text []byte) (Document, error) {
	read, err := kind.Read(text)
	return Document{read.Said, read.Signature, read.Keys}, err
}

// Verify checks that evidence was signed with one of the keys, and returns what it says and the key. Whether a key is
// the workspace's is for whoever brings it to know. What is not signed so, in every respect, is Unauthenticated.
func (d Document) Verify(keys []jose.JSONWebKey) (Evidence, jose.JSONWebKey, error) {
	payload, key, err := kind.Verify(statements.Document{Said: d.Review, Signature: d.Signature, Keys: d.Keys}, keys)
	if err != nil {
		return Evidence{}, jose.JSONWebKey{}, err
	}
	var said Evidence
	if err := json.Unmarshal(payload, &said); err != nil || said.Format != Format {
		return Evidence{}, jose.JSONWebKey{}, kind.Refused("it has a form this version does not know")
	}
	return said, key, nil
}
