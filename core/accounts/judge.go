package accounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// judgement is what is kept of a password beside it, as long as it is the current one or to become it.
type judgement struct {
	fingerprint []byte
	epoch       *int
	strength    *Strength
}

// madeStrong is how many signs of chance are strong, whichever signs they are: a look at them finds no words.
const madeStrong = 16

// judge says what is to be kept of a password, which by origin somebody chose or Postern made. While the key provider is away that is nothing: a password is stored all
// the same, and Judge makes up for it.
func (a *Accounts) judge(ctx context.Context, q postgres.Querier, account Account, origin string, password seal.Secret) (judgement, error) {
	fingerprint, epoch, err := a.Vault.Fingerprint(ctx, q, account.Workspace, passwordField, password)
	if core.KindOf(err) == core.KindUnavailable {
		return judgement{}, nil
	}
	if err != nil {
		return judgement{}, err
	}
	if origin == OriginCandidate && utf8.RuneCountInString(password.Reveal()) >= madeStrong {
		return judgement{fingerprint, &epoch, new(Strong)}, nil
	}
	return judgement{fingerprint, &epoch, new(strengthOf(account, password))}, nil
}

const selectUnjudged = `
select v.workspace_id, v.account_id, v.version, v.origin, a.username, p.name as app_name
from credential_versions v
join accounts a on a.workspace_id = v.workspace_id and a.id = v.account_id
join apps p on p.workspace_id = a.workspace_id and p.id = a.app_id
where v.field = @field and v.label = 'current' and v.fingerprint is null and (v.workspace_id, v.account_id) > (@workspace, @account)
order by v.workspace_id, v.account_id
limit 200`

const updateJudged = `
update credential_versions set fingerprint = @fingerprint, fingerprint_epoch = @epoch, strength = @strength
where workspace_id = @workspace and account_id = @account and field = @field and version = @version and label = 'current' and fingerprint is null`

// lastID comes after every other.
var lastID = core.ID(bytes.Repeat([]byte{0xff}, len(core.ID{})))

// unjudged is a current password of which nothing is kept.
type unjudged struct {
	Workspace core.ID `db:"workspace_id"`
	Account   core.ID `db:"account_id"`
	Version   int     `db:"version"`
	Origin    string  `db:"origin"`
	Username  string  `db:"username"`
	AppName   string  `db:"app_name"`
}

// Judge notes, of the current passwords of all workspaces that nothing is kept of, what can be told of them without
// opening them, and returns how many that were. It opens each once, for nobody to see. One that fails keeps no other
// from being judged.
func (a *Accounts) Judge(ctx context.Context) (int, error) {
	judged := 0
	var failed error
	for last := (unjudged{}); ctx.Err() == nil; {
		found, err := postgres.Many[unjudged](ctx, a.DB, selectUnjudged, pgx.StrictNamedArgs{
			"field": passwordField, "workspace": [16]byte(last.Workspace), "account": [16]byte(last.Account),
		})
		if err != nil || len(found) == 0 {
			return judged, errors.Join(failed, err)
		}
		for _, last = range found {
			done, err := a.judgeOne(ctx, last)
			judged += done
			if err == nil {
				continue
			}
			failed = errors.Join(failed, fmt.Errorf("password of account %s of workspace %s: %w", last.Account, last.Workspace, err))
			if core.KindOf(err) == core.KindUnavailable { // its key is away: so it is for all of the workspace
				last.Account = lastID
				break
			}
		}
	}
	return judged, failed
}

func (a *Accounts) judgeOne(ctx context.Context, one unjudged) (int, error) {
	password, err := a.Password(ctx, a.DB, one.Workspace, one.Account, one.Version)
	if err != nil {
		return 0, err
	}
	made, err := a.judge(ctx, a.DB, Account{Workspace: one.Workspace, AppName: one.AppName, Username: one.Username}, one.Origin, password)
	if err != nil || made.epoch == nil {
		return 0, err
	}
	done, err := a.DB.Exec(ctx, updateJudged, pgx.StrictNamedArgs{
		"workspace": one.Workspace, "account": one.Account, "field": passwordField, "version": one.Version,
		"fingerprint": made.fingerprint, "epoch": made.epoch, "strength": made.strength,
	})
	return int(done.RowsAffected()), postgres.Classify(err)
}
