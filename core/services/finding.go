package services

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// FindingKind says what is odd about a service account.
type FindingKind string

// The kinds of findings. The first two end by themselves once there are owners again, KnownByLeaver and ExpiresSoon
// once the value is revoked; the others are resolved by a person.
const (
	Ownerless          FindingKind = "ownerless"
	OneOwner           FindingKind = "one_owner"
	UsedAfterIdle      FindingKind = "used_after_idle"       // cause: since when it had not been seen
	NewNetwork         FindingKind = "new_network"           // cause: the network
	InteractiveUse     FindingKind = "interactive_use"       // a person's browser; cause: which token, from where
	UsedAfterOwnerLeft FindingKind = "used_after_owner_left" // cause: who left and is still named as an owner
	ExpiresSoon        FindingKind = "expires_soon"          // cause: which value of which credential
	KnownByLeaver      FindingKind = "known_by_leaver"       // cause: which row of what people know
)

// FindingKinds lists them all, the gravest first.
var FindingKinds = []FindingKind{KnownByLeaver, InteractiveUse, UsedAfterOwnerLeft, NewNetwork, UsedAfterIdle, Ownerless, OneOwner, ExpiresSoon}

// condition reports whether a finding lasts as long as what it tells of does.
func (k FindingKind) condition() bool { return k == Ownerless || k == OneOwner }

// FindingState is what became of a finding.
type FindingState string

// The states of a finding.
const (
	Open         FindingState = "open"
	Acknowledged FindingState = "acknowledged" // somebody looks after it
	Resolved     FindingState = "resolved"
)

// Finding is something odd about a service account.
type Finding struct {
	ID          core.ID      `db:"id"`
	Account     core.ID      `db:"service_account_id"`
	AccountName string       `db:"account_name"`
	Kind        FindingKind  `db:"kind"`
	Cause       string       `db:"cause"`
	Detail      string       `db:"detail"` // for a person
	State       FindingState `db:"state"`
	Opened      time.Time    `db:"opened"`
	Decided     *time.Time   `db:"decided"` // when its state last changed
	Decider     string       `db:"decider"`
	Note        string       `db:"note"`
}

// Target is the finding as what something happened to.
func (f Finding) Target() core.Target {
	return core.Target{Kind: "finding", ID: f.ID, Name: string(f.Kind)}
}

// How often one cause may be told.
const (
	once  = true  // once and for all
	again = false // again after it was resolved
)

const insertFinding = `
insert into service_findings (id, workspace_id, service_account_id, kind, cause, detail, state, opened)
select @id, @workspace::uuid, @account::uuid, @kind::text, @cause::text, @detail, 'open', @now
where not exists (
	select from service_findings f
	where f.workspace_id = @workspace and f.service_account_id = @account and f.kind = @kind and f.cause = @cause and (@once or f.state <> 'resolved'))`

// raise opens a finding about a locked account, unless there was one for the cause, and returns what is to be told.
func (s *Services) raise(ctx context.Context, tx pgx.Tx, cause core.Cause, account Account, kind FindingKind, about, detail string, once bool) ([]core.Event, error) {
	now := s.now()
	finding := Finding{ID: core.NewID(), Kind: kind}
	done, err := tx.Exec(ctx, insertFinding, pgx.StrictNamedArgs{
		"id": finding.ID, "workspace": account.Workspace, "account": account.ID, "kind": kind, "cause": about, "detail": detail, "now": now, "once": once,
	})
	if err != nil || done.RowsAffected() == 0 {
		return nil, postgres.Classify(err)
	}
	return []core.Event{core.NewEvent(core.ServiceAccountFindingOpened, account.Workspace, cause, now, account.Target(), finding.Target()).
		Because(detail).With("kind", string(kind))}, nil
}

const endFinding = `
update service_findings set state = 'resolved', decided = @now, decider = 'Postern', note = 'it is so no longer'
where workspace_id = @workspace and service_account_id = @account and kind = @kind and cause = @cause and state <> 'resolved'
returning id`

// over ends what a locked account's finding told of, if there is one.
func (s *Services) over(ctx context.Context, tx pgx.Tx, cause core.Cause, account Account, kind FindingKind, about string) ([]core.Event, error) {
	now := s.now()
	ended, err := postgres.Column[core.ID](ctx, tx, endFinding, pgx.StrictNamedArgs{
		"workspace": account.Workspace, "account": account.ID, "kind": kind, "cause": about, "now": now,
	})
	var events []core.Event
	for _, id := range ended {
		events = append(events, core.NewEvent(core.ServiceAccountFindingResolved, account.Workspace, cause, now, account.Target(), Finding{ID: id, Kind: kind}.Target()).
			Because("it is so no longer").With("kind", string(kind)))
	}
	return events, err
}

const findingColumns = `
select f.id, f.service_account_id, a.name as account_name, f.kind, f.cause, f.detail, f.state, f.opened, f.decided, f.decider, f.note
from service_findings f join service_accounts a on a.workspace_id = f.workspace_id and a.id = f.service_account_id`

// FindingQuery narrows Findings. The zero query is the workspace's first page of all.
type FindingQuery struct {
	Account core.ID
	State   FindingState
	Kind    FindingKind
	Limit   int     // default 100, at most 500
	Before  core.ID // the last one of the page before
}

const selectFindings = findingColumns + `
where f.workspace_id = @workspace and (@account::uuid is null or f.service_account_id = @account) and (@state = '' or f.state = @state)
	and (@kind = '' or f.kind = @kind) and (@before::uuid is null or f.id < @before)
order by f.id desc
limit @limit`

// Findings lists findings, latest first, a page at a time.
func (s *Services) Findings(ctx context.Context, q postgres.Querier, workspace core.ID, query FindingQuery) ([]Finding, error) {
	return postgres.Many[Finding](ctx, q, selectFindings, pgx.StrictNamedArgs{
		"workspace": workspace, "account": query.Account, "state": query.State, "kind": query.Kind, "before": query.Before, "limit": postgres.Page(query.Limit),
	})
}

const selectFinding = findingColumns + ` where f.workspace_id = @workspace and f.id = @id`

// Finding finds one by its id.
func (s *Services) Finding(ctx context.Context, q postgres.Querier, workspace, id core.ID) (Finding, error) {
	return postgres.One[Finding](ctx, q, "finding", selectFinding, pgx.StrictNamedArgs{"workspace": workspace, "id": id})
}

const updateFinding = `
update service_findings set state = @state, decided = @now, decider = @decider, note = @note where workspace_id = @workspace and id = @id`

// maxNote is the longest note or reason, in characters.
const maxNote = 500

// Decide acknowledges or resolves a finding, with a note for whoever reads it later; to resolve one takes a note. The owners of the
// service account may, administrators, other service accounts and the system. A finding about owners cannot be resolved: it ends when
// there are owners. Deciding the same again changes nothing.
func (s *Services) Decide(ctx context.Context, cause core.Cause, workspace, finding core.ID, state FindingState, note string) (Finding, error) {
	least := 0
	if state == Resolved {
		least = 1
	}
	if err := checkText("note", note, least, maxNote); err != nil {
		return Finding{}, err
	}
	var after Finding
	err := s.change(ctx, func(tx pgx.Tx) ([]core.Event, error) {
		before, err := s.Finding(ctx, tx, workspace, finding)
		if err != nil {
			return nil, err
		}
		account, err := s.ownersOf(ctx, tx, cause, workspace, before.Account)
		if err != nil {
			return nil, err
		}
		if before, err = s.Finding(ctx, tx, workspace, finding); err != nil {
			return nil, err
		}
		kind := core.ServiceAccountFindingAcknowledged
		switch {
		case state == before.State:
			after = before
			return nil, nil
		case state != Acknowledged && state != Resolved:
			return nil, core.Invalid("state", "a finding is acknowledged or resolved")
		case before.State == Resolved:
			return nil, core.Conflict("state", "this finding is resolved").WithCode("resolved")
		case state == Resolved && before.Kind.condition():
			return nil, core.Conflict("state", "this ends by itself once there are two active owners or a team; name them").WithCode("still_so")
		case state == Resolved:
			kind = core.ServiceAccountFindingResolved
		}
		now := s.now()
		if _, err := tx.Exec(ctx, updateFinding, pgx.StrictNamedArgs{
			"workspace": workspace, "id": finding, "state": state, "now": now, "decider": cause.Actor.Name, "note": note,
		}); err != nil {
			return nil, postgres.Classify(err)
		}
		if after, err = s.Finding(ctx, tx, workspace, finding); err != nil {
			return nil, err
		}
		return []core.Event{core.NewEvent(kind, workspace, cause, now, account.Target(), after.Target()).Because(note).With("kind", string(after.Kind))}, nil
	})
	return after, err
}
