package browser

import (
	"context"
	"errors"
	"time"

	"postern/core/rotation"
	"postern/core/seal"
)

// backup is what ways.js finds of the codes for when a second factor is lost.
type backup struct {
	Codes []string `json:"codes"`
	Ways  []way    `json:"ways"`
}

// backupCodes are the codes an app shows once its second factor is on: on the page that says so, or behind its own links,
// some of which ask for the password or a further code. Without any there is no harm: the second factor is on all the same.
func (j *job) backupCodes(ctx context.Context, credential rotation.Credential, keep keep) []seal.Secret {
	outcome, detail := j.outcome, j.detail
	defer func() { j.outcome, j.detail = outcome, detail }()
	var been []string
	sent := false // a form, to which another page is the answer
	for range hops {
		var found backup
		now, err := j.tab.await(ctx, min(j.patience, 5*time.Second), lookOptions{Lines: true}, func(now view) bool {
			if !now.loaded() || now.Pending || now.Same && (sent || now.Ready != "complete") {
				return false
			}
			var err error
			if found, err = ask[backup](ctx, j.tab, "backup"); err != nil {
				return false
			}
			return len(found.Codes) > 0 || len(been) > 0 && (now.form("code") != nil || now.form("password") != nil) || factor{Ways: found.Ways}.next(been) != nil
		})
		for _, code := range found.Codes {
			j.conceal(seal.NewSecret(code))
		}
		if now.Ready != "" {
			j.last = now
		}
		if err != nil {
			return nil
		}
		if len(found.Codes) > 0 {
			codes := make([]seal.Secret, len(found.Codes))
			for i, code := range found.Codes {
				codes[i] = seal.NewSecret(code)
			}
			return codes
		}
		if form := firstOf(j.last.form("password"), j.last.form("code")); form != nil && len(been) > 0 {
			var fields entries
			fields.add(form.field("current"), credential.Password.Reveal())
			if form.field("code") != nil {
				code, err := keep(ctx, seal.Secret{})
				if err != nil {
					return nil
				}
				j.conceal(code)
				fields.add(form.field("code"), code.Reveal())
			}
			j.remember()
			if err := j.enter(ctx, form, fields); err != nil && !errors.Is(err, errMoving) {
				return nil
			}
			sent = true
			continue
		}
		on := factor{Ways: found.Ways}.next(been)
		if on == nil {
			return nil
		}
		sent = false
		been = append(been, on.name())
		if _, err := ask[bool](ctx, j.tab, "follow", on.Ref); err != nil && !errors.Is(err, errMoving) {
			return nil
		}
	}
	return nil
}

func firstOf(forms ...*form) *form {
	for _, one := range forms {
		if one != nil {
			return one
		}
	}
	return nil
}
