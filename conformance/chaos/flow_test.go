package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
)

// flow appends events of eight workspaces and, where there is a gateway, has an identity provider hire people. What
// the database or the gateway refused is not counted; what they said yes to must arrive.
type flow struct {
	w          *world
	workspaces []core.ID
	cause      core.Cause

	mutex    sync.Mutex
	written  []core.ID // events whose commit was confirmed
	hired    []core.ID // users whose creation was answered 201
	refused  int       // commits and answers that were errors: some may have happened all the same
	finished bool
	running  sync.WaitGroup
	hiring   sync.Mutex // held while somebody is being hired
}

func (w *world) flow() *flow {
	f := &flow{w: w, cause: core.NewCause(core.Actor{Kind: core.ActorUser, ID: core.NewID(), Name: "ana@acme.example"}, time.Now())}
	f.workspaces = []core.ID{f.acme()} // the one with a sink of its own
	for range 7 {
		f.workspaces = append(f.workspaces, core.NewID())
	}
	return f
}

// write appends so many events, forty to a transaction, however often the database is away meanwhile.
func (f *flow) write(count int, name string) {
	f.w.t.Helper()
	deadline := time.Now().Add(patience)
	for done := 0; done < count; {
		events := make([]core.Event, min(40, count-done))
		for i := range events {
			events[i] = core.NewEvent(core.AccountPasswordFilled, f.workspaces[(done+i)%len(f.workspaces)], f.cause, time.Now(), core.Target{Kind: "account", ID: core.NewID(), Name: name})
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := f.w.DB.Tx(ctx, func(tx pgx.Tx) error { return audit.Append(ctx, tx, events...) })
		cancel()
		f.mutex.Lock()
		if err != nil {
			f.refused++
		} else {
			done += len(events)
			for _, one := range events {
				f.written = append(f.written, one.ID)
			}
		}
		f.mutex.Unlock()
		if err != nil {
			if time.Now().After(deadline) {
				f.w.t.Errorf("the database does not come back: %v", err)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// hire creates people at the gateway until end.
func (f *flow) hire() {
	client := &http.Client{Timeout: 5 * time.Second}
	f.running.Go(func() {
		for number := 0; ; number++ {
			f.mutex.Lock()
			finished := f.finished
			f.mutex.Unlock()
			if finished {
				return
			}
			f.hiring.Lock()
			id, err := f.create(client, number)
			f.mutex.Lock()
			if err != nil {
				f.refused++
			} else {
				f.hired = append(f.hired, id)
			}
			f.mutex.Unlock()
			f.hiring.Unlock()
			time.Sleep(50 * time.Millisecond)
		}
	})
}

func (f *flow) create(client *http.Client, number int) (core.ID, error) {
	at := f.w.Stack.SCIM["okta"]
	body := fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"docker-%d@acme.example","externalId":"x%d","active":true,"name":{"givenName":"Ana","familyName":"Docker"},"emails":[{"primary":true,"value":"docker-%d@acme.example"}]}`, number, number, number)
	request, err := http.NewRequest(http.MethodPost, at.URL+"/Users", strings.NewReader(body))
	if err != nil {
		return core.ID{}, err
	}
	request.Header.Set("Authorization", "Bearer "+at.Token)
	request.Header.Set("Content-Type", "application/scim+json")
	answer, err := client.Do(request)
	if err != nil {
		return core.ID{}, err
	}
	defer answer.Body.Close()
	var made struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusCreated {
		return core.ID{}, fmt.Errorf("%d, %w", answer.StatusCode, err)
	}
	return core.ParseID(made.ID)
}

// while writes so many events, a part at a time, and goes on until done.
func (f *flow) while(count int, done <-chan struct{}) {
	for written := 0; ; {
		part := min(max(40, count/20), max(40, count-written))
		f.write(part, "flow")
		written += part
		ended := false
		select {
		case <-done:
			ended = true
		default:
		}
		if ended && written >= count {
			return
		}
		if !ended {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// end ends the hiring.
func (f *flow) end() {
	f.mutex.Lock()
	f.finished = true
	f.mutex.Unlock()
	f.running.Wait()
}

// logged is a record of the log.
type logged struct {
	workspace core.ID
	sequence  int64
}

// log reads the whole log, which is what must arrive, and checks that what was confirmed is in it.
func (f *flow) log() map[core.ID]logged {
	f.w.t.Helper()
	all := map[core.ID]logged{}
	rows, err := f.w.DB.Query(f.w.t.Context(), `select event_id, workspace_id, sequence from audit_log`)
	check(f.w.t, err)
	var id core.ID
	var one logged
	_, err = pgx.ForEachRow(rows, []any{&id, &one.workspace, &one.sequence}, func() error { all[id] = one; return nil })
	check(f.w.t, err)
	for _, id := range f.written {
		if _, there := all[id]; !there {
			f.w.t.Fatalf("the event %s was committed and is not in the log", id)
		}
	}
	var people int
	check(f.w.t, f.w.DB.QueryRow(f.w.t.Context(), `
		select count(distinct t.target_id) from audit_targets t join audit_log l on l.workspace_id = t.workspace_id and l.sequence = t.sequence
		where t.workspace_id = $2 and t.target_id = any($1) and l.type = 'user.provisioned'`,
		f.hired, f.acme()).Scan(&people))
	if people != len(f.hired) {
		f.w.t.Fatalf("%d people were hired, and the log tells of %d", len(f.hired), people)
	}
	return all
}

func (f *flow) acme() (id core.ID) {
	f.w.t.Helper()
	check(f.w.t, f.w.DB.QueryRow(f.w.t.Context(), `select id from workspaces where slug = 'acme'`).Scan(&id))
	return id
}

// settled waits until the log has all events, and Kafka too. Whoever calls it has the hiring wait.
func (f *flow) settled() {
	f.w.t.Helper()
	f.w.eventually("everything is published", func() bool {
		var waiting, position, records int64
		err := f.w.DB.QueryRow(f.w.t.Context(), `select (select count(*) from audit_outbox), (select position from cursors where name = 'relay'), (select count(*) from audit_log)`).Scan(&waiting, &position, &records)
		return err == nil && waiting == 0 && position == records
	})
}

// came is one event as it came out at the other end.
type came struct {
	id        core.ID
	workspace core.ID
	sequence  int64
}

// judged reads what came out at the other end, once everything is there that was in the log when it was asked: of all
// workspaces, or of those alone that are named. Each workspace's events must have come in order; repeated says where in
// the order of arrival one came again.
func (f *flow) judged(read func() []came, excepted map[core.ID]bool, of ...core.ID) (all []came, repeated []int) {
	t := f.w.t
	t.Helper()
	meant := func() map[core.ID]logged {
		log := f.log()
		maps.DeleteFunc(log, func(_ core.ID, one logged) bool { return len(of) > 0 && !slices.Contains(of, one.workspace) })
		return log
	}
	least := meant()
	f.w.eventually("everything that is in the log has arrived", func() bool {
		all = read()
		there := map[core.ID]bool{}
		for _, one := range all {
			there[one.id] = true
		}
		for id := range least {
			if !there[id] && !excepted[id] {
				return false
			}
		}
		return true
	})
	log := meant() // some checkpoints may have been added
	skipped := map[logged]bool{}
	for id := range excepted {
		skipped[log[id]] = true
	}
	seen, last := map[core.ID]bool{}, map[core.ID]int64{}
	for i, one := range all {
		want := logged{one.workspace, one.sequence}
		if log[one.id] != want {
			t.Fatalf("%+v came, and is %+v in the log", one, log[one.id])
		}
		if seen[one.id] {
			repeated = append(repeated, i)
			continue
		}
		seen[one.id] = true
		next := logged{one.workspace, last[one.workspace] + 1}
		for skipped[next] {
			next.sequence++
		}
		if want != next {
			t.Fatalf("event %d of workspace %s came for the first time where %d was next", one.sequence, one.workspace, next.sequence)
		}
		last[one.workspace] = one.sequence
	}
	return all, repeated
}
