package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/signing"
)

// SigningKey is a key the workspace signs with. Its private half is never told.
type SigningKey struct {
	ID         core.ID       `json:"id" doc:"kid in what it signs"`
	Stage      signing.Stage `json:"stage" enum:"next,current,previous,retired" doc:"next is published and signs later, previous signed until lately and is still published, retired is published no longer"`
	Algorithm  string        `json:"algorithm"`
	Created    time.Time     `json:"created"`
	SignsFrom  time.Time     `json:"signs_from"`
	Retires    *time.Time    `json:"retires,omitempty" doc:"When it is published no longer; absent while no later key is there"`
	Thumbprint string        `json:"thumbprint" doc:"RFC 7638, SHA-256"`
}

func signingKeyOf(key signing.Key) SigningKey {
	return SigningKey{key.ID, key.Stage, key.Algorithm, key.Created, key.Activates, key.Retires, key.Thumbprint}
}

type rotateSigningKey struct {
	Now bool `query:"now" doc:"The new key, or the one that waits, signs at once. Whoever fetched the keys lately may refuse what it signs until they fetch them again"`
}

func (s *Service) signingKeys(api huma.API) {
	tags := []string{"Signing keys"}
	list := func(ctx context.Context, workspace core.ID) (*listed[SigningKey], error) {
		found, err := s.Signing.List(ctx, workspace)
		if err != nil {
			return nil, err
		}
		return listing(found, signingKeyOf), nil
	}
	add(api, huma.Operation{OperationID: "listSigningKeys", Method: http.MethodGet, Path: "/signing-keys", Tags: tags, Summary: "List the keys the workspace signs with, oldest first",
		Description: "Postern signs client assertions, security events and logout tokens with them. The public halves of those in use are at `/jwks/{workspace}`. There is none before the first use."},
		ConnectionsRead, func(ctx context.Context, by caller, _ *nothing) (*listed[SigningKey], error) {
			return list(ctx, by.Workspace)
		})
	add(api, huma.Operation{OperationID: "rotateSigningKey", Method: http.MethodPost, Path: "/signing-keys", Tags: tags, Summary: "Make the next signing key",
		Description: "It is published at once and signs in a day, when everybody has it; the one before stays published for a week longer. While one waits for its day this is a conflict (`rotation_under_way`), unless it shall sign now. " +
			"Certificates of connections with private_key_jwt are to be uploaded anew before it signs."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *rotateSigningKey) (*listed[SigningKey], error) {
			rotate := s.Signing.Rotate
			if in.Now {
				rotate = s.Signing.RotateNow
			}
			if err := rotate(ctx, by.cause, by.Workspace); err != nil {
				return nil, err
			}
			s.wake()
			return list(ctx, by.Workspace)
		})
}
