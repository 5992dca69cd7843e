package reviews

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/postgres"
)

// Verdict is what becomes of an access.
type Verdict string

// The verdicts.
const (
	Keep   Verdict = "keep"
	Revoke Verdict = "revoke"
	Change Verdict = "change" // a weaker role, or an earlier end
	Ended  Verdict = "ended"  // it was gone before anybody decided; nobody decides this
)

// MaxTogether bounds how many items are decided at once.
const MaxTogether = 200

// MaxReason bounds a reason, in characters.
const MaxReason = 500

// Decision is what somebody says about an item.
type Decision struct {
	Item    core.ID
	Verdict Verdict
	Role    accounts.Role // of Change; empty leaves it
	Expires *time.Time    // of Change; nil leaves it
	Reason  string
}

// Result is what became of a decision.
type Result struct {
	Item    core.ID
	Verdict Verdict     // that the item has now; empty: none yet
	Refused *core.Error // nil: it was taken
}

func (d Decision) checked() (Decision, error) {
	var err error
	if d.Reason, err = reasoned(d.Reason); err != nil {
		return d, err
	}
	switch {
	case d.Item.IsZero():
		return d, core.Invalid("item", "say which item")
	case d.Verdict != Keep && d.Verdict != Revoke && d.Verdict != Change:
		return d, core.Invalid("decision", "access is kept, revoked or changed")
	case d.Verdict != Change && (d.Role != "" || d.Expires != nil):
		return d, core.Invalid("decision", "a role or an end is given with a change alone")
	case d.Role != "" && d.Role != accounts.Owner && d.Role != accounts.Collaborator:
		return d, core.Invalid("role", "a role is owner or collaborator")
	}
	return d, nil
}

func reasoned(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || utf8.RuneCountInString(reason) > MaxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, control) {
		return "", core.Invalid("reason", "say why, in at most %d characters", MaxReason)
	}
	return reason, nil
}

func control(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }

// asker is who decides.
type asker struct {
	user        core.ID // zero: a service account, or the system
	service     core.ID // a service account
	administers bool
}

// asks finds who acts and may review at all, and keeps them so until the transaction ends.
func (r *Reviews) asks(ctx context.Context, tx pgx.Tx, cause core.Cause, workspace core.ID) (asker, error) {
	switch cause.Actor.Kind {
	case core.ActorServiceAccount: // whose scopes say more
		return asker{service: cause.Actor.ID, administers: true}, nil
	case core.ActorSystem:
		return asker{administers: true}, nil
	case core.ActorConnection:
		return asker{}, core.Denied("a connection reviews nothing").WithCode("not_a_user")
	case core.ActorUser:
	}
	user, err := r.Directory.HoldUser(ctx, tx, workspace, cause.Actor.ID)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return asker{}, core.Denied("you are nobody in this workspace").WithCode("not_a_member")
	case err != nil:
		return asker{}, err
	case !user.Active:
		return asker{}, core.Denied("whoever is deactivated has no access to this workspace").WithCode("inactive")
	case !user.Role.MayOwn():
		return asker{}, core.Denied("guests and login-only users review nothing").WithCode("not_reviewer")
	}
	return asker{user: user.ID, administers: user.Role.Administers()}, nil
}

// Decide takes what somebody says about items of a review and does it, in one transaction: that one of them is
// refused keeps the others from nothing. The reviewer of an item may, and administrators; nobody may about access of
// their own (Denied, code "own_access"). Results are in the order of the decisions.
func (r *Reviews) Decide(ctx context.Context, cause core.Cause, workspace, review core.ID, decisions []Decision) ([]Result, error) {
	if len(decisions) == 0 || len(decisions) > MaxTogether {
		return nil, core.Invalid("decisions", "decide about 1 to %d items at once", MaxTogether)
	}
	wanted := make([]Decision, len(decisions))
	places := make(map[core.ID]int, len(decisions))
	for i, one := range decisions {
		checked, err := one.checked()
		if err != nil {
			return nil, err
		}
		if _, twice := places[one.Item]; twice {
			return nil, core.Invalid("decisions", "the same item comes twice")
		}
		wanted[i], places[one.Item] = checked, i
	}
	var results []Result
	err := r.tx(ctx, func(tx pgx.Tx) error {
		results = make([]Result, len(wanted))
		by, err := r.asks(ctx, tx, cause, workspace)
		if err != nil {
			return err
		}
		of, err := r.lockOpen(ctx, tx, workspace, review, `for share`)
		if err != nil {
			return err
		}
		items, err := r.lockItems(ctx, tx, workspace, review, wanted)
		if err != nil {
			return err
		}
		for i, one := range wanted {
			results[i] = Result{Item: one.Item, Refused: core.NotFound("item in this review")}
		}
		for _, item := range items {
			at := places[item.ID]
			if results[at], err = r.decide(ctx, tx, cause, of, by, item, wanted[at]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.lookWhenDone(ctx, workspace, review)
	return results, nil
}

const lockItems = selectItems + ` and i.id = any(@items::uuid[]) for update`

// lockItems holds items, and gives them in the order in which all commands lock accounts.
func (r *Reviews) lockItems(ctx context.Context, tx pgx.Tx, workspace, review core.ID, wanted []Decision) ([]Item, error) {
	ids := make([]core.ID, len(wanted))
	for i, one := range wanted {
		ids[i] = one.Item
	}
	slices.SortFunc(ids, func(a, b core.ID) int { return bytes.Compare(a[:], b[:]) })
	items, err := postgres.Many[Item](ctx, tx, lockItems, pgx.StrictNamedArgs{"workspace": workspace, "review": review, "items": ids})
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(bytes.Compare(a.Account[:], b.Account[:]), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return items, err
}

// decide does what one decision says, or nothing of it.
func (r *Reviews) decide(ctx context.Context, tx pgx.Tx, cause core.Cause, of Review, by asker, item Item, wanted Decision) (Result, error) {
	result := Result{Item: item.ID, Verdict: item.Decision}
	if err := r.may(ctx, tx, of.Workspace, by, item); err != nil {
		result.Refused = core.AsError(err)
		if result.Refused.Kind == core.KindInternal {
			return result, err
		}
		return result, nil
	}
	part, err := tx.Begin(ctx)
	if err != nil {
		return result, postgres.Classify(err)
	}
	result.Verdict, err = r.carryOut(ctx, part, cause, of, item, wanted, false)
	if err == nil {
		return result, postgres.Classify(part.Commit(ctx))
	}
	refused := core.AsError(err)
	switch refused.Kind {
	case core.KindInvalid, core.KindDenied, core.KindConflict, core.KindStale, core.KindNotFound:
	default:
		return result, err
	}
	if err := part.Rollback(ctx); err != nil {
		return result, postgres.Classify(err)
	}
	result.Verdict, result.Refused = "", refused
	if refused.Kind == core.KindStale {
		return result, r.renew(ctx, tx, of.Workspace, item)
	}
	return result, nil
}

const selectMembership = `
select exists (select from team_members m where m.workspace_id = @workspace and m.team_id = @team and m.user_id = @user and m.suspended is null)`

// may refuses whoever is not to decide about an item, or comes too late.
func (r *Reviews) may(ctx context.Context, tx pgx.Tx, workspace core.ID, by asker, item Item) error {
	own := !by.user.IsZero() && by.user == item.User || !by.service.IsZero() && by.service == item.Service
	if !item.Team.IsZero() && !by.user.IsZero() {
		args := pgx.StrictNamedArgs{"workspace": workspace, "team": item.Team, "user": by.user}
		if err := tx.QueryRow(ctx, selectMembership, args).Scan(&own); err != nil {
			return core.Internal(err)
		}
	}
	switch {
	case own:
		return core.Denied("nobody decides about access of their own, whatever their role").WithCode("own_access")
	case !by.administers && by.user != item.Reviewer:
		return core.Denied("you are not the reviewer of this item").WithCode("not_reviewer")
	case item.Decision == Ended:
		return core.Conflict("item", "the access had ended before anybody decided").WithCode("ended")
	case item.Decision != "":
		return core.Conflict("item", "%s decided already: %s", decider(item), item.Decision).WithCode("decided")
	}
	return nil
}

func decider(item Item) string {
	if item.Decider == nil || item.Decider.Name == "" {
		return "somebody"
	}
	return item.Decider.Name
}

// standing is the access an item is about, as it is now.
type standing struct {
	Grant   core.ID       `db:"id"`
	Role    accounts.Role `db:"role"`
	Purpose string        `db:"purpose"`
	Expires *time.Time    `db:"expires"`
}

const selectStanding = `
select g.id, g.role, g.purpose, g.expires from grants g
where g.workspace_id = @workspace and g.account_id = @account and (g.user_id = @user or g.team_id = @team)
	and g.revoked is null and (g.expires is null or g.expires > @now)`

// carryOut does what was decided about an item that is locked and has no decision. Unless it is the default, it was
// said about what the reviewer saw: Stale if that is not so any more. Whoever decided has the right by the review, so
// the review takes the access, not they.
func (r *Reviews) carryOut(ctx context.Context, tx pgx.Tx, cause core.Cause, of Review, item Item, wanted Decision, defaulted bool) (Verdict, error) {
	if item.Kind == ServiceAccount {
		return r.carryOutScopes(ctx, tx, cause, of, item, wanted, defaulted)
	}
	now := r.now()
	has, err := postgres.One[standing](ctx, tx, "access", selectStanding, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "account": item.Account, "user": item.User, "team": item.Team, "now": now,
	})
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return Ended, r.settle(ctx, tx, cause, of, item, ended)
	case err != nil:
		return "", err
	case has.Grant != item.Grant && !defaulted:
		return "", core.Stale("it was given anew meanwhile, as %s; look at it again", has.Role).WithCode("changed")
	}
	settled := settlement{Verdict: wanted.Verdict, by: cause.Actor, reason: wanted.Reason, defaulted: defaulted}
	taker := of.taker(cause)
	switch wanted.Verdict {
	case Revoke:
		err = r.Lifecycle.Unshare(ctx, tx, taker, of.Workspace, has.Grant)
		if core.KindOf(err) == core.KindNotFound {
			return Ended, r.settle(ctx, tx, cause, of, item, ended)
		}
	case Change:
		var sharing accounts.Sharing
		if sharing, err = has.narrowed(wanted, now); err == nil {
			sharing.Subject = accounts.Subject{User: item.User, Team: item.Team}
			settled.role, settled.expires = sharing.Role, sharing.Expires
			_, err = r.Lifecycle.Share(ctx, tx, taker, of.Workspace, item.Account, sharing)
		}
	case Keep, Ended:
	}
	if err != nil {
		return "", err
	}
	return wanted.Verdict, r.settle(ctx, tx, cause, of, item, settled)
}

// ended is the settlement of an access that is gone.
var ended = settlement{Verdict: Ended, by: core.System, reason: "the access had ended before anybody decided"}

// taker is the cause of what is done for somebody's decision.
func (r Review) taker(cause core.Cause) core.Cause {
	cause.Actor = core.Actor{Kind: core.ActorSystem, Name: "Access review " + r.Name}
	return cause
}

// narrowed is what is left of an access by a change: never more than there is.
func (s standing) narrowed(wanted Decision, now time.Time) (accounts.Sharing, error) {
	left := accounts.Sharing{Role: s.Role, Purpose: s.Purpose, Expires: s.Expires}
	if wanted.Role != "" {
		left.Role = wanted.Role
	}
	if wanted.Expires != nil {
		left.Expires = new(wanted.Expires.UTC().Truncate(time.Microsecond))
	}
	sooner := wanted.Expires != nil && (s.Expires == nil || left.Expires.Before(*s.Expires))
	switch {
	case left.Role == accounts.Owner && s.Role != accounts.Owner:
		return left, core.Invalid("role", "a review never gives more; share the account anew for that").WithCode("widens")
	case wanted.Expires != nil && !left.Expires.After(now):
		return left, core.Invalid("expires", "the time has passed already; revoke it instead")
	case wanted.Expires != nil && !sooner && !left.Expires.Equal(*s.Expires):
		return left, core.Invalid("expires", "a review never gives more time; share the account anew for that").WithCode("widens")
	case left.Role == s.Role && !sooner:
		return left, core.Invalid("decision", "nothing would be changed by it; keep it instead")
	}
	return left, nil
}

// settlement is what an item is settled with.
type settlement struct {
	Verdict
	by        core.Actor
	reason    string
	defaulted bool
	role      accounts.Role
	expires   *time.Time
	failure   string
}

const settleItem = `
update review_items i set decision = @decision, new_role = nullif(@role, ''), new_expires = @expires, reason = @reason, decided = @now, decider = @by,
	defaulted = @defaulted, correlation = @correlation, failure = @failure, rotation_id = case when @took then (
		select t.id from rotations t where t.workspace_id = i.workspace_id and t.account_id = i.account_id and t.finished is null and t.reason <> 'verify') end
where i.workspace_id = @workspace and i.review_id = @review and i.id = @item and i.decision is null`

// settle gives an item its one decision, and tells of it.
func (r *Reviews) settle(ctx context.Context, tx pgx.Tx, cause core.Cause, of Review, item Item, with settlement) error {
	now := r.now()
	done, err := tx.Exec(ctx, settleItem, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "review": of.ID, "item": item.ID, "decision": string(with.Verdict), "role": string(with.role), "expires": with.expires,
		"reason": with.reason, "now": now, "by": with.by, "defaulted": with.defaulted, "correlation": cause.Correlation, "failure": with.failure,
		"took": (with.Verdict == Revoke || with.Verdict == Change) && with.failure == "",
	})
	if err != nil {
		return postgres.Classify(err)
	}
	if done.RowsAffected() != 1 {
		return core.Conflict("item", "somebody decided already").WithCode("decided")
	}
	if with.Verdict == Ended {
		return nil // that it ended was told when it did
	}
	event := core.NewEvent(core.ReviewItemDecided, of.Workspace, cause, now, append(item.targets(), of.Target())...).
		With("decision", string(with.Verdict)).With("item", item.ID.String()).With("role", item.Role).Because(with.reason)
	if with.failure != "" {
		event = event.Failed(with.failure)
	}
	if with.defaulted {
		event = event.With("defaulted", "true")
	}
	if with.role != "" {
		event = event.With("new_role", string(with.role))
	}
	if with.expires != nil {
		event = event.With("new_expires", with.expires.Format(time.RFC3339))
	}
	return audit.Append(ctx, tx, event)
}

// renewed sets items that were given anew to what they are now.
const renewed = `
update review_items i set grant_id = g.id, role = g.role, purpose = g.purpose, giver = coalesce(g.giver ->> 'name', ''), given = g.created,
	expires = g.expires, changed = @now
from grants g
where g.workspace_id = @workspace and g.revoked is null and (g.expires is null or g.expires > @now)
	and i.workspace_id = g.workspace_id and i.account_id = g.account_id and (i.user_id = g.user_id or i.team_id = g.team_id)
	and i.decision is null and i.grant_id <> g.id`

// renew has an item say what the access is now.
func (r *Reviews) renew(ctx context.Context, tx pgx.Tx, workspace core.ID, item Item) error {
	if item.Kind == ServiceAccount {
		return r.renewScopes(ctx, tx, workspace, item.Service)
	}
	_, err := tx.Exec(ctx, renewed+` and i.review_id = @review and i.id = @item`, pgx.StrictNamedArgs{
		"workspace": workspace, "review": item.Review, "item": item.ID, "now": r.now(),
	})
	return postgres.Classify(err)
}

const lookIfDone = `
update reviews r set look = @now
where r.workspace_id = @workspace and r.id = @review and r.state = 'open'
	and not exists (select from review_items i where i.workspace_id = r.workspace_id and i.review_id = r.id and i.decision is null)`

// lookWhenDone has a review closed soon in which everything is decided. Whoever is killed before it, or fails, leaves
// that to the next look.
func (r *Reviews) lookWhenDone(ctx context.Context, workspace, review core.ID) {
	_, err := r.DB.Exec(ctx, lookIfDone, pgx.StrictNamedArgs{"workspace": workspace, "review": review, "now": r.now()})
	r.warn(ctx, "see whether a review is done", err)
}
