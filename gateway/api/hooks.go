package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/seal"
	"postern/webhooks/hooks"
)

// Hook is a sender's way in. Its secrets are not part of it.
type Hook struct {
	ID         core.ID      `json:"id"`
	Connection core.ID      `json:"connection"`
	Kind       string       `json:"kind" enum:"okta,graph,standard,signed"`
	Name       string       `json:"name"`
	URL        string       `json:"url" doc:"What the sender calls"`
	Mapping    *HookMapping `json:"mapping,omitempty"`
	Scheme     *HookScheme  `json:"scheme,omitempty"`
	Access     *HookAccess  `json:"access,omitempty"`

	PreviousEnds   *time.Time `json:"previous_secret_until,omitempty" doc:"Until when the secret before is good"`
	Verified       *time.Time `json:"verified,omitempty" etag:"-" doc:"When the sender last proved that it reaches us: Okta's challenge, Microsoft's validation"`
	LastHeard      *time.Time `json:"last_heard,omitempty" etag:"-"`
	LastType       string     `json:"last_type,omitempty" etag:"-"`
	LastError      string     `json:"last_error,omitempty" etag:"-"`
	LastErrorStage string     `json:"last_error_stage,omitempty" etag:"-"`
	LastErrorAt    *time.Time `json:"last_error_at,omitempty" etag:"-"`
	FilledUntil    *time.Time `json:"filled_until,omitempty" doc:"Until when Okta's System Log was read"`
	Subscription   string     `json:"subscription,omitempty" doc:"Microsoft Graph's id of it"`
	Expires        *time.Time `json:"subscription_expires,omitempty" doc:"Unless it is renewed, which happens by itself"`
	Created        time.Time  `json:"created"`
	Updated        time.Time  `json:"updated"`
}

// NewHook is a hook with the secret the sender needs.
type NewHook struct {
	Hook
	Secret string `json:"secret,omitempty" doc:"Okta: the Authorization header. Told this once; absent where the sender gave it"`
}

// HookMapping is what of a message means what.
type HookMapping struct {
	Type        string            `json:"type,omitempty" maxLength:"200" doc:"JSON pointer, or header:NAME; /type when absent"`
	Kinds       map[string]string `json:"kinds" doc:"What kind of signal each type is; * is every other"`
	Subjects    []HookPointer     `json:"subjects" maxItems:"8" nullable:"false"`
	ID          string            `json:"message_id,omitempty" maxLength:"200" doc:"Of the message: JSON pointer, or header:NAME if that header is signed"`
	Occurred    string            `json:"occurred,omitempty" maxLength:"200"`
	Transaction string            `json:"transaction,omitempty" maxLength:"200"`
	Session     string            `json:"session,omitempty" maxLength:"200"`
}

// HookPointer is where a person stands in a message.
type HookPointer struct {
	Format  string `json:"format" enum:"email,opaque,iss_sub"`
	Pointer string `json:"pointer" maxLength:"200" doc:"JSON pointer (RFC 6901)"`
	Issuer  string `json:"issuer,omitempty" maxLength:"1000" doc:"Of iss_sub; the connection's when absent"`
}

// HookScheme is how messages are signed.
type HookScheme struct {
	Preset string    `json:"preset,omitempty" enum:"workos,polis,github,clerk"`
	HMAC   *HookHMAC `json:"hmac,omitempty"`
	JWT    *HookJWT  `json:"jwt,omitempty"`
}

// HookHMAC is a signature over a text made of the message.
type HookHMAC struct {
	Algorithm   string `json:"algorithm,omitempty" enum:"sha256,sha512,sha1"`
	Header      string `json:"header,omitempty" maxLength:"100"`
	Pattern     string `json:"pattern,omitempty" maxLength:"500" doc:"Regular expression over the header: group s is the signature, t the time"`
	Signed      string `json:"signed,omitempty" maxLength:"500" doc:"Such as {t}.{body}; {header:NAME} is another header"`
	Encoding    string `json:"encoding,omitempty" enum:"hex,base64"`
	KeyEncoding string `json:"key_encoding,omitempty" enum:"raw,base64"`
	TimeHeader  string `json:"time_header,omitempty" maxLength:"100"`
	Tolerance   int    `json:"tolerance,omitempty" minimum:"0" maximum:"3600" doc:"Seconds; 0: there is no time"`
}

// HookJWT is a token that stands for the message.
type HookJWT struct {
	Header   string `json:"header,omitempty" maxLength:"100" doc:"Authorization when absent"`
	JWKS     string `json:"jwks" maxLength:"1000"`
	Issuer   string `json:"issuer" maxLength:"1000"`
	Audience string `json:"audience" maxLength:"1000"`
	BodyHash string `json:"body_hash,omitempty" maxLength:"100" doc:"The claim with the SHA-256 of the body"`
}

// HookAccess is how Postern gets in at the sender's API.
type HookAccess struct {
	Address       string `json:"address,omitempty" maxLength:"1000" doc:"Okta's organisation; with it its System Log is read for what was missed"`
	ClientID      string `json:"client_id,omitempty" maxLength:"255" doc:"Of an OAuth client; without one the secret is Okta's SSWS token"`
	TokenEndpoint string `json:"token_endpoint,omitempty" maxLength:"1000"`
	Tenant        string `json:"tenant,omitempty" maxLength:"255" doc:"Entra's"`
	Scope         string `json:"scope,omitempty" maxLength:"255"`
	Secret        string `json:"secret,omitempty" maxLength:"4096" writeOnly:"true" doc:"It is sealed and never told again"`
}

// recast copies between what the API says and what it means: the same JSON.
func recast[To any](from any) *To {
	text, err := json.Marshal(from)
	if err != nil || string(text) == "null" {
		return nil
	}
	to := new(To)
	if json.Unmarshal(text, to) != nil {
		return nil
	}
	return to
}

func (s *Service) hookOf(one hooks.Hook) Hook {
	out := Hook{
		ID: one.ID, Connection: one.Connection, Kind: string(one.Kind), Name: one.Name, URL: s.Hooks.URL(one), Mapping: recast[HookMapping](one.Settings.Mapping),
		Scheme: recast[HookScheme](one.Settings.Scheme), PreviousEnds: one.PreviousEnds, Verified: one.Verified, LastHeard: one.LastHeard, LastType: one.LastType,
		LastError: one.LastError, LastErrorStage: one.LastErrorStage, LastErrorAt: one.LastErrorAt, FilledUntil: one.Filled, Subscription: one.RemoteID,
		Expires: one.RemoteEnds, Created: one.Created, Updated: one.Updated,
	}
	if one.Settings.Access != (hooks.Access{}) {
		a := one.Settings.Access
		out.Access = &HookAccess{Address: a.Address, ClientID: a.ClientID, TokenEndpoint: a.TokenEndpoint, Tenant: a.Tenant, Scope: a.Scope}
	}
	return out
}

type createHook struct {
	ID   core.ID `path:"id" doc:"The connection"`
	Body struct {
		Kind    string       `json:"kind" enum:"okta,graph,standard,signed"`
		Name    string       `json:"name" minLength:"1" maxLength:"100"`
		Mapping *HookMapping `json:"mapping,omitempty"`
		Scheme  *HookScheme  `json:"scheme,omitempty"`
		Access  *HookAccess  `json:"access,omitempty"`
		Secret  string       `json:"secret,omitempty" maxLength:"4096" writeOnly:"true" doc:"The one the sender gave: whsec_, whpk_, or the key of a signature. One is made when absent"`
	}
}

type changeHook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Name    string       `json:"name,omitempty" maxLength:"100"`
		Mapping *HookMapping `json:"mapping,omitempty"`
		Scheme  *HookScheme  `json:"scheme,omitempty"`
		Access  *HookAccess  `json:"access,omitempty"`
	}
}

type rotateHook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Secret  string `json:"secret,omitempty" maxLength:"4096" writeOnly:"true" doc:"The one the sender gave; one is made when absent"`
		Overlap *int   `json:"overlap_seconds,omitempty" default:"86400" minimum:"0" maximum:"2592000" doc:"How long the one before is good; 0 ends it at once"`
	}
}

type testHook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Message map[string]any `json:"message" doc:"A sample of what the sender sends"`
	}
}

// HookReading is what a sample would mean.
type HookReading struct {
	Type    string `json:"type,omitempty"`
	Kind    string `json:"kind"`
	Subject string `json:"subject,omitempty" doc:"Absent: it names nobody, so nothing follows"`
	SID     string `json:"sid,omitempty"`
	ID      string `json:"message_id,omitempty"`
}

type backFillHook struct {
	ID   core.ID `path:"id" doc:"Its id"`
	Body struct {
		Since *time.Time `json:"since,omitempty" doc:"At most 90 days ago; a day ago when absent"`
	}
}

func accessOf(said *HookAccess) (hooks.Access, seal.Secret) {
	if said == nil {
		return hooks.Access{}, seal.Secret{}
	}
	return hooks.Access{Address: said.Address, ClientID: said.ClientID, TokenEndpoint: said.TokenEndpoint, Tenant: said.Tenant, Scope: said.Scope}, seal.NewSecret(said.Secret)
}

func (s *Service) hooks(api huma.API) {
	tags := []string{"Hooks"}
	one := func(hook hooks.Hook, err error) (*single[Hook], error) {
		if err != nil {
			return nil, err
		}
		return &single[Hook]{s.hookOf(hook)}, nil
	}
	made := func(hook hooks.Made, err error) (*single[NewHook], error) {
		if err != nil {
			return nil, err
		}
		return &single[NewHook]{NewHook{s.hookOf(hook.Hook), hook.Secret.Reveal()}}, nil
	}
	add(api, huma.Operation{OperationID: "listHooks", Method: http.MethodGet, Path: "/hooks", Tags: tags, Summary: "List the hooks senders of events call, oldest first"},
		ConnectionsRead, func(ctx context.Context, by caller, _ *struct{}) (*listed[Hook], error) {
			found, err := s.Hooks.Hooks(ctx, s.DB, by.Workspace)
			if err != nil {
				return nil, err
			}
			return listing(found, s.hookOf), nil
		})
	add(api, huma.Operation{OperationID: "createHook", Method: http.MethodPost, Path: "/connections/{id}/hooks", Tags: tags, Summary: "Make a hook for a sender of events", DefaultStatus: http.StatusCreated},
		ConnectionsWrite, func(ctx context.Context, by caller, in *createHook) (*single[NewHook], error) {
			access, secret := accessOf(in.Body.Access)
			return made(s.Hooks.Create(ctx, by.cause, by.Workspace, hooks.NewHook{
				Connection: in.ID, Kind: hooks.Kind(in.Body.Kind), Name: in.Body.Name, Secret: seal.NewSecret(in.Body.Secret), AccessSecret: secret,
				Settings: hooks.Settings{Mapping: recast[hooks.Mapping](in.Body.Mapping), Scheme: recast[hooks.Scheme](in.Body.Scheme), Access: access},
			}))
		})
	add(api, huma.Operation{OperationID: "getHook", Method: http.MethodGet, Path: "/hooks/{id}", Tags: tags, Summary: "Get a hook and how it goes"},
		ConnectionsRead, func(ctx context.Context, by caller, in *byID) (*single[Hook], error) {
			return one(s.Hooks.Hook(ctx, s.DB, by.Workspace, in.ID))
		})
	add(api, huma.Operation{OperationID: "changeHook", Method: http.MethodPatch, Path: "/hooks/{id}", Tags: tags, Summary: "Change a hook"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *changeHook) (*single[Hook], error) {
			change := hooks.Change{Name: in.Body.Name, Mapping: recast[hooks.Mapping](in.Body.Mapping), Scheme: recast[hooks.Scheme](in.Body.Scheme)}
			if in.Body.Access != nil {
				access, secret := accessOf(in.Body.Access)
				change.Access, change.AccessSecret = &access, secret
			}
			return one(s.Hooks.Update(ctx, by.cause, by.Workspace, in.ID, change))
		})
	add(api, huma.Operation{OperationID: "rotateHookSecret", Method: http.MethodPost, Path: "/hooks/{id}/secret", Tags: tags, Summary: "Give a hook a new secret"},
		ConnectionsWrite, func(ctx context.Context, by caller, in *rotateHook) (*single[NewHook], error) {
			return made(s.Hooks.Rotate(ctx, by.cause, by.Workspace, in.ID, seal.NewSecret(in.Body.Secret), time.Duration(*in.Body.Overlap)*time.Second))
		})
	add(api, huma.Operation{OperationID: "testHook", Method: http.MethodPost, Path: "/hooks/{id}/test", Tags: tags, Summary: "See what a sample message would mean", Description: "Nothing follows from it."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *testHook) (*listed[HookReading], error) {
			sample, err := json.Marshal(in.Body.Message)
			if err != nil {
				return nil, core.Internal(err)
			}
			found, err := s.Hooks.Test(ctx, by.Workspace, in.ID, sample)
			if err != nil {
				return nil, err
			}
			return listing(found, func(r hooks.Reading) HookReading {
				return HookReading{r.Type, string(r.Kind), r.Subject, r.SID, r.ID}
			}), nil
		})
	add(api, huma.Operation{OperationID: "backFillHook", Method: http.MethodPost, Path: "/hooks/{id}/backfill", Tags: tags, Summary: "Ask the sender again what it told", DefaultStatus: http.StatusNoContent,
		Description: "Okta's System Log is read from that time on; of Microsoft Graph, everybody who changed since the last look. What was told before has no effect again."},
		ConnectionsWrite, func(ctx context.Context, by caller, in *backFillHook) (*struct{}, error) {
			since := s.now().AddDate(0, 0, -1)
			if in.Body.Since != nil {
				since = *in.Body.Since
			}
			return nil, s.Hooks.Fill(ctx, by.Workspace, in.ID, since)
		})
	add(api, huma.Operation{OperationID: "deleteHook", Method: http.MethodDelete, Path: "/hooks/{id}", Tags: tags, Summary: "Refuse what a sender sends from now on", DefaultStatus: http.StatusNoContent},
		ConnectionsWrite, func(ctx context.Context, by caller, in *byID) (*struct{}, error) {
			return nil, s.Hooks.Delete(ctx, by.cause, by.Workspace, in.ID)
		})
}
