package posture

import (
	"strings"

	"postern/core/services"
)

// Severity is how much a finding matters.
type Severity string

// The severities, the gravest first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
)

// Severities lists them all, the gravest first.
var Severities = []Severity{Critical, High, Medium, Low}

// Kind is what is wrong, or is about to be.
type Kind string

// The kinds of findings.
const (
	AtRisk           Kind = "at_risk"
	ServiceKnown     Kind = "service_known"
	Orphaned         Kind = "orphaned"
	Desynced         Kind = "desynced"
	RotationFailing  Kind = "rotation_failing"
	PasswordReused   Kind = "password_reused"
	PasswordWeak     Kind = "password_weak"
	ServiceOwnerless Kind = "service_ownerless"
	ServiceMisused   Kind = "service_misused"
	DryRunFailing    Kind = "dry_run_failing"
	AppDisabled      Kind = "app_disabled"
	Unmanaged        Kind = "unmanaged"
	DesyncSuspected  Kind = "desync_suspected"
	PasswordStale    Kind = "password_stale"
	TokenExpiring    Kind = "token_expiring"
	ServiceExpiring  Kind = "service_expiring"
	ServiceOneOwner  Kind = "service_one_owner"
	ServiceUnusual   Kind = "service_unusual"
	Unvalidated      Kind = "unvalidated"
	GrantEnding      Kind = "grant_ending"
	LinkOld          Kind = "link_old"
	PartnerSponsor   Kind = "partner_sponsorless"
)

// Description is what people are told of all findings of a kind.
type Description struct {
	Kind     Kind
	Severity Severity
	Words    string // what is found, in the plural
	Next     string // what to do about it
	Account  bool   // it is about accounts: filters of accounts leave others out
}

// kind is a description and how its findings are read. from names the tables; where it is about accounts one of
// them is a, an account. The others are expressions over them. timed findings come in the order of since, the others
// in that of their ids.
type kind struct {
	Description
	from, where           string
	id, state, since, why string
	timed                 bool
	about                 string // what the id is of, if not of an account
	name                  string // of that
}

const (
	ofAccounts  = `accounts a`
	current     = `credential_versions v join accounts a on a.workspace_id = v.workspace_id and a.id = v.account_id`
	lastChanged = `coalesce(a.rotated, a.created)`
)

// state is what is found of the accounts in a state.
func state(said Description, otherwise string) kind {
	said.Account = true
	return kind{
		Description: said, from: ofAccounts, where: `a.workspace_id = @workspace and a.state = '` + string(said.Kind) + `' and a.state <> ''`,
		id: `a.id`, state: `a.state`, since: `a.state_since`, why: `coalesce(nullif(a.state_reason, ''), '` + strings.ReplaceAll(otherwise, `'`, `''`) + `')`,
	}
}

// told is what core/services has told of service accounts and nobody resolved: one finding for each of them.
func told(said Description, where string, kinds ...services.FindingKind) kind {
	names := make([]string, len(kinds))
	for i, one := range kinds {
		names[i] = string(one)
	}
	return kind{
		Description: said,
		from: `(
		select f.service_account_id as id, min(f.opened) as since, max(f.state) as state, count(*) as times, (array_agg(f.detail order by f.id desc))[1] as latest
		from service_findings f
		where f.workspace_id = @workspace and f.state <> 'resolved' and f.kind = any('{` + strings.Join(names, ",") + `}')` + where + `
		group by f.service_account_id
	) f join service_accounts s on s.workspace_id = @workspace and s.id = f.id`,
		where: `true`, id: `f.id`, state: `f.state`, since: `f.since`, about: "service_account", name: `s.name`,
		why: `f.latest || case f.times when 1 then '' else ' (the latest of ' || f.times || ')' end`,
	}
}

// The values Postern holds are tokens, which are found by the clock.
const heldElsewhere = `
			and not exists (select from service_credentials c where c.workspace_id = f.workspace_id and c.id::text = split_part(f.cause, ' ', 1) and c.held = 'postern')`

// kinds is the one table of what is looked for, the gravest first: pages go through it from top to bottom.
var kinds = []kind{
	state(Description{Kind: AtRisk, Severity: Critical, Words: "accounts whose password somebody who left may still know",
		Next: "Rotate the password, or change it in the app by hand and store it."}, "somebody who left may still know the password"),
	told(Description{Kind: ServiceKnown, Severity: Critical, Words: "service accounts with a token, key or password that somebody who left knows",
		Next: "Rotate it, have the new one used, then revoke the old one."}, "", services.KnownByLeaver),
	{
		Description: Description{Orphaned, High, "accounts without an owner", "Give them a new owner; many at once by a reassignment.", true},
		from:        ofAccounts, where: `a.workspace_id = @workspace and a.orphaned`,
		id: `a.id`, state: `a.state`, since: `null::timestamptz`, why: `'nobody active owns it, directly or through a team'`,
	},
	state(Description{Kind: Desynced, Severity: High, Words: "accounts whose stored password the app refuses",
		Next: "Store the password the app has, or reset it there; then verify."}, "the app refuses the stored password"),
	{
		Description: Description{RotationFailing, High, "rotations that fail or wait for a person", "Do what the rotation asks for, then rotate again.", true},
		from:        `rotations r join accounts a on a.workspace_id = r.workspace_id and a.id = r.account_id`,
		where:       `r.workspace_id = @workspace and r.failing`,
		id:          `r.account_id`, state: `r.state`, since: `case r.state when 'blocked' then r.updated else r.created end`,
		why: `coalesce(nullif(r.detail, ''), r.attempts || ' attempts in a row failed')`,
	},
	{
		Description: Description{PasswordReused, High, "accounts with a password that another account has too", "Rotate each: every rotation makes a password of its own.", true},
		from: `(
		select fingerprint, count(*) as uses from credential_versions
		where workspace_id = @workspace and label = 'current' and fingerprint is not null
		group by fingerprint having count(*) > 1
	) twice
	join credential_versions v on v.workspace_id = @workspace and v.fingerprint = twice.fingerprint and v.label = 'current'
	join accounts a on a.workspace_id = v.workspace_id and a.id = v.account_id`,
		where: `a.workspace_id = @workspace`,
		id:    `v.account_id`, state: `a.state`, since: `v.created`,
		why: `(
		select case twice.uses when 2 then 'another account has the same password: ' else (twice.uses - 1) || ' other accounts have the same password, such as ' end
			|| p.name || ' (' || b.username || ')'
		from credential_versions o
		join accounts b on b.workspace_id = o.workspace_id and b.id = o.account_id
		join apps p on p.workspace_id = b.workspace_id and p.id = b.app_id
		where o.workspace_id = @workspace and o.fingerprint = v.fingerprint and o.label = 'current' and o.account_id <> v.account_id
		order by o.account_id limit 1
	)`,
	},
	{
		Description: Description{PasswordWeak, High, "accounts with a weak password", "Rotate the password: what Postern makes is strong.", true},
		from:        current, where: `v.workspace_id = @workspace and v.label = 'current' and v.strength = 'weak'`,
		id: `v.account_id`, state: `a.state`, since: `v.created`, why: `'its password is guessed within a million attempts'`,
	},
	told(Description{Kind: ServiceOwnerless, Severity: High, Words: "service accounts without an owner",
		Next: "Name two people who answer for it, or a team."}, "", services.Ownerless),
	told(Description{Kind: ServiceMisused, Severity: High, Words: "service accounts that a person used, or that are used though their owner left",
		Next: "Find out who uses it, rotate its credentials, then resolve the finding."}, "", services.InteractiveUse, services.UsedAfterOwnerLeft),
	{
		Description: Description{Kind: DryRunFailing, Severity: High, Words: "apps whose passwords may not be changed any more, as a dry run found", Next: "See what has changed on the app's page, record it anew, and make a dry run."},
		from:        `dry_runs d join apps p on p.workspace_id = d.workspace_id and p.id = d.app_id`,
		where:       `d.workspace_id = @workspace and d.failing_since is not null`,
		id:          `d.app_id`, state: `d.outcome`, since: `d.failing_since`, about: "app", name: `p.name`, why: `d.detail`,
	},
	state(Description{Kind: AppDisabled, Severity: Medium, Words: "accounts that the app has locked or disabled",
		Next: "Unlock the login in the app, then verify."}, "the app has locked or disabled the login"),
	state(Description{Kind: Unmanaged, Severity: Medium, Words: "accounts whose password nobody keeps up to date",
		Next: "Store the present password and verify it, or remove who may use the account."}, "nobody keeps the password up to date"),
	state(Description{Kind: DesyncSuspected, Severity: Medium, Words: "accounts whose password may have been changed in the app",
		Next: "Verify the password."}, "the app may have another password"),
	{
		Description: Description{PasswordStale, Medium, "accounts whose password was not changed for half a year", "Rotate them, and let a policy do so from now on.", true},
		from:        ofAccounts, where: `a.workspace_id = @workspace and ` + lastChanged + ` < @stale`,
		id: `a.id`, state: `a.state`, since: lastChanged, timed: true,
		why: `case when a.rotated is null then 'Postern never changed its password' else 'its password was changed last on ' || to_char(a.rotated at time zone 'UTC', 'YYYY-MM-DD') end`,
	},
	{
		Description: Description{Kind: TokenExpiring, Severity: Medium, Words: "tokens that end within two weeks",
			Next: "Make the next token, have it used, then let this one end."},
		from: `(
		select t.id, t.expires, t.last_used, 'connection ' || c.name as name
		from connection_tokens t join connections c on c.workspace_id = t.workspace_id and c.id = t.connection_id
		where t.workspace_id = @workspace and t.kind = 'static' and t.expires > @now and t.expires <= @expiries
		union all
		select t.id, t.expires, t.last_used, 'client ' || t.client_id || ' of connection ' || c.name
		from connection_clients t join connections c on c.workspace_id = t.workspace_id and c.id = t.connection_id
		where t.workspace_id = @workspace and t.expires > @now and t.expires <= @expiries
		union all
		select t.id, t.expires, t.last_used, 'service account ' || s.name
		from service_accounts s join service_account_tokens t on t.workspace_id = s.workspace_id and t.service_account_id = s.id
		where s.workspace_id = @workspace and t.expires > @now and t.expires <= @expiries
	) t`,
		where: `true`, id: `t.id`, state: `case when t.last_used is null then 'unused' else 'used' end`, since: `t.expires`, timed: true, about: "token", name: `t.name`,
		why: `'it ends on ' || to_char(t.expires at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'`,
	},
	told(Description{Kind: ServiceExpiring, Severity: Medium, Words: "service accounts with a password or key that ends soon",
		Next: "Rotate it before it ends."}, heldElsewhere, services.ExpiresSoon),
	told(Description{Kind: ServiceOneOwner, Severity: Medium, Words: "service accounts that one person alone answers for",
		Next: "Name another owner, or a team."}, "", services.OneOwner),
	{
		Description: Description{Kind: PartnerSponsor, Severity: Medium, Words: "partners whose sponsor left", Next: "Name another sponsor, or end the partner."},
		from:        `partners p join users u on u.workspace_id = p.workspace_id and u.id = p.sponsor_id`,
		where: `p.workspace_id = @workspace and p.ended is null and (p.ends is null or p.ends > @now)
		and (not u.active or u.deleted is not null or u.role in ('login_only', 'guest'))`,
		id: `p.id`, state: `'sponsorless'`, since: `u.updated`, about: "partner", name: `p.name`,
		why: `coalesce(nullif(u.display_name, ''), u.user_name) || ' answered for it, and is no active member any more'`,
	},
	told(Description{Kind: ServiceUnusual, Severity: Medium, Words: "service accounts used from another network, or after long idleness",
		Next: "Ask an owner whether they know of it, then resolve the finding."}, "", services.NewNetwork, services.UsedAfterIdle),
	state(Description{Kind: Unvalidated, Severity: Low, Words: "accounts whose password no sign-in has proved",
		Next: "Verify the password."}, "no sign-in has proved the stored password yet"),
	{
		Description: Description{GrantEnding, Low, "access that ends within a week", "Share anew what is still needed; the rest ends by itself.", true},
		from: `grants g join accounts a on a.workspace_id = g.workspace_id and a.id = g.account_id
	left join users u on u.workspace_id = g.workspace_id and u.id = g.user_id
	left join teams w on w.workspace_id = g.workspace_id and w.id = g.team_id`,
		where: `g.workspace_id = @workspace and g.revoked is null and g.expires > @now and g.expires <= @endings`,
		id:    `g.id`, state: `g.role`, since: `g.expires`, timed: true, about: "grant",
		name: `coalesce(nullif(u.display_name, ''), u.user_name, w.display_name, '')`,
		why:  `'it ends on ' || to_char(g.expires at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'`,
	},
	{
		Description: Description{LinkOld, Low, "links that are good for longer than a week", "End the link, or share the account with a guest, who can be seen and removed.", true},
		from:        `links l join accounts a on a.workspace_id = l.workspace_id and a.id = l.account_id`,
		where:       `l.workspace_id = @workspace and l.ended is null and l.due > @now and l.created < @old`,
		id:          `l.id`, state: `case when l.viewed is null then 'unopened' else 'viewed' end`, since: `l.created`, timed: true, about: "link",
		name: `coalesce(nullif(l.purpose, ''), array_to_string(l.recipients || l.domains, ', '))`,
		why:  `'it was made on ' || to_char(l.created at time zone 'UTC', 'YYYY-MM-DD') || ' and was viewed ' || l.views || case l.views when 1 then ' time' else ' times' end`,
	},
}

// Kinds describes what is looked for, the gravest first.
func Kinds() []Description {
	all := make([]Description, len(kinds))
	for i, one := range kinds {
		all[i] = one.Description
	}
	return all
}

func described(name Kind) (Description, bool) {
	for _, one := range kinds {
		if one.Kind == name {
			return one.Description, true
		}
	}
	return Description{}, false
}
