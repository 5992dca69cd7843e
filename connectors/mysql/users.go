package mysql

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"postern/connectors/protocol"
	"postern/core/rotation"
)

// The users of a page, by their names from behind one of those on. Several with one name and different hosts are one to whoever
// signs in, who is shut out once all of them are. Roles and nobody (”) sign in nowhere.
const (
	// MariaDB keeps who is locked in JSON, and has no column for it (MariaDB Knowledge Base, mysql.global_priv).
	usersMariaDB = `
select user, min(coalesce(json_value(priv, '$.account_locked'), '0') in ('1', 'true')) from mysql.global_priv
where user > ? and coalesce(json_value(priv, '$.is_role'), '0') not in ('1', 'true') group by user order by user limit ?`
	usersMySQL = `select user, min(account_locked = 'Y') from mysql.user where user > ? group by user order by user limit ?`
	userPage   = 1000
)

// Users implements protocol.Clerk.
func (s *session) Users(ctx context.Context, each func(user rotation.User) error) error {
	query := usersMySQL
	if s.mariaDB() {
		query = usersMariaDB
	}
	for after := ""; ; {
		page, err := s.page(ctx, query, after)
		if err != nil {
			return unlisted(err)
		}
		for _, user := range page {
			if err := each(user); err != nil {
				return err
			}
			after = user.Username
		}
		if len(page) < userPage {
			return nil
		}
	}
}

func (s *session) page(ctx context.Context, query, after string) (page []rotation.User, err error) {
	rows, err := s.connection.QueryContext(ctx, query, after, userPage)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var user rotation.User
		if err := rows.Scan(&user.Username, &user.Disabled); err != nil {
			return nil, err
		}
		page = append(page, user)
	}
	return page, rows.Err()
}

// unlisted tells apart what an administrator may not see.
func unlisted(err error) error {
	if said, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch said.Number {
		case databaseDenied, tableDenied, columnDenied, privilegeMissing:
			return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: fmt.Sprintf("The administrator may not see who there is (%d): that takes SELECT on mysql.global_priv (MariaDB) or mysql.user (MySQL).", said.Number), Err: err}
		}
	}
	return err
}
