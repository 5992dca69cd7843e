package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/certificates"
)

// RevocationCertificate is what became of the passwords somebody knew who left, in short.
type RevocationCertificate struct {
	ID          core.ID    `json:"id"`
	User        core.ID    `json:"user"`
	UserName    string     `json:"user_name"`
	Reason      string     `json:"reason" enum:"deprovision,logout,revocation"`
	Departed    time.Time  `json:"departed"`
	Deadline    time.Time  `json:"deadline" doc:"It is signed then, though something is open"`
	State       string     `json:"state" enum:"pending,complete,incomplete" doc:"As it was signed last; pending while it is not"`
	Passwords   int        `json:"passwords" doc:"That they knew or could have looked at"`
	Number      int        `json:"number" doc:"Of the latest issue; 0 while none is signed"`
	Reactivated *time.Time `json:"reactivated,omitempty" doc:"They are back since then; nothing of this came back by that"`
}

func revocationOf(one certificates.Summary) RevocationCertificate {
	return RevocationCertificate{
		one.ID, one.Person.ID, one.Person.UserName, string(one.Reason), one.Departed, one.Deadline, string(one.State), one.Passwords, one.Issued, one.Reactivated,
	}
}

// RevocationIssue is one time a certificate was signed.
type RevocationIssue struct {
	Number int       `json:"number"`
	Issued time.Time `json:"issued"`
	State  string    `json:"state" enum:"pending,complete,incomplete"`
	Digest string    `json:"digest" doc:"SHA-256 of what was signed, hexadecimal: the next issue names it"`
}

// RevocationCertificateNow is a certificate as things stand, with everything that was signed of it.
type RevocationCertificateNow struct {
	RevocationCertificate
	Now    json.RawMessage   `json:"now" doc:"What is true now, in the form that is signed; number is 0 while no issue says the same"`
	Issues []RevocationIssue `json:"issues" nullable:"false" doc:"Oldest first"`
}

// RevocationDocument is a signed certificate as a file.
type RevocationDocument struct {
	Certificate json.RawMessage `json:"certificate" doc:"Every password, when it died, or why it is open"`
	Signature   string          `json:"signature" doc:"JWS with detached payload (RFC 7515 appendix F) over the canonical form (RFC 8785) of certificate"`
	Keys        json.RawMessage `json:"keys" doc:"The key it was signed with, as a JWK set; the workspace's keys are at /jwks/{workspace}/all"`
}

// CertificateSettings are what holds for the workspace's certificates.
type CertificateSettings struct {
	DeadlineSeconds int `json:"deadline_seconds" minimum:"60" maximum:"7776000" doc:"After that a certificate is signed though something is open"`
}

type certificateList struct {
	User   core.ID `query:"user"`
	State  string  `query:"state" enum:"pending,complete,incomplete"`
	Limit  int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type certificatesOfUser struct {
	ID     core.ID `path:"id" doc:"The user"`
	Limit  int     `query:"limit" default:"50" minimum:"1" maximum:"500"`
	Cursor core.ID `query:"cursor" doc:"next of the page before"`
}

type certificateIssue struct {
	ID     core.ID `path:"id" doc:"The certificate"`
	Number int     `query:"number" minimum:"0" maximum:"1000000" doc:"Of the issue; the latest if absent"`
}

func (s *Service) certificates(api huma.API) {
	tags := []string{"Certificates"}
	list := func(ctx context.Context, workspace core.ID, query certificates.Query) (*listed[RevocationCertificate], error) {
		found, err := s.Certificates.List(ctx, s.DB, workspace, query)
		if err != nil {
			return nil, err
		}
		answer := listing(found, revocationOf)
		if len(found) == query.Limit {
			answer.Body.Next = found[len(found)-1].ID.String()
		}
		return answer, nil
	}
	add(api, huma.Operation{OperationID: "listCertificates", Method: http.MethodGet, Path: "/certificates", Tags: tags, Summary: "List revocation certificates, latest first",
		Description: "There is one of everybody from whom everything was taken, and of every logout everywhere of somebody who knew a password."},
		DirectoryRead, func(ctx context.Context, by caller, in *certificateList) (*listed[RevocationCertificate], error) {
			return list(ctx, by.Workspace, certificates.Query{User: in.User, State: certificates.State(in.State), After: in.Cursor, Limit: in.Limit})
		})
	add(api, huma.Operation{OperationID: "listUserCertificates", Method: http.MethodGet, Path: "/users/{id}/certificates", Tags: tags, Summary: "List a user's revocation certificates, latest first"},
		DirectoryRead, func(ctx context.Context, by caller, in *certificatesOfUser) (*listed[RevocationCertificate], error) {
			if err := s.known(ctx, by, in.ID); err != nil {
				return nil, err
			}
			return list(ctx, by.Workspace, certificates.Query{User: in.ID, After: in.Cursor, Limit: in.Limit})
		})
	add(api, huma.Operation{OperationID: "getCertificate", Method: http.MethodGet, Path: "/certificates/{id}", Tags: tags, Summary: "Get what is true now, and what was signed"},
		DirectoryRead, func(ctx context.Context, by caller, in *byID) (*single[RevocationCertificateNow], error) {
			view, err := s.Certificates.View(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			now, err := json.Marshal(view.Now)
			if err != nil {
				return nil, core.Internal(err)
			}
			out := RevocationCertificateNow{RevocationCertificate: revocationOf(view.Summary), Now: now, Issues: []RevocationIssue{}}
			for _, one := range view.Issues {
				out.Issues = append(out.Issues, RevocationIssue{one.Number, one.Issued.UTC(), string(one.State), hex.EncodeToString(one.Digest)})
			}
			return &single[RevocationCertificateNow]{out}, nil
		})
	add(api, huma.Operation{OperationID: "getCertificateDocument", Method: http.MethodGet, Path: "/certificates/{id}/document", Tags: tags, Summary: "Get a signed certificate as a file",
		Description: "Save it as it is; `postern certificate verify` verifies it, offline. Not found while nothing is signed."},
		DirectoryRead, func(ctx context.Context, by caller, in *certificateIssue) (*single[RevocationDocument], error) {
			issue, err := s.Certificates.Issue(ctx, s.DB, by.Workspace, in.ID, in.Number)
			if err != nil {
				return nil, err
			}
			document, err := issue.Document()
			if err != nil {
				return nil, err
			}
			keys, err := json.Marshal(document.Keys)
			if err != nil {
				return nil, core.Internal(err)
			}
			return &single[RevocationDocument]{RevocationDocument{document.Certificate, document.Signature, keys}}, nil
		})
	add(api, huma.Operation{OperationID: "getCertificateSettings", Method: http.MethodGet, Path: "/certificate-settings", Tags: tags, Summary: "Get what holds for all certificates"},
		DirectoryRead, func(ctx context.Context, by caller, _ *struct{}) (*single[CertificateSettings], error) {
			deadline, err := s.Certificates.Deadline(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return &single[CertificateSettings]{CertificateSettings{int(deadline / time.Second)}}, nil
		})
	add(api, huma.Operation{OperationID: "putCertificateSettings", Method: http.MethodPut, Path: "/certificate-settings", Tags: tags, Summary: "Change what holds for certificates from now on"},
		DirectoryWrite, func(ctx context.Context, by caller, in *struct{ Body CertificateSettings }) (*single[CertificateSettings], error) {
			err := s.change(ctx, func(tx pgx.Tx) error {
				return s.Certificates.SetDeadline(ctx, tx, by.cause, by.Workspace, time.Duration(in.Body.DeadlineSeconds)*time.Second)
			})
			if err != nil {
				return nil, err
			}
			return &single[CertificateSettings]{in.Body}, nil
		})
}

// known is nil for a user of the workspace, deleted or not: who left has certificates.
func (s *Service) known(ctx context.Context, by caller, user core.ID) error {
	named, err := s.Directory.Targets(ctx, s.DB, by.Workspace, []core.ID{user})
	if err == nil && len(named) == 0 {
		err = core.NotFound("user")
	}
	return err
}
