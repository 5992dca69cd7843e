package health_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/health"
	"postern/core/jobs"
	"postern/core/mail"
	"postern/core/rotation"
)

// letters are the mails of a workspace, latest first, as "to: subject" with their texts.
func (w *world) letters(t testing.TB, h house) (heads, texts []string) {
	t.Helper()
	found, err := w.Mail.Kept(t.Context(), w.Core.DB, h.workspace, 100)
	coretest.Must(t, err)
	for _, one := range found {
		text, err := w.Mail.Text(t.Context(), w.Core.DB, h.workspace, one.ID)
		coretest.Must(t, err)
		heads, texts = append(heads, one.To+": "+one.Subject), append(texts, text.Reveal())
	}
	return heads, texts
}

// alarming is a world that mails, in which Ana and an administrator have addresses; Ben has one, and owns nothing.
func alarming(t *testing.T) (*world, house) {
	t.Helper()
	w := open(t)
	queue, err := jobs.NewQueue(w.Core.DB, nil)
	coretest.Must(t, err)
	w.Mail = &mail.Mail{DB: w.Core.DB, Vault: w.Vault, Jobs: queue, Keep: true, Now: w.clock.Now}
	w.PublicURL = "https://postern.example/"
	for _, h := range []house{w.acme, w.other} {
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `update users set email = split_part(user_name, '@', 1) || '@example.com' where workspace_id = $1`, h.workspace); err != nil {
				return err
			}
			_, err := w.Core.Directory.InsertUser(ctx, tx, directory.User{Workspace: h.workspace, UserName: "ada", Email: "ada@example.com", Active: true, Role: directory.RoleAdmin})
			return err
		})
	}
	return w, w.acme
}

func (w *world) learn(t testing.TB, h house, account int, finding accounts.Finding) {
	t.Helper()
	w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := w.Core.Accounts.Learn(ctx, tx, coretest.System(), h.workspace, h.accounts[account].ID, finding, "first password 0 is <wrong>")
		return err
	})
}

// alarm follows the log, passes time, and returns how many mails are sent then, whoever looks.
func (w *world) alarm(t testing.TB, after time.Duration) int {
	t.Helper()
	w.follow(t)
	w.clock.Pass(after)
	total := 0
	for range 2 {
		sent, err := w.Alarm(t.Context())
		coretest.Must(t, err)
		total += sent
	}
	return total
}

func TestOwnersAreMailedOnceForWhatHappensTogether(t *testing.T) {
	w, h := alarming(t)
	w.learn(t, h, 0, accounts.NoneAccepted)
	w.learn(t, h, 1, accounts.LoginLocked)
	if sent := w.alarm(t, time.Minute); sent != 0 {
		t.Fatalf("%d mails before others were waited for", sent)
	}
	w.learn(t, h, 2, accounts.NoneAccepted)
	w.learn(t, h, 2, accounts.SignInAccepted) // over by then
	if sent := w.alarm(t, 5*time.Minute); sent != 1 {
		t.Fatalf("%d mails", sent)
	}
	heads, texts := w.letters(t, h)
	if len(heads) != 1 || heads[0] != "ana@example.com: 2 accounts need you" {
		t.Fatal(heads)
	}
	for _, want := range []string{
		"Wiki (shared0): the app refuses the stored password.", "Wiki (shared1): the app has locked or disabled the login.",
		"https://postern.example/accounts/" + h.accounts[0].ID.String() + "\n", "https://postern.example/accounts/" + h.accounts[1].ID.String() + "\n",
	} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("%q is not in %s", want, texts[0])
		}
	}
	if strings.Contains(texts[0], "shared2") || strings.Contains(texts[0], "first password") || strings.Contains(texts[0], "Ben") {
		t.Error(texts[0])
	}
	// Not again for what is known, though more is learned of it; but again when it comes back.
	w.learn(t, h, 0, accounts.Expired)
	if sent := w.alarm(t, 10*time.Minute); sent != 0 {
		t.Fatalf("%d mails about what was told", sent)
	}
	w.learn(t, h, 0, accounts.SignInAccepted)
	w.learn(t, h, 0, accounts.NoneAccepted)
	if sent := w.alarm(t, 10*time.Minute); sent != 1 {
		t.Fatalf("%d mails about what came back", sent)
	}
	if heads, _ := w.letters(t, h); heads[0] != "ana@example.com: 1 account needs you" {
		t.Error(heads)
	}
	if heads, _ := w.letters(t, w.other); len(heads) != 0 {
		t.Error(heads)
	}
}

func TestAdministratorsAreMailedAboutWhatNobodyOwns(t *testing.T) {
	w, h := alarming(t)
	w.share(t, h, 1, h.ben, accounts.Owner) // who stays
	w.leave(t, h.ana)
	if sent := w.alarm(t, 10*time.Minute); sent != 1 {
		t.Fatalf("%d mails", sent)
	}
	heads, texts := w.letters(t, h)
	if len(heads) != 1 || heads[0] != "ada@example.com: 2 accounts need you" || !strings.Contains(texts[0], "Wiki (shared0): nobody active owns it.") || strings.Contains(texts[0], "shared1") {
		t.Fatal(heads, texts)
	}
	w.learn(t, h, 0, accounts.NoneAccepted)
	w.learn(t, h, 1, accounts.NoneAccepted)
	if sent := w.alarm(t, 10*time.Minute); sent != 2 {
		t.Fatalf("%d mails", sent)
	}
	heads, texts = w.letters(t, h)
	for i, one := range heads[:2] {
		want := map[string]string{"ada@example.com: 1 account needs you": "shared0", "ben@example.com: 1 account needs you": "shared1"}[one]
		if want == "" || !strings.Contains(texts[i], want) || strings.Count(texts[i], "Wiki (") != 1 {
			t.Error(one, texts[i])
		}
	}
}

// A rotation that schedules have tried again and again waits for the same person all the same.
func TestARotationThatWaitsIsMailedOnceADay(t *testing.T) {
	w, h := alarming(t)
	w.apps.Set(h.accounts[0].ID, "first password 0", rotation.Challenge)
	block := func() {
		t.Helper()
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			_, err := w.Core.Rotations.Plan(ctx, tx, coretest.System(), h.workspace, h.accounts[0].ID, rotation.ReasonManual, 0)
			return err
		})
		w.rotate(t, h)
	}
	block()
	if sent := w.alarm(t, 10*time.Minute); sent != 1 {
		t.Fatalf("%d mails", sent)
	}
	if _, texts := w.letters(t, h); !strings.Contains(texts[0], "changing its password waits for a person.") {
		t.Error(texts[0])
	}
	block()
	if sent := w.alarm(t, time.Hour); sent != 0 {
		t.Fatalf("%d mails again", sent)
	}
	w.clock.Pass(24 * time.Hour)
	block()
	if sent := w.alarm(t, time.Hour); sent != 1 {
		t.Fatalf("%d mails a day later", sent)
	}
}

func TestNobodyIsMailedWhereThatIsOff(t *testing.T) {
	w, h := alarming(t)
	set := func(quiet bool) {
		t.Helper()
		w.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
			return w.SetSettings(ctx, tx, coretest.System(), h.workspace, health.Settings{Interval: health.DefaultInterval, Retention: health.DefaultRetention, Quiet: quiet})
		})
	}
	set(true)
	w.learn(t, h, 0, accounts.NoneAccepted)
	if sent := w.alarm(t, 10*time.Minute); sent != 0 {
		t.Fatalf("%d mails", sent)
	}
	set(false)
	if sent := w.alarm(t, 10*time.Minute); sent != 0 {
		t.Fatalf("%d mails about what happened before", sent)
	}
	w.learn(t, h, 1, accounts.NoneAccepted)
	w.Mail.Keep = false // and this Postern sends none
	if sent := w.alarm(t, 10*time.Minute); sent != 0 {
		t.Fatalf("%d mails", sent)
	}
}
