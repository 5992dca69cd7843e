package directory_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/seal"
)

func (w *world) client(t *testing.T, h house, expires *time.Time) (made directory.Client, secret seal.Secret) {
	t.Helper()
	w.tx(t, func(tx pgx.Tx) (err error) {
		made, secret, err = w.CreateConnectionClient(t.Context(), tx, h.cause, h.workspace.ID, h.connection.ID, expires)
		return err
	})
	return made, secret
}

func (w *world) issue(t *testing.T, h house, proof directory.Proof, life time.Duration) (token seal.Secret, lives time.Duration) {
	t.Helper()
	w.tx(t, func(tx pgx.Tx) (err error) {
		token, lives, err = w.IssueAccessToken(t.Context(), tx, h.cause, h.connection, proof, life)
		return err
	})
	return token, lives
}

func (w *world) count(t *testing.T, query string, args ...any) (count int) {
	t.Helper()
	if err := w.DB.QueryRow(t.Context(), query, args...).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

func TestClientsOfAConnection(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme
	hour := w.clock.Now().Add(time.Hour)
	first, secret := w.client(t, acme, nil)
	w.clock.Pass(time.Second)
	second, another := w.client(t, acme, &hour)
	if !strings.HasPrefix(first.ClientID, "pst_client_") || !strings.HasPrefix(secret.Reveal(), "pst_secret_") || first.ClientID == second.ClientID {
		t.Fatalf("made %+v", first)
	}
	var hash []byte
	if err := w.DB.QueryRow(ctx, `select hash from connection_clients where id = $1`, first.ID).Scan(&hash); err != nil || !bytes.Equal(hash, seal.HashToken(secret.Reveal())) {
		t.Fatalf("what is stored is not the hash: %v", err)
	}
	for _, good := range []struct {
		client directory.Client
		secret seal.Secret
	}{{first, secret}, {second, another}} {
		connection, client, err := w.AuthenticateClient(ctx, good.client.ClientID, good.secret)
		if err != nil || !cmp.Equal(connection, acme.connection) || !cmp.Equal(client, good.client) {
			t.Fatal(err, cmp.Diff(good.client, client))
		}
		if connection, client, err = w.ConnectionByClient(ctx, good.client.ClientID); err != nil || connection.ID != acme.connection.ID || client.ID != good.client.ID {
			t.Fatalf("%v %v %v", connection, client, err)
		}
	}
	// The secret of the one does not open the other, nor does what is none.
	for _, wrong := range []struct {
		id     string
		secret seal.Secret
	}{{first.ClientID, another}, {first.ClientID, seal.Secret{}}, {first.ClientID, seal.NewSecret(secret.Reveal() + "x")}, {"pst_client_x", secret}, {"", secret}} {
		_, client, err := w.AuthenticateClient(ctx, wrong.id, wrong.secret)
		coretest.Wants(t, err, core.KindUnauthenticated, "")
		if !client.ID.IsZero() {
			t.Error("a client came with the refusal")
		}
	}
	third := func(tx pgx.Tx) error {
		_, _, err := w.CreateConnectionClient(ctx, tx, acme.cause, acme.workspace.ID, acme.connection.ID, nil)
		return err
	}
	w.refused(t, core.KindConflict, "", third)
	w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
		_, _, err := w.CreateConnectionClient(ctx, tx, acme.cause, w.other.workspace.ID, acme.connection.ID, nil)
		return err
	})
	list, err := w.ConnectionClients(ctx, w.DB, acme.workspace.ID, acme.connection.ID)
	if err != nil || !cmp.Equal(list, []directory.Client{first, second}) {
		t.Fatalf("listed %+v, %v", list, err)
	}
	if theirs, err := w.ConnectionClients(ctx, w.DB, w.other.workspace.ID, acme.connection.ID); err != nil || len(theirs) != 0 {
		t.Errorf("seen from another workspace: %v, %v", theirs, err)
	}
	w.clock.Pass(time.Hour)
	_, _, err = w.AuthenticateClient(ctx, second.ClientID, another)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	w.tx(t, third) // the expired one has made room
	for _, wrong := range [][3]core.ID{
		{w.other.workspace.ID, acme.connection.ID, first.ID}, {acme.workspace.ID, w.other.connection.ID, first.ID}, {acme.workspace.ID, acme.connection.ID, core.NewID()},
	} {
		w.refused(t, core.KindNotFound, "", func(tx pgx.Tx) error {
			return w.RevokeConnectionClient(ctx, tx, acme.cause, wrong[0], wrong[1], wrong[2])
		})
	}
	take := func(tx pgx.Tx) error {
		return w.RevokeConnectionClient(ctx, tx, acme.cause, acme.workspace.ID, acme.connection.ID, first.ID)
	}
	w.tx(t, take)
	w.refused(t, core.KindNotFound, "", take)
	_, _, err = w.AuthenticateClient(ctx, first.ClientID, secret)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	if made, taken := w.events(t, acme.workspace.ID, core.ConnectionClientCreated), w.events(t, acme.workspace.ID, core.ConnectionClientRevoked); made != 3 || taken != 1 {
		t.Errorf("%d created, %d revoked", made, taken)
	}
}

func TestTwoAtOnceMakeOneClientAtMost(t *testing.T) {
	w := open(t)
	w.client(t, w.acme, nil)
	var made atomic.Int64
	work := make([]func(), 4)
	for i := range work {
		work[i] = func() {
			err := w.DB.Tx(t.Context(), func(tx pgx.Tx) error {
				_, _, err := w.CreateConnectionClient(t.Context(), tx, w.acme.cause, w.acme.workspace.ID, w.acme.connection.ID, nil)
				return err
			})
			if err == nil {
				made.Add(1)
			}
		}
	}
	together(work...)
	if made.Load() != 1 {
		t.Errorf("%d made besides the first", made.Load())
	}
}

func TestAccessTokensTakeNoSlotAndDieWithTheirClient(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme
	client, _ := w.client(t, acme, nil)
	survivor, _ := w.client(t, acme, nil)
	var issued []seal.Secret
	for range 4 {
		token, life := w.issue(t, acme, directory.Proof{Method: "client_secret_basic", Client: client}, time.Hour)
		if !strings.HasPrefix(token.Reveal(), "pst_at_") || life != time.Hour {
			t.Fatalf("lives %v", life)
		}
		issued = append(issued, token)
	}
	other, _ := w.issue(t, acme, directory.Proof{Method: "client_secret_basic", Client: survivor}, time.Hour)
	static := w.connectionToken(t, nil)
	w.connectionToken(t, nil) // both slots are free for static tokens
	for _, token := range append(issued, other, static) {
		connection, err := w.AuthenticateConnection(ctx, token)
		if err != nil || !cmp.Equal(connection, acme.connection) {
			t.Fatal(err, cmp.Diff(acme.connection, connection))
		}
		if _, sight, err := w.AuthenticateConnectionAndSee(ctx, token, directory.Sought{ID: acme.ana.ID}); err != nil || sight.User == nil {
			t.Fatal(sight, err)
		}
	}
	if list, err := w.ConnectionTokens(ctx, w.DB, acme.workspace.ID, acme.connection.ID); err != nil || len(list) != 2 {
		t.Fatalf("listed %v, %v", list, err)
	}
	if list, err := w.ConnectionClients(ctx, w.DB, acme.workspace.ID, acme.connection.ID); err != nil || list[0].LastUsed == nil || !list[0].LastUsed.Equal(w.clock.Now()) {
		t.Fatalf("listed %v, %v", list, err)
	}
	w.tx(t, func(tx pgx.Tx) error {
		return w.RevokeConnectionClient(ctx, tx, acme.cause, acme.workspace.ID, acme.connection.ID, client.ID)
	})
	for _, token := range issued {
		_, err := w.AuthenticateConnection(ctx, token)
		coretest.Wants(t, err, core.KindUnauthenticated, "")
	}
	for _, token := range []seal.Secret{other, static} {
		if _, err := w.AuthenticateConnection(ctx, token); err != nil {
			t.Errorf("another's token died too: %v", err)
		}
	}
	// Whoever was being given one at that moment is not.
	w.refused(t, core.KindUnauthenticated, "", func(tx pgx.Tx) error {
		_, _, err := w.IssueAccessToken(ctx, tx, acme.cause, acme.connection, directory.Proof{Client: client}, time.Hour)
		return err
	})
	// A client of one workspace gets nothing for a connection of another.
	w.refused(t, core.KindUnauthenticated, "", func(tx pgx.Tx) error {
		_, _, err := w.IssueAccessToken(ctx, tx, acme.cause, w.other.connection, directory.Proof{Client: survivor}, time.Hour)
		return err
	})
	if n := w.events(t, acme.workspace.ID, core.ConnectionTokenIssued); n != 5 {
		t.Errorf("%d told", n)
	}
	if n := w.events(t, w.other.workspace.ID, core.ConnectionTokenIssued); n != 0 {
		t.Errorf("%d told to the other workspace", n)
	}
	w.clock.Pass(time.Hour)
	_, err := w.AuthenticateConnection(ctx, other)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
}

func TestAnAccessTokenNeverOutlivesItsClient(t *testing.T) {
	w := open(t)
	soon := w.clock.Now().Add(10*time.Minute + 300*time.Millisecond)
	client, _ := w.client(t, w.acme, &soon)
	token, life := w.issue(t, w.acme, directory.Proof{Client: client}, time.Hour)
	if life != 10*time.Minute {
		t.Errorf("lives %v", life)
	}
	w.clock.Pass(10 * time.Minute)
	_, err := w.AuthenticateConnection(t.Context(), token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	w.refused(t, core.KindUnauthenticated, "", func(tx pgx.Tx) error {
		_, _, err := w.IssueAccessToken(t.Context(), tx, w.acme.cause, w.acme.connection, directory.Proof{Client: client}, time.Hour)
		return err
	})
}

func TestAccessTokensAreSweptAndBounded(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme
	client, _ := w.client(t, acme, nil)
	theirs, _ := w.client(t, w.other, nil)
	proof := directory.Proof{Client: client}
	kept, _ := w.issue(t, w.other, directory.Proof{Client: theirs}, 10*time.Hour)
	if _, err := w.DB.Exec(ctx, `
		insert into connection_tokens (id, workspace_id, connection_id, hash, created, expires, kind, client)
		select gen_random_uuid(), $1, $2, sha256(n::text::bytea), $3::timestamptz - interval '1 hour' + n * interval '1 second', $3::timestamptz + n * interval '1 second', 'access', $4
		from generate_series(1, 40) n`, acme.workspace.ID, acme.connection.ID, w.clock.Now(), client.ID); err != nil {
		t.Fatal(err)
	}
	static := w.connectionToken(t, new(w.clock.Now().Add(time.Second)))
	w.clock.Pass(time.Hour)
	const live = `select count(*) from connection_tokens where workspace_id = $1 and kind = 'access'`
	w.issue(t, acme, proof, time.Hour)
	if n := w.count(t, live, acme.workspace.ID); n != 40-32+1 {
		t.Errorf("%d left after one statement", n)
	}
	w.issue(t, acme, proof, time.Hour)
	if n := w.count(t, live, acme.workspace.ID); n != 2 {
		t.Errorf("%d left after two", n)
	}
	if _, err := w.DB.Exec(ctx, `
		insert into connection_tokens (id, workspace_id, connection_id, hash, created, expires, kind, client)
		select gen_random_uuid(), $1, $2, sha256(n::text::bytea), $3::timestamptz - interval '1 minute', $3::timestamptz + interval '1 hour', 'access', $4
		from generate_series(1, 1010) n`, acme.workspace.ID, acme.connection.ID, w.clock.Now(), client.ID); err != nil {
		t.Fatal(err)
	}
	newest, _ := w.issue(t, acme, proof, time.Hour)
	if n := w.count(t, live, acme.workspace.ID); n != 1000 {
		t.Errorf("%d live", n)
	}
	if _, err := w.AuthenticateConnection(ctx, newest); err != nil {
		t.Error(err)
	}
	if _, err := w.AuthenticateConnection(ctx, kept); err != nil {
		t.Errorf("another workspace's was swept: %v", err)
	}
	if n := w.count(t, `select count(*) from connection_tokens where hash = $1`, seal.HashToken(static.Reveal())); n != 1 {
		t.Error("an expired static token was swept: it is listed until it is revoked")
	}
}

func TestConnectionsAreFoundByTheirAssertion(t *testing.T) {
	w := open(t)
	ctx, acme := t.Context(), w.acme
	federate := func(h house, assertion directory.Assertion) (changed directory.Connection) {
		t.Helper()
		w.tx(t, func(tx pgx.Tx) (err error) {
			changed, err = w.ChangeConnection(ctx, tx, h.cause, h.workspace.ID, h.connection.ID, func(c *directory.Connection) { c.Provisioning.Assertion = assertion })
			return err
		})
		return changed
	}
	entra := directory.Assertion{Issuer: "https://login.example/tid/v2.0", Subject: "sync-fabric", Audience: "api://postern"}
	acme.connection = federate(acme, entra)
	theirs := entra
	theirs.Audience = "api://other"
	federate(w.other, theirs)
	for _, audiences := range [][]string{{"api://postern"}, {"x", "api://postern"}} {
		found, err := w.ConnectionByAssertion(ctx, entra.Issuer, entra.Subject, audiences)
		if err != nil || !cmp.Equal(found, acme.connection) {
			t.Fatal(err, cmp.Diff(acme.connection, found))
		}
	}
	for name, wrong := range map[string]struct {
		issuer, subject string
		audiences       []string
	}{
		"issuer": {entra.Issuer + "/", entra.Subject, []string{entra.Audience}}, "subject": {entra.Issuer, "x", []string{entra.Audience}},
		"audience": {entra.Issuer, entra.Subject, []string{"api://poster"}}, "no audience": {entra.Issuer, entra.Subject, nil},
		"nothing": {"", "", []string{""}}, "ambiguous": {entra.Issuer, entra.Subject, []string{entra.Audience, theirs.Audience}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.ConnectionByAssertion(ctx, wrong.issuer, wrong.subject, wrong.audiences)
			coretest.Wants(t, err, core.KindUnauthenticated, "")
		})
	}
	client, _ := w.client(t, acme, nil)
	byClient, _ := w.issue(t, acme, directory.Proof{Client: client, Assertion: entra}, time.Hour)
	token, _ := w.issue(t, acme, directory.Proof{Assertion: entra}, time.Hour)
	before := entra
	entra.Subject = "another"
	federate(acme, entra)
	_, err := w.AuthenticateConnection(ctx, token)
	coretest.Wants(t, err, core.KindUnauthenticated, "")
	if _, err := w.AuthenticateConnection(ctx, byClient); err != nil {
		t.Errorf("a client's token died with an assertion: %v", err)
	}
	w.refused(t, core.KindUnauthenticated, "", func(tx pgx.Tx) error {
		_, _, err := w.IssueAccessToken(ctx, tx, acme.cause, acme.connection, directory.Proof{Assertion: before}, time.Hour)
		return err
	})
	w.refused(t, core.KindInvalid, "provisioning.assertion.subject", func(tx pgx.Tx) error {
		_, err := w.ChangeConnection(ctx, tx, acme.cause, acme.workspace.ID, acme.connection.ID, func(c *directory.Connection) {
			c.Provisioning.Assertion.Subject = strings.Repeat("x", 1001)
		})
		return err
	})
}

// Many requests that find a token unused for a minute write that down once, and none waits for a lock.
func TestABurstTouchesATokenOnce(t *testing.T) {
	w := open(t)
	token := w.connectionToken(t, nil)
	// The trigger counts statements, also those that find nothing to write.
	if _, err := w.DB.Exec(t.Context(), `
		create table touched (n bigserial);
		create function touched() returns trigger language plpgsql as $$ begin insert into touched default values; return null; end $$;
		create trigger touched after update on connection_tokens for each statement execute function touched()`); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		work := make([]func(), 32)
		for i := range work {
			work[i] = func() {
				if _, err := w.AuthenticateConnection(t.Context(), token); err != nil {
					t.Error(err)
				}
			}
		}
		together(work...)
		w.clock.Pass(time.Minute)
	}
	if n := w.count(t, `select count(*) from touched`); n != 2 {
		t.Errorf("%d writes were sent", n)
	}
	var at time.Time
	if err := w.DB.QueryRow(t.Context(), `select last_used from connection_tokens`).Scan(&at); err != nil || !at.Equal(w.clock.Now().Add(-time.Minute)) {
		t.Errorf("last used %v, %v", at, err)
	}
}
