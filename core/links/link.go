package links

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"golang.org/x/net/publicsuffix"

	"postern/core"
	"postern/core/accounts"
	"postern/core/audit"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

// Level is what a link's page does with the password.
type Level string

// The levels.
const (
	Filled   Level = "filled"   // hands it over to be pasted, without showing it
	Revealed Level = "revealed" // shows it
)

// State is where a link is in its life.
type State string

// The states of a link.
const (
	Active State = "active" // it can be opened
	Viewed State = "viewed" // its one view was had; the password is about to be rotated
	Ended  State = "ended"
)

// Why a link ended, or will.
const (
	WhyExpired   = "expired"
	WhyViewed    = "viewed"
	WhyRevoked   = "revoked"
	WhyOwnerGone = "owner_gone" // whoever made it left, or does not own the account any more
)

// Limits of a link.
const (
	DefaultLife   = 7 * 24 * time.Hour
	MaxLife       = 30 * 24 * time.Hour
	MinLife       = time.Minute
	DefaultLinger = time.Hour
	MaxLinger     = 24 * time.Hour
	MaxRecipients = 20
)

// Path begins the path of every link's address.
const Path = "/l/"

// linkToken begins what is in a link's address.
const linkToken = "pst_link"

// Link is a public share of an account.
type Link struct {
	ID         core.ID       `db:"id"`
	Workspace  core.ID       `db:"workspace_id"`
	Account    core.ID       `db:"account_id"`
	AppName    string        `db:"app_name"`
	Username   string        `db:"username"`
	Owner      core.ID       `db:"owner_id"`
	OwnerName  string        `db:"owner_name"`
	Level      Level         `db:"level"`
	Recipients []string      `db:"recipients"` // e-mail addresses, in lower case
	Domains    []string      `db:"domains"`    // or everybody there
	Once       bool          `db:"once"`
	DeviceLock bool          `db:"device_lock"`
	Purpose    string        `db:"purpose"`
	Linger     time.Duration `db:"linger"` // with Once: how long the password stays good after the view
	Created    time.Time     `db:"created"`
	Expires    time.Time     `db:"expires"`
	Views      int           `db:"views"`
	Viewed     *time.Time    `db:"viewed"` // first
	Due        time.Time     `db:"due"`    // when it ends, or ended
	Why        string        `db:"why"`    // it will end, or ended
	Settled    *time.Time    `db:"ended"`  // when what follows was done
	Rotation   core.ID       `db:"rotation_id"`
}

// State is the link's at a time.
func (l Link) State(at time.Time) State {
	switch {
	case l.Settled != nil || !l.Due.After(at):
		return Ended
	case l.Once && l.Views > 0:
		return Viewed
	}
	return Active
}

// Target is the link as what something happened to.
func (l Link) Target() core.Target {
	return core.Target{Kind: "link", ID: l.ID, Name: strings.Join(append(slices.Clone(l.Recipients), l.Domains...), ", ")}
}

func (l Link) account() core.Target {
	return accounts.Account{ID: l.Account, AppName: l.AppName, Username: l.Username}.Target()
}

// lets reports whether the link names an address.
func (l Link) lets(email string) bool {
	_, domain, _ := strings.Cut(email, "@")
	return slices.Contains(l.Recipients, email) || slices.Contains(l.Domains, domain)
}

// NewLink is what a link is made from.
type NewLink struct {
	Account    core.ID
	Owner      core.ID // in whose name: a user who owns the account
	Recipients []string
	Domains    []string
	Level      Level          // default Filled
	Life       time.Duration  // default DefaultLife
	Once       bool           // one view
	DeviceLock bool           // see the package
	Linger     *time.Duration // with Once; default DefaultLinger
	Purpose    string         // what for, for people to read
	Send       bool           // mail the address of the link to the recipients that are named
}

// shared are domains where everybody may have a mailbox: a link to one of them is a link to everybody.
var shared = []string{
	"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com", "icloud.com", "me.com", "mac.com", "aol.com",
	"gmx.com", "gmx.net", "gmx.de", "web.de", "t-online.de", "proton.me", "protonmail.com", "pm.me", "tutanota.com", "fastmail.com", "zoho.com", "mail.com",
	"mail.ru", "yandex.ru", "yandex.com", "qq.com", "163.com", "126.com", "orange.fr", "laposte.net", "libero.it",
}

// ownDomain is a domain of e-mail addresses as it is kept, if not everybody may have a mailbox there.
func ownDomain(text string) (string, error) {
	address, err := mail.Address("somebody@" + strings.TrimPrefix(strings.TrimSpace(text), "@"))
	if err != nil {
		return "", core.Invalid("domains", "%q is not a domain such as example.com", core.Cut(text, 100))
	}
	_, domain, _ := strings.Cut(address, "@")
	if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil || slices.Contains(shared, domain) {
		return "", core.Invalid("domains", "everybody can have a mailbox at %s; name people by their addresses", domain).WithCode("public_domain")
	}
	return domain, nil
}

// check refuses what cannot be made and gives the rest as it is kept.
func (n NewLink) check() (NewLink, error) {
	if n.Account.IsZero() {
		return NewLink{}, core.Invalid("account", "name the account")
	}
	if n.Owner.IsZero() {
		return NewLink{}, core.Invalid("owner", "name the owner of the account who answers for the link")
	}
	recipients, domains := []string{}, []string{}
	for _, text := range n.Recipients {
		address, err := mail.Address(text)
		if err != nil {
			return NewLink{}, core.Invalid("recipients", "%q is not an e-mail address such as ada@example.com", core.Cut(text, 100))
		}
		recipients = append(recipients, strings.ToLower(address))
	}
	for _, text := range n.Domains {
		domain, err := ownDomain(text)
		if err != nil {
			return NewLink{}, err
		}
		domains = append(domains, domain)
	}
	slices.Sort(recipients)
	slices.Sort(domains)
	n.Recipients, n.Domains = slices.Compact(recipients), slices.Compact(domains)
	if count := len(n.Recipients) + len(n.Domains); count == 0 || count > MaxRecipients {
		return NewLink{}, core.Invalid("recipients", "name 1 to %d recipients or domains", MaxRecipients)
	}
	if n.Level == "" {
		n.Level = Filled
	}
	if n.Level != Filled && n.Level != Revealed {
		return NewLink{}, core.Invalid("level", "a level is filled or revealed")
	}
	if n.Life == 0 {
		n.Life = DefaultLife
	}
	if n.Life < MinLife || n.Life > MaxLife {
		return NewLink{}, core.Invalid("expires", "a link lives between a minute and 30 days")
	}
	if n.Linger == nil {
		n.Linger = new(DefaultLinger)
	}
	if *n.Linger < 0 || *n.Linger > MaxLinger {
		return NewLink{}, core.Invalid("linger", "after its one view the password stays good for a day at most")
	}
	n.Purpose = strings.TrimSpace(n.Purpose)
	if utf8.RuneCountInString(n.Purpose) > accounts.MaxPurpose || !utf8.ValidString(n.Purpose) || strings.ContainsFunc(n.Purpose, unicode.IsControl) {
		return NewLink{}, core.Invalid("purpose", "a purpose is one line of at most %d characters", accounts.MaxPurpose)
	}
	if n.Send && len(n.Recipients) == 0 {
		return NewLink{}, core.Invalid("send", "there is no recipient to send it to: only a domain is named")
	}
	return n, nil
}

const insertLink = `
insert into links (id, workspace_id, account_id, owner_id, hash, level, recipients, domains, once, device_lock, purpose, linger, created, expires, due, look)
values (@id, @workspace, @account, @owner, @hash, @level, @recipients, @domains, @once, @device_lock, @purpose, @linger, @now, @expires, @expires, @expires)`

// Create makes a link in the name of an owner of the account, who asks for it themselves or by whom Postern trusts, and
// returns its address, the only time it can be seen. Who may not see the password may not: Denied, with the code of
// the rule.
func (l *Links) Create(ctx context.Context, cause core.Cause, workspace core.ID, wanted NewLink) (Link, seal.Secret, error) {
	wanted, err := wanted.check()
	if err != nil {
		return Link{}, seal.Secret{}, err
	}
	if err := l.Mail.Ready(); err != nil { // no code would ever reach anybody
		return Link{}, seal.Secret{}, err
	}
	now, token := l.now(), seal.NewToken(linkToken)
	address := seal.NewSecret(strings.TrimSuffix(l.PublicURL, "/") + Path + token.Reveal())
	id := core.NewID()
	var made Link
	err = l.change(ctx, func(tx pgx.Tx) error {
		if err := l.Accounts.MayLink(ctx, tx, cause, workspace, wanted.Owner, wanted.Account); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertLink, pgx.StrictNamedArgs{
			"id": id, "workspace": workspace, "account": wanted.Account, "owner": wanted.Owner, "hash": seal.HashToken(token.Reveal()),
			"level": string(wanted.Level), "recipients": wanted.Recipients, "domains": wanted.Domains, "once": wanted.Once,
			"device_lock": wanted.DeviceLock, "purpose": wanted.Purpose, "linger": *wanted.Linger, "now": now, "expires": now.Add(wanted.Life),
		}); err != nil {
			return postgres.Classify(err)
		}
		if made, err = l.Link(ctx, tx, workspace, id); err != nil {
			return err
		}
		if wanted.Send {
			if err := l.sendLink(ctx, tx, made, address); err != nil {
				return err
			}
		}
		event := core.NewEvent(core.LinkCreated, workspace, cause, now, made.Target(), made.account(), core.Target{Kind: "user", ID: made.Owner, Name: made.OwnerName}).
			With("level", string(made.Level)).With("expires", made.Expires.UTC().Format(time.RFC3339)).With("recipients", made.Target().Name)
		for name, on := range map[string]bool{"once": made.Once, "device_lock": made.DeviceLock} {
			if on {
				event = event.With(name, "true")
			}
		}
		if made.Purpose != "" {
			event = event.With("purpose", made.Purpose)
		}
		return audit.Append(ctx, tx, event)
	})
	if err != nil {
		return Link{}, seal.Secret{}, err
	}
	return made, address, nil
}
