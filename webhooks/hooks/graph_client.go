package hooks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/core/signals"
)

// person is a user as Microsoft Graph tells it.
type person struct {
	ID        string          `json:"id"`
	Enabled   *bool           `json:"accountEnabled"`
	Principal string          `json:"userPrincipalName"`
	Sessions  *time.Time      `json:"signInSessionsValidFromDateTime"`
	Removed   json.RawMessage `json:"@removed"`
}

// conversation is one round of work at Microsoft Graph.
type conversation struct {
	*Service
	hook          Hook
	in            *arrival
	base          string
	authorization string
}

// tend renews a hook's subscription, and looks at who changed.
func (s *Service) tend(ctx context.Context, hook Hook) error {
	talk, err := s.talk(ctx, hook)
	if err != nil {
		return err
	}
	if err := talk.subscribe(ctx); err != nil {
		return err
	}
	if talk.hook.Resync {
		if err := talk.resync(ctx); err != nil {
			return err
		}
	}
	return talk.changes(ctx)
}

func (s *Service) talk(ctx context.Context, hook Hook) (*conversation, error) {
	connection, err := s.Directory.Connection(ctx, s.DB, hook.Workspace, hook.Connection)
	if err != nil {
		return nil, err
	}
	access := hook.Settings.Access
	secret, err := s.accessSecret(ctx, hook)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(cmp.Or(access.Address, "https://graph.microsoft.com"), "/")
	authorization, err := s.grant(ctx, cmp.Or(access.TokenEndpoint, "https://login.microsoftonline.com/"+access.Tenant+"/oauth2/v2.0/token"), url.Values{
		"client_id": {access.ClientID}, "client_secret": {strings.TrimSpace(secret.Reveal())}, "scope": {cmp.Or(access.Scope, base+"/.default")},
	})
	if err != nil {
		return nil, err
	}
	return &conversation{s, hook, &arrival{connection: connection, hook: hook, known: true, received: s.now()}, base, authorization}, nil
}

// call makes a request and reads the answer, unless the status is none of a success.
func (t *conversation) call(ctx context.Context, method, address string, body, into any) error {
	got, err := t.ask(ctx, method, address, t.authorization, body)
	if err != nil {
		return err
	}
	if got.status < 200 || got.status > 299 {
		return got.refusal("Microsoft Graph", t.now())
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(got.body, into); err != nil {
		return core.Unavailable(0, "Microsoft Graph's answer is not the JSON that is expected")
	}
	return nil
}

type subscription struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expirationDateTime"`
}

const updateState = `
update hooks set hashes = @hashes, previous_ends = @ends, resync = resync or @resync::boolean where workspace_id = @workspace and id = @id`

const updateRemote = `
update hooks set remote_id = @remote, remote_ends = @ends, verified = coalesce(@verified::timestamptz, verified)
where workspace_id = @workspace and id = @id`

// subscribe makes the subscription, or renews it once a third of its time is left.
func (t *conversation) subscribe(ctx context.Context) error {
	now := t.now()
	keep := func(said subscription, verified *time.Time) error {
		t.hook.RemoteID, t.hook.RemoteEnds = said.ID, &said.Expires
		_, err := t.DB.Exec(ctx, updateRemote, pgx.StrictNamedArgs{
			"workspace": t.hook.Workspace, "id": t.hook.ID, "remote": said.ID, "ends": said.Expires, "verified": verified,
		})
		return postgres.Classify(err)
	}
	if t.hook.RemoteID != "" && t.hook.RemoteEnds != nil {
		if t.hook.RemoteEnds.Sub(now) > Lifetime/3 {
			return nil
		}
		var said subscription
		err := t.call(ctx, http.MethodPatch, t.base+"/v1.0/subscriptions/"+url.PathEscape(t.hook.RemoteID), map[string]any{"expirationDateTime": now.Add(Lifetime).Format(time.RFC3339)}, &said)
		if err == nil {
			said.ID = t.hook.RemoteID
			return keep(said, nil)
		}
		if core.KindOf(err) != core.KindNotFound {
			return err
		}
		t.hook.Resync = true // it had ended: nobody knows what was not told
	}
	state := seal.NewToken("pst_hook")
	hashes := append([][]byte{seal.HashToken(state.Reveal())}, t.hook.Hashes[:min(1, len(t.hook.Hashes))]...)
	if _, err := t.DB.Exec(ctx, updateState, pgx.StrictNamedArgs{
		"workspace": t.hook.Workspace, "id": t.hook.ID, "hashes": hashes, "ends": now.Add(DefaultOverlap), "resync": t.hook.Resync,
	}); err != nil {
		return postgres.Classify(err)
	}
	address := t.URL(t.hook)
	var said subscription
	if err := t.call(ctx, http.MethodPost, t.base+"/v1.0/subscriptions", map[string]any{
		"changeType": "updated,deleted", "resource": "users", "notificationUrl": address, "lifecycleNotificationUrl": address,
		"expirationDateTime": now.Add(Lifetime).Format(time.RFC3339), "clientState": state.Reveal(), "latestSupportedTlsVersion": "v1_2",
	}, &said); err != nil {
		return err
	}
	if said.ID == "" || said.Expires.IsZero() {
		return core.Unavailable(0, "Microsoft Graph made a subscription without an id")
	}
	if err := keep(said, &now); err != nil {
		return err
	}
	if t.hook.DeltaLink != "" {
		return nil
	}
	return t.delta(ctx, t.base+"/v1.0/users/delta?$deltatoken=latest&$select=id,accountEnabled,userPrincipalName", false)
}

// unsubscribe ends a subscription.
func (s *Service) unsubscribe(ctx context.Context, hook Hook) error {
	talk, err := s.talk(ctx, hook)
	if err != nil {
		return err
	}
	err = talk.call(ctx, http.MethodDelete, talk.base+"/v1.0/subscriptions/"+url.PathEscape(hook.RemoteID), nil, nil)
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	return err
}

const updateDelta = `update hooks set delta_link = @link, resync = false where workspace_id = @workspace and id = @id`

// resync reads everybody who changed since the last time; from the beginning if Graph has forgotten it.
func (t *conversation) resync(ctx context.Context) error {
	whole := t.base + "/v1.0/users/delta?$select=id,accountEnabled,userPrincipalName"
	err := t.delta(ctx, cmp.Or(t.hook.DeltaLink, whole), true)
	if err != nil && t.hook.DeltaLink != "" && core.AsError(err).Code == "gone" {
		return t.delta(ctx, whole, true)
	}
	return err
}

// delta follows the pages of a look at users, and keeps where the next one goes on. Somebody is told of once in a look,
// by the link it began with, however often it is broken off and begun again: also from the beginning.
func (t *conversation) delta(ctx context.Context, address string, tell bool) error {
	for {
		if err := sameOrigin(address, t.base); err != nil {
			return err
		}
		var page struct {
			Value []person `json:"value"`
			Next  string   `json:"@odata.nextLink"`
			Delta string   `json:"@odata.deltaLink"`
		}
		if err := t.call(ctx, http.MethodGet, address, nil, &page); err != nil {
			return err
		}
		for _, one := range page.Value {
			left := len(one.Removed) > 0 || one.Enabled != nil && !*one.Enabled
			if !tell || !left || one.ID == "" {
				continue
			}
			if err := t.left(ctx, one, "users/delta", t.hook.DeltaLink+" "+one.ID, time.Time{}); err != nil {
				return err
			}
		}
		if page.Next == "" {
			if page.Delta == "" {
				return core.Unavailable(0, "Microsoft Graph does not say where the next look goes on")
			}
			_, err := t.DB.Exec(ctx, updateDelta, pgx.StrictNamedArgs{"workspace": t.hook.Workspace, "id": t.hook.ID, "link": page.Delta})
			return postgres.Classify(err)
		}
		address = page.Next
	}
}

const selectChanges = `
select person, gone, received from hook_changes where workspace_id = @workspace and hook_id = @id order by received, person limit 500`

const deleteChange = `
delete from hook_changes where workspace_id = @workspace and hook_id = @id and person = @person and received = @received`

// changes looks at people who were said to have changed: Graph says who, not how.
func (t *conversation) changes(ctx context.Context) error {
	rows, err := t.DB.Query(ctx, selectChanges, pgx.StrictNamedArgs{"workspace": t.hook.Workspace, "id": t.hook.ID})
	if err != nil {
		return postgres.Classify(err)
	}
	type change struct {
		Person   string
		Gone     bool
		Received time.Time
	}
	waiting, err := pgx.CollectRows(rows, pgx.RowToStructByName[change])
	if err != nil {
		return postgres.Classify(err)
	}
	for _, one := range waiting {
		found := person{ID: one.Person}
		gone := one.Gone
		if !gone {
			err := t.call(ctx, http.MethodGet, t.base+"/v1.0/users/"+url.PathEscape(one.Person)+"?$select=id,accountEnabled,userPrincipalName,signInSessionsValidFromDateTime", nil, &found)
			if gone = core.KindOf(err) == core.KindNotFound; err != nil && !gone {
				return err
			}
			found.ID = one.Person
		}
		t.in.received = one.Received
		switch {
		case gone || found.Enabled != nil && !*found.Enabled:
			err = t.left(ctx, found, "users", one.Person+" "+one.Received.Format(time.RFC3339Nano), one.Received)
		case found.Sessions != nil && found.Sessions.After(t.hook.Created):
			// "Revoke sessions" and a new password move this time on.
			err = t.say(ctx, found, signals.SessionRevoked, "users", "sessions "+one.Person+" "+found.Sessions.Format(time.RFC3339Nano), *found.Sessions)
		default:
			err = nil
		}
		if err != nil {
			return err
		}
		if _, err := t.DB.Exec(ctx, deleteChange, pgx.StrictNamedArgs{
			"workspace": t.hook.Workspace, "id": t.hook.ID, "person": one.Person, "received": one.Received,
		}); err != nil {
			return postgres.Classify(err)
		}
	}
	return nil
}

// left tells that somebody was disabled or removed.
func (t *conversation) left(ctx context.Context, who person, kind, id string, at time.Time) error {
	return t.say(ctx, who, signals.AccountDisabled, kind, "disabled "+id, at)
}

func (t *conversation) say(ctx context.Context, who person, kind signals.Kind, source, id string, at time.Time) error {
	names := []signals.Subject{signals.OpaqueSubject(who.ID)}
	if t.in.connection.Issuer != "" {
		names = append(names, signals.IssSubSubject(t.in.connection.Issuer, who.ID))
	}
	if who.Principal != "" {
		names = append(names, signals.EmailSubject(core.Cut(who.Principal, 320)))
	}
	digest := sha256.Sum256([]byte(id))
	return t.tell(ctx, t.in, happening{
		id: id, kind: kind, eventType: source, subject: signals.Subject{Format: signals.FormatAliases, Aliases: names}, occurred: at, digest: digest[:],
	})
}
