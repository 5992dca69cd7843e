package browser

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/jobs"
	"postern/core/postgres"
	"postern/core/postgres/postgrestest"
	"postern/core/rotation"
	"postern/core/seal"
	"postern/deploy/local/apps"
	"postern/deploy/local/sampleapp"
)

// kills is how often TestNoKillAnywhereLosesAPassword kills; POSTERN_KILLS says otherwise.
const kills = 12

// TestNoKillAnywhereLosesAPassword rotates the passwords of Harbour and a real DokuWiki without end, in a process with the
// real engine and a real browser that is killed at random moments. At every death every password Harbour has is stored; and
// after settling, every account opens with the current one.
func TestNoKillAnywhereLosesAPassword(t *testing.T) {
	partstest.Long(t, "browser")
	if url := os.Getenv("POSTERN_KILL_CHILD"); url != "" {
		rotateForEver(t, url)
		return
	}
	wanted := kills
	if text := os.Getenv("POSTERN_KILLS"); text != "" {
		var err error
		wanted, err = strconv.Atoi(text)
		coretest.Must(t, err)
	}
	harbour, err := sampleapp.New(t.TempDir())
	coretest.Must(t, err)
	server := httptest.NewServer(harbour)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	wiki := started(t, "DokuWiki", apps.StartDokuWiki, "berth0")

	url, key := postgrestest.URL(t, jobs.Migrate), seal.GenerateLocalKey()
	c := seaside(t, url, key)
	var workspace core.ID
	opens := map[core.ID]func(password string) (bool, error){} // by account
	c.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		made, err := c.Directory.CreateWorkspace(ctx, tx, coretest.System(), "acme", "Acme")
		if err != nil {
			return err
		}
		workspace = made.ID
		owner, err := c.Directory.InsertUser(ctx, tx, directory.User{Workspace: workspace, UserName: "ana", Active: true, Role: directory.RoleOwner})
		if err != nil {
			return err
		}
		for _, app := range []struct {
			name, signIn, change string
			set                  func(username string) error
			accepts              func(username, password string) (bool, error)
		}{
			{
				"Harbour", server.URL + "/sign-in", server.URL + "/account/password", func(username string) error { return harbour.SetPassword(username, first) },
				func(username, password string) (bool, error) { return harbour.Works(username, password), nil },
			},
			{
				"DokuWiki", wiki.SignInURL, wiki.ChangeURL, func(username string) error { return wiki.SetPassword(ctx, username, first) },
				func(username, password string) (bool, error) { return wiki.Accepts(t.Context(), username, password) },
			},
		} {
			entered, err := c.Accounts.CreateApp(ctx, tx, coretest.System(), workspace, accounts.NewApp{
				Name: app.name, Domains: []string{"127.0.0.1"}, SignInURL: app.signIn, ChangeURL: app.change, Connector: Name,
			})
			if err != nil {
				return err
			}
			for i := range 3 {
				username := fmt.Sprint("berth", i)
				if err := app.set(username); err != nil {
					return err
				}
				account, err := c.Accounts.CreateAccount(ctx, tx, coretest.System(), workspace, accounts.NewAccount{App: entered.ID, Username: username, Password: seal.NewSecret(first), Owner: owner.ID})
				if err != nil {
					return err
				}
				opens[account.ID] = func(password string) (bool, error) { return app.accepts(username, password) }
			}
		}
		return nil
	})
	opensWith := func(account core.ID, any bool) {
		versions, err := c.Accounts.Versions(t.Context(), c.DB, workspace, account)
		coretest.Must(t, err)
		if !any {
			versions = slices.DeleteFunc(versions, func(one accounts.Version) bool { return one.Label != accounts.LabelCurrent })
		}
		// What was on its way at a death may be applied between two looks.
		for until := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			for _, one := range versions { // the newest first
				password, err := c.Accounts.Password(t.Context(), c.DB, workspace, account, one.Version)
				coretest.Must(t, err)
				ok, err := opens[account](password.Reveal())
				coretest.Must(t, err)
				if ok {
					return
				}
			}
			if time.Now().After(until) {
				t.Fatalf("none of %d stored passwords opens %s (current only: %v)", len(versions), account, !any)
			}
		}
	}
	live := func(settling bool) *exec.Cmd {
		child := exec.Command(os.Args[0], "-test.run=TestNoKillAnywhereLosesAPassword$")
		child.Env = append(os.Environ(), "POSTERN_KILL_CHILD="+url, "POSTERN_KILL_KEY="+key.Reveal(), fmt.Sprint("POSTERN_KILL_SETTLE=", settling))
		output, err := child.StdoutPipe()
		coretest.Must(t, err)
		coretest.Must(t, child.Start())
		ready := make([]byte, 6)
		if _, err := io.ReadFull(output, ready); err != nil || string(ready) != "ready\n" {
			rest, _ := io.ReadAll(output)
			t.Fatalf("%v: %s%s", err, ready, rest)
		}
		go func() { _, _ = io.Copy(io.Discard, output) }()
		return child
	}
	struck := map[string]int{} // by the state of a rotation that was under way at a death
	for killed := 1; killed <= wanted; killed++ {
		child := live(false)
		time.Sleep(time.Duration(rand.Int64N(int64(3 * time.Second))))
		coretest.Must(t, child.Process.Signal(syscall.SIGKILL))
		_ = child.Wait()
		rows, err := c.DB.Query(t.Context(), `select state from rotations where finished is null`)
		coretest.Must(t, err)
		states, err := pgx.CollectRows(rows, pgx.RowTo[string])
		coretest.Must(t, err)
		for _, state := range states {
			struck[state]++
		}
		for account := range opens {
			opensWith(account, true)
		}
		if killed%50 != 0 && killed != wanted {
			continue
		}
		if err := live(true).Wait(); err != nil {
			t.Fatalf("after %d kills it does not settle: %v", killed, err)
		}
		for account := range opens {
			opensWith(account, false)
		}
		var done int
		coretest.Must(t, c.DB.QueryRow(t.Context(), `select count(*) from rotations where state = 'done' and receipt is not null`).Scan(&done))
		t.Logf("%d kills, %d rotations done, %d of %d accounts open with the current password; cut short by a death: %v", killed, done, len(opens), len(opens), struck)
	}
}

// seaside is the core over a database of somebody else's, made for apps that answer at once.
func seaside(t *testing.T, url string, key seal.Secret) *coretest.Core {
	t.Helper()
	db, err := postgres.Open(t.Context(), url, postgres.Options{Name: "kill"})
	coretest.Must(t, err)
	t.Cleanup(db.Close)
	c := coretest.On(t, db, nil)
	c.Vault.Keys, err = seal.NewLocalKey([]byte(key.Reveal()))
	coretest.Must(t, err)
	c.Rotations.Options = rotation.Options{
		Lease: time.Second, Quiet: 2 * time.Second, Settle: 200 * time.Millisecond, FailedWindow: 3 * time.Second,
		FirstRetry: 200 * time.Millisecond, LastRetry: time.Second, Tries: 50,
	}
	return c
}

// rotateForEver is the process that is killed. Told to settle, it brings what is open to its end instead and goes.
func rotateForEver(t *testing.T, url string) {
	c := seaside(t, url, seal.NewSecret(os.Getenv("POSTERN_KILL_KEY")))
	b, err := New(Options{AllowPrivate: true, Timeout: 15 * time.Second})
	coretest.Must(t, err)
	defer func() { _ = b.Close() }()
	c.Rotations.Connectors = rotation.Connectors{Name: b}
	c.Rotations.AllowPrivate = true
	settling := strings.HasPrefix(os.Getenv("POSTERN_KILL_SETTLE"), "true")
	var workspace core.ID
	coretest.Must(t, c.DB.QueryRow(t.Context(), `select id from workspaces`).Scan(&workspace))
	rows, err := c.DB.Query(t.Context(), `select id from accounts`)
	coretest.Must(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[core.ID])
	coretest.Must(t, err)
	fmt.Println("ready")
	limited, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var workers sync.WaitGroup
	for half := range slices.Chunk(ids, (len(ids)+1)/2) {
		workers.Go(func() {
			for limited.Err() == nil {
				rand.Shuffle(len(half), func(i, j int) { half[i], half[j] = half[j], half[i] })
				for _, account := range half {
					if err := rotateOnce(limited, c, workspace, account); err != nil && limited.Err() == nil {
						t.Error(err)
						return
					}
				}
				if settling {
					return
				}
			}
		})
	}
	workers.Wait()
	if limited.Err() != nil {
		t.Error("it took too long")
	}
}

// rotateOnce has a password replaced, by the rotation that is open or a new one, to its end.
func rotateOnce(ctx context.Context, c *coretest.Core, workspace, account core.ID) error {
	var planned rotation.Rotation
	err := c.DB.Tx(ctx, func(tx pgx.Tx) (err error) {
		planned, err = c.Rotations.Plan(ctx, tx, coretest.System(), workspace, account, rotation.ReasonDeprovision, 0)
		return err
	})
	for err == nil {
		err = c.Rotations.Advance(ctx, workspace, planned.ID)
		after, waits := jobs.SnoozeOf(err)
		if !waits {
			break
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(max(after, 10*time.Millisecond)):
			err = nil
		}
	}
	if err != nil {
		return err
	}
	found, err := c.Rotations.Rotation(ctx, c.DB, workspace, planned.ID)
	if err == nil && found.State != rotation.StateDone {
		err = fmt.Errorf("a rotation rests at %s: %s", found.State, found.Detail)
	}
	return err
}
