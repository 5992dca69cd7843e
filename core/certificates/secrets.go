package certificates

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// SecretKind says what a secret is.
type SecretKind string

// The kinds of secrets.
const (
	TOTPSecret  SecretKind = "totp"         // they entered what an account's one-time codes are made from
	BackupCodes SecretKind = "backup_codes" // they entered the list of an account's backup codes
	BackupCode  SecretKind = "backup_code"  // they were given one of them

	ServiceToken    SecretKind = "service_token" // of a service account: they were shown it, or typed it in
	ServiceKey      SecretKind = "service_key"
	ServicePassword SecretKind = "service_password"
)

// Secret is one they knew when they left, and no account's password. Postern cannot see to its end: a person has to.
type Secret struct {
	Kind       SecretKind  `json:"kind"`
	Of         core.Target `json:"of"`                   // the account, or the service account
	ID         core.ID     `json:"id,omitzero"`          // of a service account's: of the record of who knows it
	Credential string      `json:"credential,omitempty"` // of a service account's: what the credential is called
	Version    int         `json:"version"`
	Known      time.Time   `json:"known"` // since when
	// Ended is when another one had taken its place, its account was proved to be disabled, or it expired or was revoked. Nil: it may
	// still be good for something.
	Ended    *time.Time `json:"ended,omitempty"`
	Why      string     `json:"why,omitempty"`       // it is open
	NextStep string     `json:"next_step,omitempty"` // what a person can do about it
}

// OpenSecrets is how many of the secrets have not ended.
func (c Certificate) OpenSecrets() int {
	count := 0
	for _, one := range c.Secrets {
		if one.Ended == nil {
			count++
		}
	}
	return count
}

func (s Secret) says(other Secret) bool {
	return s.Kind == other.Kind && s.Of.ID == other.Of.ID && s.ID == other.ID && s.Version == other.Version && (s.Ended == nil) == (other.Ended == nil)
}

// An app has one TOTP secret of an account, and forgets earlier backup codes when it makes new ones: a later one that is stored is the
// end of what was before. A list of backup codes has the number of its first one.
const selectSecrets = `
select x.kind, x.account_id, p.name || ' (' || a.username || ')' as name, x.version, x.known, x.ended
from (
	select case e.level when 'totp_entered' then 'totp' when 'backup_entered' then 'backup_codes' else e.level end as kind,
		e.account_id, e.version, min(e.seen) as known,
		case when e.level = 'totp_entered' then (
			select least(t.stored, (
				select min(n.seen) from exposures n
				where n.workspace_id = @workspace and n.account_id = e.account_id and n.level = 'totp_entered' and n.version > e.version
			)) from account_totps t where t.workspace_id = @workspace and t.account_id = e.account_id and t.version > e.version
		) else (
			select min(b.stored) from account_backup_codes b where b.workspace_id = @workspace and b.account_id = e.account_id and b.list > e.version
		) end as ended
	from exposures e
	where e.workspace_id = @workspace and e.user_id = @user and e.level in ('totp_entered', 'backup_entered', 'backup_code') and e.seen <= @opened
	group by e.level, e.account_id, e.version
) x
join accounts a on a.workspace_id = @workspace and a.id = x.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where x.ended is null or x.ended > @departed
order by p.name, a.username, x.account_id, x.kind, x.version`

// Of a service account that is gone the name is known that it had.
const selectServiceSecrets = `
select 'service_' || x.kind as kind, x.service_account_id, coalesce(s.name, x.account_name) as name, x.id, x.name as credential,
	coalesce(x.version, 0) as version, x.seen, x.over
from (
	select e.*, least(e.ended, case when e.expires <= @now then e.expires end) as over
	from service_exposures e
	where e.workspace_id = @workspace and e.user_id = @user and e.seen <= @opened
) x
left join service_accounts s on s.workspace_id = @workspace and s.id = x.service_account_id
where x.over is null or x.over > @departed
order by 3, x.service_account_id, x.seen, x.id`

// secrets are those of somebody who left that were good when they did; those of accounts that are proved to be disabled are good for
// nothing.
func (c *Certificates) secrets(ctx context.Context, q postgres.Querier, of opened, disabled map[core.ID]*time.Time) ([]Secret, error) {
	if of.Reason != Deprovision {
		return nil, nil
	}
	rows, err := q.Query(ctx, selectSecrets, pgx.StrictNamedArgs{"workspace": of.Workspace, "user": of.User, "opened": of.Opened, "departed": of.Departed})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Secret, error) {
		one := Secret{Of: core.Target{Kind: "account"}}
		err := row.Scan(&one.Kind, &one.Of.ID, &one.Of.Name, &one.Version, &one.Known, &one.Ended)
		one.Known, one.Ended = one.Known.UTC(), utc(one.Ended)
		if one.Ended == nil {
			one.Ended = disabled[one.Of.ID]
		}
		if one.Ended == nil {
			one.Why, one.NextStep = one.Kind.words()
		}
		return one, err
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	rows, err = q.Query(ctx, selectServiceSecrets, pgx.StrictNamedArgs{
		"workspace": of.Workspace, "user": of.User, "opened": of.Opened, "departed": of.Departed, "now": c.now(),
	})
	if err != nil {
		return nil, postgres.Classify(err)
	}
	services, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Secret, error) {
		one := Secret{Of: core.Target{Kind: "service_account"}}
		err := row.Scan(&one.Kind, &one.Of.ID, &one.Of.Name, &one.ID, &one.Credential, &one.Version, &one.Known, &one.Ended)
		one.Known, one.Ended = one.Known.UTC(), utc(one.Ended)
		if one.Ended == nil {
			one.Why, one.NextStep = one.Kind.words()
		}
		return one, err
	})
	return append(found, services...), postgres.Classify(err)
}

// words say why a secret is open, and what a person can do about it.
func (k SecretKind) words() (why, next string) {
	switch k {
	case TOTPSecret:
		return "They can make the account's one-time codes themselves.", "Enrol the account's second factor anew in the app, then store the new secret."
	case BackupCodes:
		return "They know the account's backup codes.", "Have the app make new backup codes, then store those."
	case BackupCode:
		return "Nobody knows whether they used it; the app takes it once.", "Have the app make new backup codes, then store those."
	case ServiceToken:
		return "They know a token of the service account.", "Rotate it, have the new one used, then revoke the old one."
	case ServiceKey:
		return "They know a key of the service account.", "Rotate it: have the other system make another one, and end the old one there and here."
	case ServicePassword:
		return "They know a password of the service account.", "Rotate it: change it in the other system, and end the old one here."
	}
	return "", ""
}
