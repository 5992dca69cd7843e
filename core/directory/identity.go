package directory

import (
	"context"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

const selectUserByIdentity = `
select u.id, u.workspace_id, u.connection_id, u.user_name, u.external_id, u.display_name, u.given_name, u.family_name, u.email,
       u.active, u.role, u.attributes, u.version, u.epoch, u.created, u.updated, u.deleted
from identities i join users u on u.workspace_id = i.workspace_id and u.id = i.user_id
where i.workspace_id = @workspace and i.connection_id = @connection and i.issuer = @issuer and i.subject = @subject
  and u.deleted is null`

// UserByIdentity finds the user an IdP means by (issuer, subject), once the two have been linked.
func (d *Directory) UserByIdentity(ctx context.Context, q postgres.Querier, workspace, connection core.ID, issuer, subject string) (User, error) {
	return postgres.One[User](ctx, q, "user", selectUserByIdentity,
		pgx.StrictNamedArgs{"workspace": workspace, "connection": connection, "issuer": issuer, "subject": subject})
}

// A link moves only away from a user the IdP deleted.
const linkIdentity = `
insert into identities (workspace_id, connection_id, issuer, subject, user_id, created)
values (@workspace, @connection, @issuer, @subject, @user, @now)
on conflict (connection_id, issuer, subject) do update set user_id = excluded.user_id
where identities.workspace_id = excluded.workspace_id
  and (identities.user_id = excluded.user_id or exists (
	select from users u
	where u.workspace_id = identities.workspace_id and u.id = identities.user_id and u.deleted is not null))`

// LinkIdentity remembers that an IdP means this user by (issuer, subject). Doing it twice is fine; an
// identity that is another living user's is a Conflict.
func (d *Directory) LinkIdentity(ctx context.Context, tx pgx.Tx, workspace, connection core.ID, issuer, subject string, user core.ID) error {
	for _, text := range []struct{ field, value string }{{"iss", issuer}, {"sub", subject}} {
		if err := present(text.field, text.value); err != nil {
			return err
		}
	}
	done, err := tx.Exec(ctx, linkIdentity, pgx.StrictNamedArgs{
		"workspace": workspace, "connection": connection, "issuer": issuer, "subject": subject, "user": user, "now": d.now(),
	})
	if err != nil {
		return err
	}
	if done.RowsAffected() == 0 {
		return core.Conflict("sub", "this identity belongs to another user").WithCode("identity")
	}
	return nil
}
