package line

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// installHolds lets a test stop postern between two commits of a rotation. Who records a step asks
// for a lock named after the account and the step before; who moves the news of a rotation into the
// log, for one named after the account and "told"; who takes what a hold had kept from being taken,
// for one named after the person and "departed"; who takes what somebody who leaves has, for one named
// after the person, or the account, and what is taken. Nobody holds these but the test.
const installHolds = `
create function hold_step() returns trigger language plpgsql as $$
declare
	account uuid := (select account_id from rotations where workspace_id = new.workspace_id and id = new.rotation_id);
	before text := (select state from rotation_steps where workspace_id = new.workspace_id and rotation_id = new.rotation_id and number = new.number - 1);
begin
	perform pg_advisory_xact_lock_shared(hashtextextended(account || '/' || coalesce(before, ''), 0));
	return new;
end $$;
create trigger hold_step before insert on rotation_steps for each row execute function hold_step();
create function hold_news() returns trigger language plpgsql as $$
begin
	perform pg_advisory_xact_lock_shared(hashtextextended((new.event::jsonb #>> '{targets,0,id}') || '/told', 0));
	return new;
end $$;
create trigger hold_news before insert on audit_log for each row when (new.type = 'account.password_rotated') execute function hold_news();
create function hold_departure() returns trigger language plpgsql as $$
begin
	perform pg_advisory_xact_lock_shared(hashtextextended(new.user_id || '/departed', 0));
	return new;
end $$;
create trigger hold_departure before update on departures for each row when (old.state = 'held' and new.state = 'done') execute function hold_departure();
create function hold_taking() returns trigger language plpgsql as $$
begin
	perform pg_advisory_xact_lock_shared(hashtextextended(
		coalesce(to_jsonb(old) ->> 'user_id', to_jsonb(new) ->> 'account_id', to_jsonb(new) #>> '{event,targets,0,id}') || '/' || tg_argv[0], 0));
	return coalesce(new, old);
end $$;
create trigger hold_leaver before delete on leavers for each row execute function hold_taking('leaver');
create trigger hold_session before update on sessions for each row when (old.ended is null and new.ended is not null) execute function hold_taking('session');
create trigger hold_grant before update on grants for each row when (old.revoked is null and new.revoked is not null) execute function hold_taking('grant');
create trigger hold_rotation before insert on rotations for each row when (new.reason <> 'verify') execute function hold_taking('rotation');
create trigger hold_events before insert on audit_outbox for each row when (new.type = 'account.rotation_planned') execute function hold_taking('events');`

// hold is the test's grip on one commit.
type hold struct {
	*world
	key        string
	connection *pgxpool.Conn
}

// holdAfter has postern wait when it is about to commit what follows a step of an account.
func (b *berth) holdAfter(step string) *hold { return b.grip(b.account.String() + "/" + step) }

// holdDeparture has postern wait when it is about to take from the person what was held back.
func (b *berth) holdDeparture() *hold { return b.grip(b.id + "/departed") }

func (w *world) grip(key string) *hold {
	w.t.Helper()
	connection, err := w.DB.Acquire(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	h := &hold{world: w, key: key, connection: connection}
	if _, err := connection.Exec(w.t.Context(), `select pg_advisory_lock(hashtextextended($1, 0))`, h.key); err != nil {
		w.t.Fatal(err)
	}
	return h
}

// caught waits until postern waits.
func (h *hold) caught() {
	h.t.Helper()
	h.eventually(2*time.Minute, "postern comes to "+h.key, func() bool {
		var waiting int
		err := h.DB.QueryRow(h.t.Context(), `
select count(*) from pg_locks
where locktype = 'advisory' and not granted and (classid::bigint << 32) | objid::bigint = hashtextextended($1, 0)`, h.key).Scan(&waiting)
		if err != nil {
			h.t.Fatal(err)
		}
		return waiting > 0
	})
}

// release lets go. What a dead process had begun goes on in the server, and is rolled back.
func (h *hold) release() {
	h.t.Helper()
	if _, err := h.connection.Exec(h.t.Context(), `select pg_advisory_unlock_all()`); err != nil {
		h.t.Fatal(err)
	}
	h.connection.Release()
}

// watched counts the change requests that have reached the app whole.
type watched struct {
	http.Handler
	changes atomic.Int64
}

// ServeHTTP implements http.Handler.
func (s *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == "/account/password" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.changes.Add(1)
	}
	s.Handler.ServeHTTP(w, r)
}

// watch puts itself before the sample app, in a world that is not furnished yet.
func (w *world) watch() *watched {
	site := &watched{Handler: w.Harbour}
	w.AppURL = w.site(site)
	w.Stack.App = w.AppURL
	return site
}

// profiles are the folders of the browsers a process runs.
func profiles(owner int) []string {
	var found []string
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), "postern-browser-*"))
	for _, folder := range folders {
		if text, err := os.ReadFile(filepath.Join(folder, "owner")); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(owner) {
			found = append(found, folder)
		}
	}
	return found
}

// survivors are the living processes of a process group, and those that name one of the folders.
func survivors(group int, folders []string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		// After the name in brackets: state, parent, process group.
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 3 || fields[0] == "Z" {
			continue
		}
		ours := fields[2] == strconv.Itoa(group)
		for _, folder := range folders {
			ours = ours || bytes.Contains(line, []byte(folder))
		}
		if ours {
			found = append(found, fmt.Sprintf("%d %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// killWhole kills postern and waits until nothing of it is left. It returns the folders its browser
// left behind.
func (w *world) killWhole() []string {
	w.t.Helper()
	pid := w.process.Process.Pid
	left := profiles(pid)
	if len(left) == 0 {
		w.t.Fatal("postern ran no browser")
	}
	w.kill()
	w.eventually(time.Minute, "no process of the killed postern's browser is left", func() bool { return len(survivors(pid, left)) == 0 })
	return left
}
