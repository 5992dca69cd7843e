package links

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/mail"
	"postern/core/postgres"
	"postern/core/seal"
)

const selectWorkspaceName = `select name from workspaces where id = @workspace`

func (l *Links) workspaceName(ctx context.Context, q postgres.Querier, workspace core.ID) (string, error) {
	var name string
	err := q.QueryRow(ctx, selectWorkspaceName, pgx.StrictNamedArgs{"workspace": workspace}).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", core.NotFound("workspace")
	}
	return name, postgres.Classify(err)
}

// subject is a name as it may stand in a subject: one short line.
func subject(name string) string {
	return core.Cut(line(name), 80)
}

// line is what somebody wrote as one line that looks like no other part of a mail.
func line(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text))
}

func codeForLink(workspace string) func(code string) string {
	return func(code string) string {
		return line(workspace) + " shares a sign-in with you by a link. To open it, type this code into the page where you asked for it:\n\n    " + code +
			"\n\nIt is good for ten minutes, once, and in that browser only. If you did not ask for it, somebody else has the link: " +
			"do nothing, and tell whoever sent it to you. Nobody from " + line(workspace) + " will ever ask you for this code.\n"
	}
}

func codeForGuest(workspace string) func(code string) string {
	return func(code string) string {
		return "To sign in to " + line(workspace) + " as a guest, type this code into the page where you asked for it:\n\n    " + code +
			"\n\nIt is good for ten minutes, once, and in that browser only. If you did not ask for it, do nothing. " +
			"Nobody from " + line(workspace) + " will ever ask you for this code.\n"
	}
}

// sendLink mails the address of a link to each recipient it names.
func (l *Links) sendLink(ctx context.Context, tx pgx.Tx, link Link, address seal.Secret) error {
	workspace, err := l.workspaceName(ctx, tx, link.Workspace)
	if err != nil {
		return err
	}
	text := line(link.OwnerName) + " of " + line(workspace) + " shares a sign-in with you.\n\n"
	if link.Purpose != "" {
		text += "For: " + line(link.Purpose) + "\n\n"
	}
	text += "Open it here; a code will be mailed to this address:\n\n    " + address.Reveal() + "\n\n"
	if link.Once {
		text += "It can be opened once"
	} else {
		text += "It can be opened"
	}
	text += " until " + link.Expires.UTC().Format("Monday 2 January 2006 15:04") + " UTC. Every view is on record. " +
		"The password is changed afterwards.\n"
	for _, recipient := range link.Recipients {
		if _, err := l.Mail.Queue(ctx, tx, link.Workspace, mail.Message{
			To: recipient, Subject: subject(link.OwnerName) + " shares a sign-in with you", Text: seal.NewSecret(text), Until: link.Expires,
		}); err != nil {
			return err
		}
	}
	return nil
}

// sendInvitation mails a guest where to sign in.
func (l *Links) sendInvitation(ctx context.Context, tx pgx.Tx, cause core.Cause, guest Guest) error {
	var workspace, slug string
	if err := tx.QueryRow(ctx, selectWorkspaceNames, pgx.StrictNamedArgs{"workspace": guest.Workspace}).Scan(&workspace, &slug); err != nil {
		return postgres.Classify(err)
	}
	who := "Somebody"
	if cause.Actor.Kind == core.ActorUser {
		who = line(cause.Actor.Name)
	}
	text := who + " invites you to " + line(workspace) + " as a guest, to use accounts that are shared with you.\n\n" +
		"Sign in here with this e-mail address; a code will be mailed to you each time:\n\n    " +
		strings.TrimSuffix(l.PublicURL, "/") + GuestPath + slug + "\n\n" +
		"The invitation is good until " + guest.Expires.UTC().Format("Monday 2 January 2006 15:04") + " UTC. If you did not expect it, do nothing.\n"
	_, err := l.Mail.Queue(ctx, tx, guest.Workspace, mail.Message{
		To: guest.Email, Subject: "You are invited to " + subject(workspace), Text: seal.NewSecret(text), Until: guest.Expires,
	})
	return err
}

const selectWorkspaceNames = `select name, slug from workspaces where id = @workspace`
