package links_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pquerna/otp/totp"

	"postern/core"
	"postern/core/accounts"
	"postern/core/coretest"
	"postern/core/links"
	"postern/core/seal"
)

const totpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func (h house) enrol() {
	h.t.Helper()
	h.Tx(h.t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.Core.Accounts.SetTOTP(ctx, tx, h.by(h.ana), h.workspace.ID, h.account.ID, seal.NewSecret(totpSecret))
		return err
	})
}

// Whoever opened a link is given codes as long as the password is good, each on record once, and never the secret.
func TestCodesByALink(t *testing.T) {
	h, other := pair(t)
	other.enrol()
	plain, err := h.opens(h.link(links.NewLink{}), "ada@example.com", seal.Secret{})
	if coretest.Must(t, err); !plain.Pass.IsZero() {
		t.Error("codes are promised where none are made")
	}
	h.enrol()
	at := h.link(links.NewLink{Once: true})
	shown, err := h.opens(at, "ada@example.com", seal.Secret{})
	if coretest.Must(t, err); shown.Pass.IsZero() {
		t.Fatal("no codes")
	}
	asks := func() (accounts.Code, error) { return h.Code(t.Context(), phone, at.token, shown.Pass) }
	for step := range 3 {
		for range 2 { // the same again is no other code
			given, err := asks()
			coretest.Must(t, err)
			want, err := totp.GenerateCode(totpSecret, h.clock.Now())
			if coretest.Must(t, err); given.Code.Reveal() != want {
				t.Errorf("got %q, want %q", given.Code.Reveal(), want)
			}
		}
		if told := h.events(core.AccountCodeGiven); told != step+1 {
			t.Errorf("%d codes are told of, want %d", told, step+1)
		}
		h.clock.Pass(30 * time.Second)
	}
	seen, err := h.Core.Accounts.Exposures(t.Context(), h.Links.DB, h.workspace.ID, h.account.ID, 0)
	coretest.Must(t, err)
	count := 0
	for _, one := range seen {
		if one.Level == "code" && one.Link == at.ID && one.Name == "ada@example.com" {
			count++
		}
	}
	if count != 3 {
		t.Errorf("%d codes are on record: %+v", count, seen)
	}

	// Another link's pass, another link, nobody's pass, what is none.
	next := h.link(links.NewLink{Recipients: []string{"bea@example.com"}})
	theirs, err := h.opens(next, "bea@example.com", seal.Secret{})
	coretest.Must(t, err)
	for what, try := range map[string][2]seal.Secret{
		"another's pass": {at.token, theirs.Pass}, "another link": {next.token, shown.Pass}, "nobody's": {at.token, seal.NewToken("pst_view")},
		"the link's address": {at.token, at.token}, "nothing": {at.token, seal.Secret{}}, "no link": {seal.NewToken("pst_link"), shown.Pass},
	} {
		_, err := h.Code(t.Context(), phone, try[0], try[1])
		coded(t, what, err, "no_link")
	}
	// Who sent it may not show it any more: nothing is said of why.
	h.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.Core.Accounts.Learn(ctx, tx, coretest.System(), h.workspace.ID, h.account.ID, accounts.LoginDisabled, "It is disabled.")
		return err
	})
	_, err = asks()
	coded(t, "of a closed account", err, "not_now")
	h.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		_, err := h.Core.Accounts.Learn(ctx, tx, coretest.System(), h.workspace.ID, h.account.ID, accounts.SignInAccepted, "It is right.")
		return err
	})
	_, err = asks()
	coretest.Must(t, err)
	// The secret is taken away, and the link ends with its time.
	h.Tx(t, func(ctx context.Context, tx pgx.Tx) error {
		return h.Core.Accounts.RemoveTOTP(ctx, tx, h.by(h.ana), h.workspace.ID, h.account.ID)
	})
	_, err = asks()
	coded(t, "of a secret that was removed", err, "no_link")
	h.enrol()
	h.clock.Pass(links.DefaultLinger)
	_, err = asks()
	coded(t, "of a link that has ended", err, "no_link")
}
