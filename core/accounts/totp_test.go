package accounts_test

import (
	"encoding/base32"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/seal"
	"postern/core/vault/vaulttest"
)

// seed is the secret of RFC 6238's test vectors for SHA1 in base32, and a canary.
const seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func (s *side) setTOTP(t coretest.T, cause core.Cause, account core.ID, given string) (stored accounts.TOTP, err error) {
	err = s.w.DB.Tx(ctx(t), func(tx pgx.Tx) error {
		stored, err = s.w.SetTOTP(ctx(t), tx, cause, s.workspace, account, seal.NewSecret(given))
		return err
	})
	return stored, err
}

func (s *side) removeTOTP(t coretest.T, cause core.Cause, account core.ID) error {
	return s.w.DB.Tx(ctx(t), func(tx pgx.Tx) error { return s.w.RemoveTOTP(ctx(t), tx, cause, s.workspace, account) })
}

func (s *side) code(t coretest.T, cause core.Cause, user string, account core.ID) (accounts.Code, error) {
	return s.w.Code(ctx(t), cause, s.workspace, s.user(user), account)
}

// RFC 6238, appendix B.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	account := acme.account(t, "shared", "ana")
	long := func(bytes string) string {
		return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(bytes))
	}
	sha256 := long("12345678901234567890123456789012")
	sha512 := long("1234567890123456789012345678901234567890123456789012345678901234")
	for _, one := range []struct {
		given string
		at    int64
		want  string
	}{
		{"otpauth://totp/Wiki:shared?secret=" + seed + "&digits=8&issuer=Wiki", 59, "94287082"},
		{"otpauth://totp/Wiki:shared?secret=" + sha256 + "&digits=8&algorithm=SHA256", 59, "46119246"},
		{"otpauth://totp/x?secret=" + sha512 + "&digits=8&algorithm=sha-512&period=30", 59, "90693936"},
		{"OTPAUTH://TOTP/x?secret=" + seed + "&digits=8", 1111111109, "07081804"},
		{"otpauth://totp/?secret=" + sha512 + "&digits=8&algorithm=SHA512", 20000000000, "47863826"},
		{seed, 59, "287082"},
		{" gezd gnbv gy3t qojq gezd gnbv gy3t qojq ", 1111111111, "050471"},
		{"otpauth://totp/x?secret=" + seed + "====&period=60", 119, "287082"},
	} {
		w.clock.Set(time.Unix(one.at, 500))
		if _, err := acme.setTOTP(t, acme.as("ana"), account.ID, one.given); err != nil {
			t.Fatal(one.given, err)
		}
		got, err := acme.code(t, acme.as("ana"), "ana", account.ID)
		if err != nil || got.Code.Reveal() != one.want || got.From.After(w.clock.Now()) || !got.Until.After(w.clock.Now()) {
			t.Errorf("%s at %d: %s from %v until %v, %v; want %s", one.given, one.at, got.Code.Reveal(), got.From, got.Until, err, one.want)
		}
	}
}

func TestWhatIsNoTOTPSecret(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	account := acme.account(t, "shared", "ana")
	for what, given := range map[string]string{
		"nothing": "", "blanks": " \n", "not base32": seed + "1", "short": "GEZDGNBV", "garbage": "\x00\xff" + seed, "long": strings.Repeat("A", 300),
		"endless": "otpauth://totp/x?secret=" + strings.Repeat("A", 4000), "a web address": "https://example.com/?secret=" + seed,
		"by counter": "otpauth://hotp/x?secret=" + seed + "&counter=1", "a counter": "otpauth://totp/x?counter=1&secret=" + seed,
		"steam": "otpauth://totp/x?encoder=steam&secret=" + seed, "no secret": "otpauth://totp/x?issuer=x", "two secrets": "otpauth://totp/x?secret=" + seed + "&secret=" + seed,
		"MD5": "otpauth://totp/x?algorithm=MD5&secret=" + seed, "two algorithms": "otpauth://totp/x?algorithm=SHA1&algorithm=SHA256&secret=" + seed,
		"7 digits": "otpauth://totp/x?digits=7&secret=" + seed, "digits": "otpauth://totp/x?digits=&secret=" + seed,
		"an instant": "otpauth://totp/x?period=0&secret=" + seed, "an hour": "otpauth://totp/x?period=3600&secret=" + seed, "-30": "otpauth://totp/x?period=-30&secret=" + seed,
		"broken": "otpauth://totp/%zz?secret=" + seed, "a broken query": "otpauth://totp/x?secret=%zz" + seed, "a semicolon": "otpauth://totp/x?a;secret=" + seed,
		"a port": "otpauth://totp:port/x?secret=" + seed,
	} {
		_, err := acme.setTOTP(t, acme.as("ana"), account.ID, given)
		classified := core.AsError(err)
		if classified == nil || classified.Kind != core.KindInvalid || classified.Field != "secret" || classified.Code != "not_a_totp_secret" {
			t.Errorf("%s: %v", what, err)
		} else if strings.Contains(err.Error(), seed) {
			t.Errorf("%s: the error tells it: %v", what, err)
		}
	}
	if _, err := w.TOTP(t.Context(), w.DB, acme.workspace, account.ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("one is stored all the same: %v", err)
	}
}

func FuzzTOTPSecret(f *testing.F) {
	for _, one := range []string{seed, "otpauth://totp/Wiki:shared?secret=" + seed + "&digits=8&algorithm=SHA256&period=60", "otpauth:totp?secret=A", "otpauth://totp/?;"} {
		f.Add(one)
	}
	f.Fuzz(func(t *testing.T, given string) {
		if err := accounts.CheckTOTP(seal.NewSecret(given)); err != nil && core.KindOf(err) != core.KindInvalid {
			t.Error(err)
		}
	})
}

func TestWhoMaySetAndBeGivenCodes(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	soon := w.clock.Now().Add(time.Hour)
	for user, expires := range map[string]*time.Time{"ben": nil, "cleo": &soon, "gus": nil} {
		_, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user(user)}, accounts.Collaborator, expires)
		coretest.Must(t, err)
	}
	_, err := acme.code(t, acme.as("ana"), "ana", account.ID)
	coretest.Wants(t, err, core.KindNotFound, "")
	coretest.Wants(t, acme.removeTOTP(t, acme.as("ana"), account.ID), core.KindNotFound, "")

	for user, code := range map[string]string{"ben": "not_owner", "gus": "not_owner"} {
		_, err := acme.setTOTP(t, acme.as(user), account.ID, seed)
		coretest.Wants(t, err, core.KindDenied, code)
		coretest.Wants(t, acme.removeTOTP(t, acme.as(user), account.ID), core.KindDenied, code)
	}
	_, err = acme.setTOTP(t, other.as("ana"), account.ID, seed)
	coretest.Wants(t, err, core.KindDenied, "not_a_member")
	_, err = other.setTOTP(t, other.as("ada"), account.ID, seed)
	coretest.Wants(t, err, core.KindNotFound, "")
	_, err = acme.setTOTP(t, acme.as("ada"), account.ID, seed) // an administrator without a grant
	coretest.Must(t, err)
	_, err = other.setTOTP(t, other.as("ana"), twin.ID, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJA")
	coretest.Must(t, err)

	first, err := acme.code(t, acme.as("ana"), "ana", account.ID)
	coretest.Must(t, err)
	for _, user := range []string{"ben", "cleo", "gus"} {
		got, err := acme.code(t, acme.as(user), user, account.ID)
		coretest.Must(t, err)
		equal(t, user+"'s code", got.Code.Reveal(), first.Code.Reveal())
	}
	theirs, err := other.code(t, other.as("ana"), "ana", twin.ID)
	coretest.Must(t, err)
	if theirs.Code.Equal(first.Code) {
		t.Error("the neighbour has the same code")
	}
	refused := func(cause core.Cause, user, code string) {
		t.Helper()
		got, err := acme.code(t, cause, user, account.ID)
		coretest.Wants(t, err, core.KindDenied, code)
		if !got.Code.IsZero() {
			t.Error("refused, and given all the same")
		}
	}
	refused(acme.as("ada"), "ada", "not_shared")
	refused(acme.as("ben"), "ana", "not_you")
	_, err = other.code(t, other.as("ana"), "ana", account.ID)
	coretest.Wants(t, err, core.KindDenied, "not_shared")

	w.clock.Pass(2 * time.Hour)
	refused(acme.as("cleo"), "cleo", "expired")
	if _, err := acme.leave(t, "ben"); err != nil {
		t.Fatal(err)
	}
	refused(acme.as("ben"), "ben", "inactive")
	acme.take(t, account.ID, "gus")
	refused(acme.as("gus"), "gus", "not_shared")
	w.tx(t, func(tx pgx.Tx) error {
		_, err := w.Learn(t.Context(), tx, acme.cause, acme.workspace, account.ID, accounts.NoneAccepted, "the app refuses it")
		return err
	})
	refused(acme.as("ana"), "ana", "desynced")

	coretest.Must(t, acme.removeTOTP(t, acme.as("ana"), account.ID))
	coretest.Wants(t, acme.removeTOTP(t, acme.as("ana"), account.ID), core.KindNotFound, "")
	if _, _, err := w.SpendCode(t.Context(), acme.workspace, account.ID); core.KindOf(err) != core.KindNotFound {
		t.Errorf("codes are made of what was removed: %v", err)
	}
	again, err := acme.setTOTP(t, acme.as("ana"), account.ID, seed)
	coretest.Must(t, err)
	equal(t, "the version", again.Version, 2)
	for kind, want := range map[core.EventType]int{core.AccountTOTPStored: 2, core.AccountTOTPRemoved: 1, core.AccountCodeGiven: 4} {
		equal(t, string(kind), acme.events(t, kind), want)
	}
}

// Who restricts a user keeps codes from them too.
func TestNoCodeForWhoIsRestricted(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	account := acme.account(t, "shared", "ana")
	_, err := acme.setTOTP(t, acme.as("ana"), account.ID, seed)
	coretest.Must(t, err)
	w.tx(t, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		w.Directory.QueueRestrict(batch, acme.workspace, acme.user("ana"), core.NewID(), "risk")
		return tx.SendBatch(t.Context(), batch).Close()
	})
	_, err = acme.code(t, acme.as("ana"), "ana", account.ID)
	coretest.Wants(t, err, core.KindDenied, "restricted")
}

// A code is on record, and is no exposure of the password: nothing is to be rotated for it, and nobody is said to know it.
func TestACodeDoesNotExposeThePassword(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	account := acme.account(t, "shared", "ana")
	_, err := acme.share(t, acme.cause, account.ID, accounts.Subject{User: acme.user("ben")}, accounts.Collaborator, nil)
	coretest.Must(t, err)
	_, err = acme.setTOTP(t, acme.as("ana"), account.ID, seed)
	coretest.Must(t, err)
	_, err = acme.code(t, acme.as("ben"), "ben", account.ID)
	coretest.Must(t, err)
	seen, err := w.Exposures(t.Context(), w.DB, acme.workspace, account.ID, 0)
	if err != nil || len(seen) != 2 || seen[0].Level != "code" || seen[0].Name != "ben" || seen[1].Level != "totp_entered" || seen[1].Name != "ana" {
		t.Errorf("got %+v, %v", seen, err)
	}
	exposed, err := w.Exposed(t.Context(), w.DB, acme.workspace, acme.user("ben"))
	if err != nil || len(exposed) != 1 || exposed[0].Saw || !exposed[0].Could {
		t.Errorf("got %+v, %v", exposed, err)
	}
	acme.take(t, account.ID, "ben")
	lost, err := w.LostByUsers(t.Context(), w.DB, acme.workspace, []core.ID{acme.user("ben")}, []core.ID{account.ID})
	if err != nil || len(lost) != 0 {
		t.Errorf("the password is said to be known: %v, %v", lost, err)
	}
}

// Postern uses each time step of an account once, and none that somebody has.
func TestEachStepIsSpentOnce(t *testing.T) {
	w := open(t)
	acme, other := w.side(t), w.side(t)
	account, twin := acme.account(t, "shared", "ana"), other.account(t, "shared", "ana")
	for _, s := range []struct {
		side    *side
		account core.ID
	}{{acme, account.ID}, {other, twin.ID}} {
		_, err := s.side.setTOTP(t, s.side.as("ana"), s.account, seed)
		coretest.Must(t, err)
	}
	spend := func(s *side, account core.ID, want time.Duration) string {
		t.Helper()
		code, wait, err := w.SpendCode(t.Context(), s.workspace, account)
		if err != nil || wait != want || code.IsZero() != (want > 0) {
			t.Fatalf("got %q, wait %v, %v; want to wait %v", code.Reveal(), wait, err, want)
		}
		return code.Reveal()
	}
	w.clock.Pass(10 * time.Second)
	first := spend(acme, account.ID, 0)
	spend(acme, account.ID, 20*time.Second)
	spend(other, twin.ID, 0) // is another account
	mine, err := acme.code(t, acme.as("ana"), "ana", account.ID)
	if err != nil || !mine.Spent || mine.Code.Reveal() != first {
		t.Errorf("got %+v, %v", mine, err)
	}
	// Another secret of the account does not make the step new.
	_, err = acme.setTOTP(t, acme.as("ana"), account.ID, "otpauth://totp/x?period=60&secret="+seed)
	coretest.Must(t, err)
	spend(acme, account.ID, 20*time.Second)
	coretest.Must(t, acme.removeTOTP(t, acme.as("ana"), account.ID))
	_, err = acme.setTOTP(t, acme.as("ana"), account.ID, seed)
	coretest.Must(t, err)
	spend(acme, account.ID, 20*time.Second)

	w.clock.Pass(18 * time.Second) // the code would be stale before it is typed
	spend(acme, account.ID, 2*time.Second)
	w.clock.Pass(2 * time.Second)
	if second := spend(acme, account.ID, 0); second == first {
		t.Error("the same code was used twice")
	}
	w.clock.Pass(30 * time.Second)
	mine, err = acme.code(t, acme.as("ana"), "ana", account.ID)
	if err != nil || mine.Spent {
		t.Errorf("got %+v, %v", mine, err)
	}
	spend(acme, account.ID, 30*time.Second) // somebody has it
	coretest.Wants(t, func() error { _, _, err := w.SpendCode(t.Context(), other.workspace, account.ID); return err }(), core.KindNotFound, "")
}

// Of any number who would sign in at once, one has the step.
func TestOneStepForManyAtOnce(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	account := acme.account(t, "shared", "ana")
	_, err := acme.setTOTP(t, acme.as("ana"), account.ID, seed)
	coretest.Must(t, err)
	const many = 8
	had := make(chan bool, many)
	for range many {
		go func() {
			code, _, err := w.SpendCode(t.Context(), acme.workspace, account.ID)
			if err != nil {
				t.Error(err)
			}
			had <- !code.IsZero()
		}()
	}
	count := 0
	for range many {
		if <-had {
			count++
		}
	}
	equal(t, "how many have it", count, 1)
}

// The secret is in no row but sealed, and in no event.
func TestTheSecretStandsNowhere(t *testing.T) {
	w := open(t)
	acme := w.side(t)
	w.side(t)
	account := acme.account(t, "shared", "ana")
	_, err := acme.setTOTP(t, acme.as("ana"), account.ID, "otpauth://totp/x?secret="+seed)
	coretest.Must(t, err)
	_, err = acme.code(t, acme.as("ana"), "ana", account.ID)
	coretest.Must(t, err)
	_, _, err = w.SpendCode(t.Context(), acme.workspace, account.ID)
	coretest.Must(t, err)
	coretest.Must(t, acme.removeTOTP(t, acme.as("ana"), account.ID))
	vaulttest.NotInClear(t, w.DB, seed)
	vaulttest.NotInClear(t, w.DB, "12345678901234567890")
}
