package ssh

import (
	"bufio"
	"context"
	"io"
	"strings"

	"postern/connectors/protocol"
	"postern/core/rotation"
)

// tellsUsers tells of everybody who has a password, as "state:name:full name": O who is let in with it, L who is not, because the
// password is locked, the account has expired (shadow(5)) or has no shell. No hash leaves the host. A password that is empty is one;
// what is too short for a hash is none, as * and !. "end" comes if both databases were read to their ends.
const tellsUsers = `{ getent shadow && echo : && getent passwd && echo ::; } | awk -F: -v today="$(($(date +%s) / 86400))" "
\$0 == \":\" { people = 1; next }
\$0 == \"::\" { whole = 1; next }
!people {
	locked = sub(/^!+/, \"\", \$2)
	if (\$2 == \"\" && !locked || length(\$2) >= 13) state[\$1] = locked || \$8 != \"\" && \$8 <= today + 0 ? \"L\" : \"O\"
	next
}
\$1 in state {
	if (\$7 ~ /nologin\$/) state[\$1] = \"L\"
	print state[\$1] \":\" \$1 \":\" \$5
	delete state[\$1]
}
END { if (whole) print \"end\" }"`

// Users implements protocol.Clerk, of those who have a password: nobody else signs in with one.
func (s *session) Users(_ context.Context, each func(user rotation.User) error) error {
	r, err := s.root(tellsUsers)
	if err != nil {
		return err
	}
	defer r.end()
	if err := r.become(s.old); err != nil {
		return err
	}
	if _, err := io.WriteString(r.in, "\n"); err != nil {
		return err
	}
	lines := bufio.NewScanner(r.out)
	for lines.Scan() {
		state, rest, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), ":")
		name, full, told := strings.Cut(rest, ":")
		switch {
		case state == "end" && rest == "":
			return nil
		case !told || state != "O" && state != "L":
			continue // what getent or awk complains of
		}
		full, _, _ = strings.Cut(full, ",") // what follows are rooms and telephones (passwd(5))
		if err := each(rotation.User{Username: name, Name: full, Disabled: state == "L"}); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The host does not tell of all its accounts: that takes getent and awk there."}
}
