package links

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

func noLink() *core.Error {
	return &core.Error{Kind: core.KindNotFound, Code: "no_link", Message: "this link has ended, or there never was one; ask whoever sent it for another"}
}

const selectByToken = linkColumns + `where l.hash = @hash`

// find is the link of an address, if it can still be opened. The token says which workspace's it is.
func (l *Links) find(ctx context.Context, q postgres.Querier, token seal.Secret) (Link, error) {
	if !tokenOf(token, linkToken) {
		return Link{}, noLink()
	}
	link, err := postgres.One[Link](ctx, q, "link", selectByToken, pgx.StrictNamedArgs{"hash": seal.HashToken(token.Reveal())})
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return Link{}, err
	}
	if err != nil || link.State(l.now()) != Active {
		return Link{}, noLink()
	}
	return link, nil
}

// tokenOf reports whether a secret looks like a token of a kind.
func tokenOf(given seal.Secret, kind string) bool {
	return strings.HasPrefix(given.Reveal(), kind+"_") && len(given.Reveal()) <= 100
}

// Peek is what the page of a link says to whoever has its address: whose workspace it comes from. NotFound (code
// "no_link") when it has ended, or never was.
func (l *Links) Peek(ctx context.Context, token seal.Secret) (workspace string, err error) {
	link, err := l.find(ctx, l.DB, token)
	if err != nil {
		return "", err
	}
	return l.workspaceName(ctx, l.DB, link.Workspace)
}

// Ask mails a code to somebody who says they are a recipient, if they are, and returns what their browser has to send along
// with it. Whether they are, nobody learns from it.
func (l *Links) Ask(ctx context.Context, origin core.Origin, token seal.Secret, email string) (challenge seal.Secret, err error) {
	address, err := mail.Address(email)
	if err != nil {
		return seal.Secret{}, err
	}
	address = strings.ToLower(address)
	err = l.change(ctx, func(tx pgx.Tx) error {
		link, err := l.find(ctx, tx, token)
		if err != nil {
			return err
		}
		workspace, err := l.workspaceName(ctx, tx, link.Workspace)
		if err != nil {
			return err
		}
		challenge, err = l.ask(ctx, tx, ask{
			Workspace: link.Workspace, Link: link.ID, Email: address, Address: origin.Address, Decoy: !link.lets(address),
			Subject: "Your code for a sign-in shared by " + subject(workspace), Text: codeForLink(workspace),
		})
		return err
	})
	return challenge, err
}

// Shown is what a recipient is given.
type Shown struct {
	Link      Link
	SignInURL string // of the app
	Password  seal.Secret
	Device    seal.Secret // what their browser keeps from now on; zero: it has one
	Pass      seal.Secret // what Code is asked with; zero: no one-time codes are made for the account
}

// deviceToken begins what a browser keeps to be known again.
const deviceToken = "pst_device"

const lockLink = selectByToken + ` for no key update of l`

const insertView = `
insert into link_views (id, workspace_id, link_id, recipient, version, seen, address, agent, pass)
values (@id, @workspace, @link, @recipient, @version, @now, @address, @agent, @pass)`

const countView = `
update links set views = views + 1, viewed = coalesce(viewed, @now), due = @due, look = @due, why = @why
where workspace_id = @workspace and id = @link`

// Open gives the password to a recipient who has the code that was mailed to them, and what their browser was given
// when it asked. device is what it kept of an earlier link; it may be zero. That they saw it has committed before it is
// returned. NotFound (code "no_link") when the link has ended; Denied with code wrong_code, or other_device.
func (l *Links) Open(ctx context.Context, origin core.Origin, token, challenge, code, device seal.Secret) (Shown, error) {
	link, err := l.find(ctx, l.DB, token)
	if err != nil {
		return Shown{}, err
	}
	right, last, err := l.prove(ctx, link.Workspace, link.ID, challenge, code)
	if last {
		return Shown{}, errors.Join(err, l.refuse(ctx, origin, link, right.Email, "too many wrong codes"))
	}
	if err != nil {
		return Shown{}, err
	}
	shown := Shown{}
	if !tokenOf(device, deviceToken) {
		device = seal.NewToken(deviceToken)
		shown.Device = device
	}
	var refusal *core.Error
	err = l.change(ctx, func(tx pgx.Tx) error {
		refusal = nil
		found, err := postgres.One[Link](ctx, tx, "link", lockLink, pgx.StrictNamedArgs{"hash": seal.HashToken(token.Reveal())})
		if err != nil {
			return err
		}
		if found.State(l.now()) != Active {
			return noLink()
		}
		if err := l.use(ctx, tx, found.Workspace, right); err != nil {
			return err
		}
		known, err := l.known(ctx, tx, found, right.Email, device)
		if err != nil {
			return err
		}
		if !known { // the code is used up all the same
			refusal = core.Denied("this link was opened on another device before; open it there, or ask for another link").WithCode("other_device")
			return audit.Append(ctx, tx, l.refused(origin, found, right.Email, refusal.Message))
		}
		return l.view(ctx, tx, origin, found, right.Email, &shown)
	})
	switch {
	case err != nil:
		return Shown{}, err
	case refusal != nil:
		return Shown{}, refusal
	}
	return shown, nil
}

// view is one view of a locked link.
func (l *Links) view(ctx context.Context, tx pgx.Tx, origin core.Origin, link Link, recipient string, shown *Shown) error {
	account, password, version, err := l.Accounts.Show(ctx, tx, link.Workspace, link.Account, link.outsider(origin, recipient))
	if err != nil {
		return notNow(err)
	}
	app, err := l.Accounts.App(ctx, tx, link.Workspace, account.App)
	if err != nil {
		return err
	}
	var pass []byte
	shown.Pass = seal.Secret{}
	switch _, err := l.Accounts.TOTP(ctx, tx, link.Workspace, link.Account); {
	case err == nil:
		shown.Pass = seal.NewToken(passToken)
		pass = seal.HashToken(shown.Pass.Reveal())
	case core.KindOf(err) != core.KindNotFound:
		return err
	}
	now := l.now()
	if _, err := tx.Exec(ctx, insertView, pgx.StrictNamedArgs{
		"id": core.NewID(), "workspace": link.Workspace, "link": link.ID, "recipient": recipient, "version": version, "now": now,
		"address": origin.Address, "agent": origin.UserAgent, "pass": pass,
	}); err != nil {
		return postgres.Classify(err)
	}
	if link.Once {
		if gone := now.Add(link.Linger); gone.Before(link.Due) {
			link.Due = gone
		}
		link.Why = WhyViewed
	}
	if _, err := tx.Exec(ctx, countView, pgx.StrictNamedArgs{"workspace": link.Workspace, "link": link.ID, "now": now, "due": link.Due, "why": link.Why}); err != nil {
		return postgres.Classify(err)
	}
	link.Views++
	shown.Link, shown.SignInURL, shown.Password = link, app.SignInURL, password
	return audit.Append(ctx, tx, core.NewEvent(core.LinkViewed, link.Workspace, byRecipient(origin, recipient, l), now, link.account(), link.Target()).
		With("level", string(link.Level)).With("version", strconv.Itoa(version)).With("recipient", recipient))
}

func (l Link) outsider(origin core.Origin, recipient string) accounts.Outsider {
	return accounts.Outsider{Link: l.ID, Owner: l.Owner, Recipient: recipient, Level: string(l.Level), Origin: origin}
}

// notNow keeps what became of the account, or of whoever sent the link, from strangers.
func notNow(err error) error {
	if core.KindOf(err) == core.KindDenied {
		return core.Denied("this link cannot be opened now; ask whoever sent it").WithCode("not_now").Because(err)
	}
	return err
}

const insertDevice = `
insert into link_devices (workspace_id, link_id, recipient, hash, first)
values (@workspace, @link, @recipient, @hash, @now)
on conflict (workspace_id, link_id, recipient) do nothing`

const selectDevice = `select hash from link_devices where workspace_id = @workspace and link_id = @link and recipient = @recipient`

// known reports whether a recipient may open a locked link on a device: the first one is theirs from then on.
func (l *Links) known(ctx context.Context, tx pgx.Tx, link Link, recipient string, device seal.Secret) (bool, error) {
	if !link.DeviceLock {
		return true, nil
	}
	sum := sha256.Sum256([]byte("device\n" + link.ID.String() + "\n" + device.Reveal()))
	if _, err := tx.Exec(ctx, insertDevice, pgx.StrictNamedArgs{
		"workspace": link.Workspace, "link": link.ID, "recipient": recipient, "hash": sum[:], "now": l.now(),
	}); err != nil {
		return false, postgres.Classify(err)
	}
	var first []byte
	err := tx.QueryRow(ctx, selectDevice, pgx.StrictNamedArgs{"workspace": link.Workspace, "link": link.ID, "recipient": recipient}).Scan(&first)
	return subtle.ConstantTimeCompare(first, sum[:]) == 1, postgres.Classify(err)
}

// refuse records that somebody a link names was not let through.
func (l *Links) refuse(ctx context.Context, origin core.Origin, link Link, recipient, why string) error {
	return l.change(context.WithoutCancel(ctx), func(tx pgx.Tx) error {
		return audit.Append(ctx, tx, l.refused(origin, link, recipient, why))
	})
}

func (l *Links) refused(origin core.Origin, link Link, recipient, why string) core.Event {
	return core.NewEvent(core.LinkRefused, link.Workspace, byRecipient(origin, recipient, l), l.now(), link.account(), link.Target()).
		Failed(why).With("recipient", recipient)
}

// byRecipient is why a recipient's command runs.
func byRecipient(origin core.Origin, recipient string, l *Links) core.Cause {
	cause := core.NewCause(core.Actor{Kind: core.ActorRecipient, Name: recipient}, l.now())
	cause.Origin = origin
	return cause
}
