package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/mailbox"
)

// Mailbox is where apps send messages to an account.
type Mailbox struct {
	Account  core.ID `json:"account"`
	Address  string  `json:"address" doc:"E-mail address; empty: it has none"`
	Phone    string  `json:"phone" doc:"Number in E.164; empty: it has none"`
	Received int     `json:"received" doc:"How many messages came so far"`
}

// Message is one message to an account, without what it says.
type Message struct {
	ID       core.ID    `json:"id"`
	Number   int        `json:"number" doc:"Counts the account's messages from 1"`
	Kind     string     `json:"kind" enum:"email,sms"`
	Sender   string     `json:"sender" doc:"As the message says: anybody may write anything there"`
	Subject  string     `json:"subject" doc:"Every word with a digit in it masked: it may be a code"`
	SPF      string     `json:"spf" doc:"What came of SPF, and for which domain; empty: not checked"`
	DKIM     string     `json:"dkim" doc:"What each signature is worth, and whose it is; empty: not checked"`
	Origin   string     `json:"origin" doc:"The host its code says it is for; empty: it does not say"`
	HasCode  bool       `json:"has_code"`
	HasLink  bool       `json:"has_link"`
	Received time.Time  `json:"received"`
	Spent    *time.Time `json:"spent" nullable:"true" doc:"When Postern itself used its code or its link"`
}

// OpenMessage is a message with what it says.
type OpenMessage struct {
	Message
	Full string `json:"full_subject"`
	Text string `json:"text" doc:"What the message says; of HTML, what it shows"`
	Code string `json:"code" doc:"Empty: none was found"`
	Link string `json:"link" doc:"Empty: none to one of the app's hosts was found"`
}

type newPhone struct {
	ID   core.ID `path:"id" doc:"The account"`
	Body struct {
		Phone string `json:"phone" minLength:"1" maxLength:"40" doc:"With its country, such as +49 30 123456"`
	}
}

type messageList struct {
	ID     core.ID `path:"id" doc:"The account"`
	Limit  int     `query:"limit" default:"100" minimum:"1" maximum:"500"`
	Cursor int     `query:"cursor" minimum:"1" doc:"next of the page before"`
}

type messageFor struct {
	ID      core.ID `path:"id" doc:"The account"`
	Message core.ID `path:"message" doc:"The message"`
	Body    struct {
		User core.ID `json:"user" doc:"Who reads it: somebody the account is shared with"`
	}
}

func messageOf(m mailbox.Message) Message {
	return Message{m.ID, m.Number, string(m.Kind), m.Sender, m.Subject, m.SPF, m.DKIM, m.Origin, m.Code, m.Link, m.Received, m.Spent}
}

func (s *Service) mailbox(api huma.API) {
	tags := []string{"Mailboxes"}
	of := func(account core.ID, box mailbox.Mailbox) *single[Mailbox] {
		return &single[Mailbox]{Mailbox{account, box.Address, box.Phone, box.Received}}
	}
	add(api, huma.Operation{OperationID: "getMailbox", Method: http.MethodGet, Path: "/accounts/{id}/mailbox", Tags: tags, Summary: "Show where an account is sent messages"},
		AccountsRead, func(ctx context.Context, by caller, in *byID) (*single[Mailbox], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			box, err := s.Mailboxes.Mailbox(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return of(in.ID, box), nil
		})
	add(api, huma.Operation{OperationID: "putMailboxAddress", Method: http.MethodPut, Path: "/accounts/{id}/mailbox/address", Tags: tags, Summary: "Give an account an e-mail address",
		Description: "One nobody can guess, at the domain this Postern receives mails for. An account that has one keeps it. Enter it in the app as the account's: its codes then come here, and Postern signs in with them where it has no TOTP secret."},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*single[Mailbox], error) {
			var box mailbox.Mailbox
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				box, err = s.Mailboxes.CreateAddress(ctx, tx, by.cause, by.Workspace, in.ID)
				if err != nil && core.AsError(err).Code == "has_address" {
					box, err = s.Mailboxes.Mailbox(ctx, tx, by.Workspace, in.ID)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			return of(in.ID, box), nil
		})
	add(api, huma.Operation{OperationID: "removeMailboxAddress", Method: http.MethodDelete, Path: "/accounts/{id}/mailbox/address", Tags: tags, Summary: "Have nothing more come to an account's e-mail address",
		Description: "It is never given out again.", DefaultStatus: http.StatusNoContent},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error { return s.Mailboxes.RemoveAddress(ctx, tx, by.cause, by.Workspace, in.ID) })
		})
	add(api, huma.Operation{OperationID: "putMailboxPhone", Method: http.MethodPut, Path: "/accounts/{id}/mailbox/phone", Tags: tags, Summary: "Have the text messages to a number come to an account"},
		AccountsWrite, func(ctx context.Context, by caller, in *newPhone) (*single[Mailbox], error) {
			var box mailbox.Mailbox
			err := s.change(ctx, func(tx pgx.Tx) (err error) {
				box, err = s.Mailboxes.AssignPhone(ctx, tx, by.cause, by.Workspace, in.ID, in.Body.Phone)
				return err
			})
			if err != nil {
				return nil, err
			}
			return of(in.ID, box), nil
		})
	add(api, huma.Operation{OperationID: "removeMailboxPhone", Method: http.MethodDelete, Path: "/accounts/{id}/mailbox/phone", Tags: tags, Summary: "Have no more text messages come to an account", DefaultStatus: http.StatusNoContent},
		AccountsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.change(ctx, func(tx pgx.Tx) error { return s.Mailboxes.RemovePhone(ctx, tx, by.cause, by.Workspace, in.ID) })
		})
	s.messages(api, tags)
}

func (s *Service) messages(api huma.API, tags []string) {
	add(api, huma.Operation{OperationID: "listMessages", Method: http.MethodGet, Path: "/accounts/{id}/messages", Tags: tags, Summary: "List the messages to an account, latest first",
		Description: "Nothing they say is in it but their subjects, masked."},
		AccountsRead, func(ctx context.Context, by caller, in *messageList) (*listed[Message], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Mailboxes.List(ctx, s.DB, by.Workspace, in.ID, in.Cursor, in.Limit)
			if err != nil {
				return nil, err
			}
			answer := listing(found, messageOf)
			if len(found) == in.Limit {
				answer.Body.Next = strconv.Itoa(found[len(found)-1].Number)
			}
			return answer, nil
		})
	add(api, huma.Operation{OperationID: "readMessage", Method: http.MethodPost, Path: "/accounts/{id}/messages/{message}/read", Tags: tags, Summary: "Read a message for somebody the account is shared with",
		Description: "That they read it is an event, and on record like who was given the password."},
		AccountsUse, func(ctx context.Context, by caller, in *messageFor) (*single[OpenMessage], error) {
			if _, err := s.Accounts.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			read, err := s.Mailboxes.Read(ctx, by.cause, by.Workspace, in.Body.User, in.ID, in.Message)
			if err != nil {
				return nil, err
			}
			by.c.Header("Cache-Control", "no-store")
			return &single[OpenMessage]{OpenMessage{messageOf(read.Message), read.Full.Reveal(), read.Text.Reveal(), read.Pin.Reveal(), read.URL.Reveal()}}, nil
		})
}
