package hooks

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
)

// notification is one of Microsoft Graph's: that somebody changed, or something about the subscription.
type notification struct {
	Subscription string `json:"subscriptionId"`
	ClientState  string `json:"clientState"`
	ChangeType   string `json:"changeType"`
	Resource     string `json:"resource"`
	Tenant       string `json:"tenantId"`
	Lifecycle    string `json:"lifecycleEvent"`
	Data         struct {
		ID string `json:"id"`
	} `json:"resourceData"`
}

// graph takes change notifications: a client state is all that proves them. Who changed is noted, and looked at
// by the worker: Microsoft waits three seconds.
func (s *Service) graph(c *gin.Context, in *arrival) error {
	ctx := c.Request.Context()
	all, err := s.hooksOf(ctx, in.connection.Workspace, in.connection.ID, Graph)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return stranger()
	}
	if token, ok := c.GetQuery("validationToken"); ok {
		return validate(c, token)
	}
	if err := in.read(c); err != nil {
		return err
	}
	var said struct {
		Value []notification `json:"value"`
	}
	if err := decode(in.body, &said); err != nil {
		return stranger().Because(err)
	}
	if len(said.Value) == 0 || len(said.Value) > 1000 {
		return stranger()
	}
	for _, one := range said.Value {
		var of Hook
		for _, hook := range all {
			if hook.hashed(one.ClientState, in.received) {
				of = hook
			}
		}
		if of.ID.IsZero() || !in.hook.ID.IsZero() && of.ID != in.hook.ID {
			in.known = false
			return stranger()
		}
		in.hook, in.known = of, true
		if tenant := of.Settings.Access.Tenant; one.Tenant != "" && isGUID(tenant) && !strings.EqualFold(tenant, one.Tenant) {
			return core.Unauthenticated("the notification is of another tenant").WithCode("tenant")
		}
	}
	if err := s.note(c, in, said.Value); err != nil {
		return err
	}
	s.heard(ctx, in.hook, "users")
	c.Status(http.StatusAccepted)
	c.Writer.WriteHeaderNow()
	return nil
}

// validate echoes the token of a new subscription (change-notifications-delivery-webhooks, "Validation"). What a
// browser could take for anything but text is not echoed.
func validate(c *gin.Context, token string) error {
	if token == "" || len(token) > 1024 || strings.ContainsAny(token, "<>\"'&\x00\r\n") {
		return core.Invalid("validationToken", "that is no validation token").WithCode(stageBody)
	}
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Content-Security-Policy", "default-src 'none'")
	c.Data(http.StatusOK, "text/plain; charset=utf-8", []byte(token))
	return nil
}

const insertChange = `
insert into hook_changes (workspace_id, hook_id, person, gone, received) values (@workspace, @id, @person, @gone, @now)
on conflict (workspace_id, hook_id, person) do update set gone = excluded.gone, received = excluded.received`

// What ends a subscription, or may have lost notifications, is made good by the worker.
const updateLifecycle = `
update hooks set due = @now, resync = resync or @resync::boolean,
	remote_id = case when @removed::boolean then '' else remote_id end,
	remote_ends = case when @renew::boolean then @now::timestamptz else remote_ends end
where workspace_id = @workspace and id = @id`

func (s *Service) note(c *gin.Context, in *arrival, all []notification) error {
	ctx := c.Request.Context()
	return postgres.Classify(s.DB.Tx(ctx, func(tx pgx.Tx) error {
		args := func() pgx.StrictNamedArgs {
			return pgx.StrictNamedArgs{"workspace": in.hook.Workspace, "id": in.hook.ID, "now": in.received}
		}
		life := args()
		life["resync"], life["removed"], life["renew"] = false, false, false
		for _, one := range all {
			current := one.Subscription == in.hook.RemoteID
			switch {
			case one.Lifecycle == "missed":
				life["resync"] = true
			case one.Lifecycle == "subscriptionRemoved":
				life["resync"] = true
				life["removed"] = life["removed"].(bool) || current
			case one.Lifecycle == "reauthorizationRequired":
				life["renew"] = life["renew"].(bool) || current
			case one.Lifecycle == "" && one.Data.ID != "" && len(one.Data.ID) <= 200:
				change := args()
				change["person"], change["gone"] = one.Data.ID, one.ChangeType == "deleted"
				if _, err := tx.Exec(ctx, insertChange, change); err != nil {
					return err
				}
			}
		}
		_, err := tx.Exec(ctx, updateLifecycle, life)
		return err
	}))
}

func isGUID(text string) bool {
	_, err := core.ParseID(strings.ToLower(text))
	return err == nil
}

// Lifetime is how long a subscription to users is asked for; Microsoft allows 41760 minutes.
const Lifetime = 28 * 24 * time.Hour
