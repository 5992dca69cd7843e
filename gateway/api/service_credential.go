package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/seal"
	"postern/core/services"
)

// ServiceVersion is one value of a credential, without the value.
type ServiceVersion struct {
	Version   int        `json:"version"`
	Slot      int        `json:"slot" minimum:"1" maximum:"2"`
	Created   time.Time  `json:"created"`
	Expires   *time.Time `json:"expires,omitempty"`
	FirstUsed *time.Time `json:"first_used,omitempty"`
	LastUsed  *time.Time `json:"last_used,omitempty" doc:"Written once a minute at most"`
	Revoked   *time.Time `json:"revoked,omitempty"`
	KnownBy   *KnownBy   `json:"known_by,omitempty" doc:"Who was shown the value, or typed it in; absent: nobody, or it was before that was written down"`
	Ending    *time.Time `json:"ending,omitempty" doc:"Since when the app is to end it; revoked is when it was seen to let nobody in"`
}

// KnownBy is a person who knows a secret.
type KnownBy struct {
	User  core.ID   `json:"user"`
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

// ServiceCredential is something a service account gets in with.
type ServiceCredential struct {
	ID             core.ID          `json:"id"`
	ServiceAccount core.ID          `json:"service_account"`
	Name           string           `json:"name"`
	Kind           string           `json:"kind" enum:"password,key,token"`
	Held           string           `json:"held" enum:"postern,vault,account,app" doc:"A token for this API; a value of another system in a vault; the password of an account; a token of an account, which Postern has its app make and end"`
	Account        core.ID          `json:"account,omitzero" doc:"The account that holds it, or whose token it is"`
	Consumers      []string         `json:"consumers" nullable:"false" doc:"What it is used by; each says its name when it asks for the value"`
	OverlapSeconds int64            `json:"overlap_seconds" doc:"How long the old value is to be unused before it is revoked"`
	EveryDays      int              `json:"every_days" doc:"From one rotation to the next; 0: none by schedule"`
	Next           *time.Time       `json:"next,omitempty" doc:"When the schedule asks for a rotation"`
	Created        time.Time        `json:"created"`
	Versions       []ServiceVersion `json:"versions" nullable:"false" doc:"Newest first"`
	Detail         string           `json:"detail,omitempty" doc:"Why the app has not done yet what it was asked for"`
	Retry          *time.Time       `json:"retry,omitempty" doc:"When it is asked again"`
}

// MadeServiceCredential is a credential, and what Postern made of it: the only time it can be seen.
type MadeServiceCredential struct {
	ServiceCredential
	Secret string `json:"secret,omitempty" doc:"The token or password Postern made, shown this once"`
}

func (s *Service) serviceCredentialOf(ctx context.Context, by caller, one services.Credential) (ServiceCredential, error) {
	shown := ServiceCredential{
		ID: one.ID, ServiceAccount: one.Account, Name: one.Name, Kind: string(one.Kind), Held: string(one.Held), Account: one.Login,
		Consumers: append([]string{}, one.Consumers...), OverlapSeconds: int64(one.Overlap / time.Second), EveryDays: one.Every, Next: one.Next, Created: one.Created,
		Versions: []ServiceVersion{}, Detail: one.Detail, Retry: one.Retry,
	}
	versions, err := s.Services.Versions(ctx, s.DB, by.Workspace, one.ID)
	for _, v := range versions {
		one := ServiceVersion{v.Version, v.Slot, v.Created, v.Expires, v.FirstUsed, v.LastUsed, v.Revoked, nil, v.Ending}
		if v.Known != nil {
			one.KnownBy = &KnownBy{v.Knower, v.KnowerName, *v.Known}
		}
		shown.Versions = append(shown.Versions, one)
	}
	return shown, err
}

// ServiceRotation is the replacement of a credential's value.
type ServiceRotation struct {
	ID         core.ID       `json:"id"`
	Credential core.ID       `json:"credential"`
	Reason     string        `json:"reason" enum:"manual,schedule,app"`
	State      string        `json:"state" enum:"planned,created,distributed,verified,done,rolled_back"`
	Old        int           `json:"old" doc:"Version that is replaced"`
	New        int           `json:"new,omitempty" doc:"By this one; absent while it is planned"`
	Created    time.Time     `json:"created"`
	Updated    time.Time     `json:"updated"`
	Finished   *time.Time    `json:"finished,omitempty"`
	Steps      []ServiceStep `json:"steps,omitempty" doc:"How it came to where it is, oldest first"`
}

// ServiceStep is one entry of a rotation's history.
type ServiceStep struct {
	State  string    `json:"state"`
	Actor  string    `json:"actor"`
	Detail string    `json:"detail,omitempty"`
	At     time.Time `json:"at"`
}

// MadeServiceRotation is a rotation that was begun, and what Postern made: the only time it can be seen.
type MadeServiceRotation struct {
	ServiceRotation
	Secret string `json:"secret,omitempty" doc:"The token or password Postern made, shown this once"`
}

func serviceRotationOf(one services.Rotation) ServiceRotation {
	return ServiceRotation{
		ID: one.ID, Credential: one.Credential, Reason: string(one.Reason), State: string(one.State), Old: one.Old, New: one.New,
		Created: one.Created, Updated: one.Updated, Finished: one.Finished,
	}
}

func (s *Service) withSteps(ctx context.Context, by caller, one services.Rotation, err error) (*single[ServiceRotation], error) {
	if err != nil {
		return nil, err
	}
	shown := serviceRotationOf(one)
	steps, err := s.Services.StepsOf(ctx, s.DB, by.Workspace, one.ID)
	for _, step := range steps {
		shown.Steps = append(shown.Steps, ServiceStep{string(step.State), step.Actor.Name, step.Detail, step.At})
	}
	return &single[ServiceRotation]{shown}, err
}

// OwnCredential is a credential of the service account that asks.
type OwnCredential struct {
	ID        core.ID  `json:"id"`
	Name      string   `json:"name"`
	Kind      string   `json:"kind" enum:"password,key,token"`
	Held      string   `json:"held" enum:"postern,vault,account,app"`
	Consumers []string `json:"consumers" nullable:"false"`
}

// CredentialValue is the value of a credential of the service account that asks.
type CredentialValue struct {
	ID       core.ID    `json:"id"`
	Kind     string     `json:"kind" enum:"password,key,token"`
	Username string     `json:"username,omitempty" doc:"Of the account that holds it, or whose token it is"`
	Version  int        `json:"version"`
	Expires  *time.Time `json:"expires,omitempty"`
	Value    string     `json:"value"`
}

type newServiceCredential struct {
	ID   core.ID `path:"id" doc:"The service account"`
	Body struct {
		Name           string     `json:"name" minLength:"1" maxLength:"100"`
		Kind           string     `json:"kind" enum:"password,key,token"`
		Held           string     `json:"held" enum:"postern,vault,account,app" doc:"A token for this API; a value of another system in a vault; the password of an account; a token of an account, which Postern has its app make and end"`
		Account        core.ID    `json:"account,omitzero" doc:"The account that holds it, or whose token it is"`
		Value          string     `json:"value,omitempty" maxLength:"65536" writeOnly:"true" doc:"What the other system knows. A password may be left for Postern to make"`
		Expires        *time.Time `json:"expires,omitempty"`
		Consumers      []string   `json:"consumers,omitempty" maxItems:"50" doc:"What it is used by"`
		OverlapSeconds int64      `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"A day when absent"`
		EveryDays      int        `json:"every_days,omitempty" minimum:"0" maximum:"366" doc:"From one rotation to the next, by schedule"`
	}
}

type newServiceRotation struct {
	ID   core.ID `path:"id" doc:"The credential"`
	Body struct {
		Value   string     `json:"value,omitempty" maxLength:"65536" writeOnly:"true" doc:"What the other system gave out. A password may be left for Postern to make"`
		Expires *time.Time `json:"expires,omitempty" doc:"When the new value ends"`
	}
}

type endedCredential struct {
	ID      core.ID `path:"id" doc:"The credential"`
	Abandon bool    `query:"abandon" doc:"Without having its app end what it made: the app is gone, or does not do it. Only administrators"`
}

type serviceStep struct {
	ID   core.ID `path:"id" doc:"The rotation"`
	Body struct {
		To     string `json:"to" enum:"distributed,verified,done,rolled_back"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, where it was not seen in use, or the old value still is"`
	}
}

type credentialRead struct {
	ID   core.ID `path:"id" doc:"The credential"`
	Body struct {
		Consumer string `json:"consumer,omitempty" maxLength:"100" doc:"Which of the credential's consumers asks"`
	}
}

func secretOf(text string) seal.Secret {
	if text == "" {
		return seal.Secret{}
	}
	return seal.NewSecret(text)
}

// revealed is a secret to be shown once; "" for none.
func revealed(secret seal.Secret) string {
	if secret.IsZero() {
		return ""
	}
	return secret.Reveal()
}

func (s *Service) serviceCredentials(api huma.API) {
	tags := []string{"Service accounts"}
	add(api, huma.Operation{OperationID: "listServiceCredentials", Method: http.MethodGet, Path: "/service-accounts/{id}/credentials", Tags: tags, Summary: "List what a service account gets in with"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *byID) (*listed[ServiceCredential], error) {
			if _, err := s.Services.Account(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Services.Credentials(ctx, s.DB, by.Workspace, in.ID)
			shown := make([]ServiceCredential, len(found))
			for i := 0; i < len(found) && err == nil; i++ {
				shown[i], err = s.serviceCredentialOf(ctx, by, found[i])
			}
			if err != nil {
				return nil, err
			}
			return listing(shown, func(one ServiceCredential) ServiceCredential { return one }), nil
		})
	add(api, huma.Operation{OperationID: "addServiceCredential", Method: http.MethodPost, Path: "/service-accounts/{id}/credentials", Tags: tags, Summary: "Give a service account something to get in with",
		Description: "What Postern made is in the answer, this once; what an app makes is there as soon as the app has made it. An account's password may be handed over by whoever has grants:write, too.", DefaultStatus: http.StatusCreated},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *newServiceCredential) (*single[MadeServiceCredential], error) {
			made, secret, err := s.Services.AddCredential(ctx, by.cause, by.Workspace, in.ID, services.NewCredential{
				Name: in.Body.Name, Kind: services.Kind(in.Body.Kind), Held: services.Held(in.Body.Held), Login: in.Body.Account, Value: secretOf(in.Body.Value),
				Expires: in.Body.Expires, Consumers: in.Body.Consumers, Overlap: time.Duration(in.Body.OverlapSeconds) * time.Second, Every: in.Body.EveryDays,
			})
			if err != nil {
				return nil, err
			}
			shown, err := s.serviceCredentialOf(ctx, by, made)
			return &single[MadeServiceCredential]{MadeServiceCredential{shown, revealed(secret)}}, err
		})
	add(api, huma.Operation{OperationID: "removeServiceCredential", Method: http.MethodDelete, Path: "/service-credentials/{id}", Tags: tags, Summary: "End a credential and all its values",
		Description: "What an app made is ended there, and the credential goes then; what else opens another system is for its owners to end there.", DefaultStatus: http.StatusNoContent},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *endedCredential) (*struct{}, error) {
			return nil, s.Services.RemoveCredential(ctx, by.cause, by.Workspace, in.ID, in.Abandon)
		})
	add(api, huma.Operation{OperationID: "listServiceRotations", Method: http.MethodGet, Path: "/service-credentials/{id}/rotations", Tags: tags, Summary: "List the latest rotations of a credential, newest first"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *byID) (*listed[ServiceRotation], error) {
			if _, err := s.Services.Credential(ctx, s.DB, by.Workspace, in.ID); err != nil {
				return nil, err
			}
			found, err := s.Services.RotationsOf(ctx, s.DB, by.Workspace, in.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, serviceRotationOf), nil
		})
	add(api, huma.Operation{OperationID: "rotateServiceCredential", Method: http.MethodPost, Path: "/service-credentials/{id}/rotations", Tags: tags, Summary: "Make the new value of a credential, in its free slot",
		Description: "The old one stays as good as it was. What Postern made is in the answer, this once; what an app makes is asked for, tried and given out by itself.", DefaultStatus: http.StatusCreated},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *newServiceRotation) (*single[MadeServiceRotation], error) {
			begun, secret, err := s.Services.Rotate(ctx, by.cause, by.Workspace, in.ID, services.Wish{Value: secretOf(in.Body.Value), Expires: in.Body.Expires})
			if err != nil {
				return nil, err
			}
			return &single[MadeServiceRotation]{MadeServiceRotation{serviceRotationOf(begun), revealed(secret)}}, nil
		})
	add(api, huma.Operation{OperationID: "getServiceRotation", Method: http.MethodGet, Path: "/service-rotations/{id}", Tags: tags, Summary: "Get the rotation of a credential with its steps"},
		ServiceAccountsRead, func(ctx context.Context, by caller, in *byID) (*single[ServiceRotation], error) {
			found, err := s.Services.Rotation(ctx, s.DB, by.Workspace, in.ID)
			return s.withSteps(ctx, by, found, err)
		})
	add(api, huma.Operation{OperationID: "advanceServiceRotation", Method: http.MethodPost, Path: "/service-rotations/{id}/steps", Tags: tags, Summary: "Go on with the rotation of a credential, or roll it back",
		Description: "Verified takes that the new value was seen in use by all its consumers, or a reason (not_seen). Done revokes the old value; it takes that it is used no more, or a reason (old_in_use)."},
		ServiceAccountsWrite, func(ctx context.Context, by caller, in *serviceStep) (*single[ServiceRotation], error) {
			after, err := s.Services.Advance(ctx, by.cause, by.Workspace, in.ID, services.State(in.Body.To), in.Body.Reason)
			return s.withSteps(ctx, by, after, err)
		})
	add(api, huma.Operation{OperationID: "listOwnCredentials", Method: http.MethodGet, Path: "/credentials", Tags: tags, Summary: "List the credentials of the service account that asks"},
		CredentialsUse, func(ctx context.Context, by caller, _ *struct{}) (*listed[OwnCredential], error) {
			found, err := s.Services.Credentials(ctx, s.DB, by.Workspace, by.ID)
			if err != nil {
				return nil, err
			}
			return listing(found, func(one services.Credential) OwnCredential {
				return OwnCredential{one.ID, one.Name, string(one.Kind), string(one.Held), append([]string{}, one.Consumers...)}
			}), nil
		})
	add(api, huma.Operation{OperationID: "readCredential", Method: http.MethodPost, Path: "/credentials/{id}/value", Tags: tags, Summary: "Get the value of a credential of the service account that asks",
		Description: "That it was read is an event, and counts as that the value is in use. Ask each time the value is needed: after a rotation it is another one."},
		CredentialsUse, func(ctx context.Context, by caller, in *credentialRead) (*single[CredentialValue], error) {
			value, err := s.Services.Read(ctx, by.cause, by.Workspace, in.ID, in.Body.Consumer)
			if err != nil {
				return nil, err
			}
			by.c.Header("Cache-Control", "no-store")
			return &single[CredentialValue]{CredentialValue{in.ID, string(value.Credential.Kind), value.Username, value.Version, value.Expires, value.Secret.Reveal()}}, nil
		})
}
