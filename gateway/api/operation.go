package api

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/directory"
	"postern/core/seal"
	"postern/core/services"
	"postern/gateway/problem"
)

// The scopes a service account may be given.
const (
	AppsRead         = "apps:read"
	AppsWrite        = "apps:write"
	AccountsRead     = "accounts:read"  // accounts, their grants and rotations
	AccountsWrite    = "accounts:write" // create accounts, start rotations and verifications
	AccountsUse      = "accounts:use"   // one-time codes, for those the account is shared with
	GrantsWrite      = "grants:write"
	LinksRead        = "links:read"        // public links and who viewed them
	LinksWrite       = "links:write"       // give passwords to people outside, in an owner's name
	DirectoryRead    = "directory:read"    // users, guests, teams, names of the connections
	DirectoryWrite   = "directory:write"   // deprovision users, give roles, invite guests
	ConnectionsRead  = "connections:read"  // provisioning settings; tokens and clients, but not their secrets
	ConnectionsWrite = "connections:write" // change the settings, make and revoke tokens and clients
	ProvisioningRead = "provisioning:read" // what identity providers asked for, and departures that wait
	HoldsWrite       = "holds:write"       // decide on departures and signals that wait
	SignalsRead      = "signals:read"      // receipts, policy, failures
	SignalsWrite     = "signals:write"     // change the policy, lift restrictions
	PoliciesRead     = "policies:read"     // what starts a rotation
	PoliciesWrite    = "policies:write"
	PostureRead      = "posture:read" // findings, milestones, the score; new owners are given with grants:write
	ReviewsRead      = "reviews:read" // who is asked about which access, and what was decided
	ReviewsWrite     = "reviews:write"
	ActivityRead     = "activity:read"    // events, checkpoints
	OperationsRead   = "operations:read"  // the sinks, their state and what they lack
	OperationsWrite  = "operations:write" // make, change, pause, test and replay them

	ServiceAccountsRead  = "service-accounts:read"
	ServiceAccountsWrite = "service-accounts:write" // up to the scopes one has oneself
	CredentialsUse       = "credentials:use"        // read the values of one's own credentials
)

// Scopes lists every scope, for a service account that may do everything.
func Scopes() []string {
	return []string{
		AppsRead, AppsWrite, AccountsRead, AccountsWrite, AccountsUse, GrantsWrite, LinksRead, LinksWrite, DirectoryRead, DirectoryWrite, ConnectionsRead, ConnectionsWrite,
		ProvisioningRead, HoldsWrite, SignalsRead, SignalsWrite, PoliciesRead, PoliciesWrite, PostureRead, ReviewsRead, ReviewsWrite, ActivityRead, OperationsRead, OperationsWrite,
		ServiceAccountsRead, ServiceAccountsWrite, CredentialsUse,
	}
}

const security = "token"

// scopeRule says in the document what a scope opens.
const scopeRule = "Each operation asks for one scope, such as `grants:write`. Written `grants/ID:write`, a scope is limited to one resource: it opens the operations " +
	"that ask for it where the first id of their address is that one. With an account's id those are `/accounts/ID/grants` and all else of that account; with a user's, " +
	"`/users/ID/…`. It opens no list and makes nothing elsewhere: ids in the query and in the body never count."

// caller is who asks, once authenticated.
type caller struct {
	directory.ServiceAccount
	cause core.Cause
	c     *gin.Context
}

type callerKey struct{}

// add registers an operation: its scope, its errors as problems, and its handler.
func add[Input, Output any](api huma.API, operation huma.Operation, scope string, handle func(ctx context.Context, by caller, in *Input) (*Output, error)) {
	read, tagged := readerOf(operation, handle)
	if tagged {
		api.Adapter().(adapter).reads[operation.Path] = read
	}
	operation.Path = base + operation.Path
	operation.Security = []map[string][]string{{security: {scope}}}
	operation.Description = strings.TrimSpace(operation.Description + "\n\nScope: `" + scope + "`.")
	if operation.MaxBodyBytes == 0 {
		operation.MaxBodyBytes = maxBody
	}
	_, hasBody := reflect.TypeFor[Input]().FieldByName("Body")
	if _, file := reflect.TypeFor[Input]().FieldByName("RawBody"); file {
		hasBody = true
	}
	responses := refusalsOf(operation, api.OpenAPI().Components.Schemas, hasBody)
	maps.Copy(responses, operation.Responses)
	operation.Responses = responses
	huma.Register(api, operation, func(ctx context.Context, in *Input) (*Output, error) {
		by := ctx.Value(callerKey{}).(caller)
		out, err := handle(ctx, by, in)
		if err != nil {
			_ = by.c.Error(err)
			return nil, problem.From(by.c, err)
		}
		if tagged {
			by.c.Header("ETag", tagOf(out))
		}
		return out, nil
	})
}

// authenticate finds the service account and checks the operation's scope.
func (s *Service) authenticate(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	received := s.now()
	token := bearer(c.Request)
	if token == "" {
		problem.Write(c, core.Unauthenticated("send a service account's token as Authorization: Bearer"))
		return
	}
	account, err := s.Directory.AuthenticateServiceAccount(ctx.Context(), seal.NewSecret(token))
	if err != nil {
		problem.Write(c, err)
		return
	}
	problem.Add(c, slog.String("workspace", account.Workspace.String()), slog.String("actor", account.ID.String()))
	// What it may not do tells of it as much as what it may.
	if err := s.Services.Observe(ctx.Context(), services.Use{
		Workspace: account.Workspace, Account: account.Actor(), Token: account.Token, Origin: problem.Origin(c), Browser: c.GetHeader("Sec-Fetch-Mode") != "",
	}); err != nil {
		problem.Write(c, err)
		return
	}
	cause := core.NewCause(account.Actor(), received)
	cause.Origin = problem.Origin(c)
	defer s.denied.Tell(c, account.Workspace, cause)
	for _, requirement := range ctx.Operation().Security {
		for _, scope := range requirement[security] {
			if !allowed(account, scope, ctx) {
				problem.Write(c, core.Denied("this token's service account lacks the scope %s", scope).WithCode("missing_scope"))
				return
			}
		}
	}
	next(huma.WithValue(ctx, callerKey{}, caller{account, cause, c}))
}

// allowed reports whether a service account has the scope of an operation: of everything or, where the address names a resource, of
// that one.
func allowed(account directory.ServiceAccount, scope string, ctx huma.Context) bool {
	wanted, err := services.ParseScope(scope)
	if err != nil {
		return false
	}
	wanted.ID = named(ctx)
	return services.Allow(account.Scopes, wanted)
}

// named is the resource an operation is about: the first id of its address, whose kind the address says. Zero if it has none, which a
// scope limited to one resource never covers: neither a list nor what is made beside it, whatever the query or the body name.
func named(ctx huma.Context) core.ID {
	_, after, _ := strings.Cut(ctx.Operation().Path, "{")
	parameter, _, _ := strings.Cut(after, "}")
	id, _ := core.ParseID(ctx.Param(parameter)) // zero if it is none: the operation says so
	return id
}

// bearer is the token of a request; "" if there is none.
func bearer(request *http.Request) string {
	scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// change runs a command's transaction and wakes the sequencer after it.
func (s *Service) change(ctx context.Context, work func(tx pgx.Tx) error) error {
	err := s.DB.Tx(ctx, work)
	if err == nil {
		s.wake()
	}
	return err
}

// bodyBroken is what huma says, as a fault of the server, of a client that went away.
const bodyBroken = "cannot read request body"

// asProblem turns huma's own errors into ours. The faulty value itself is left out: it may be a
// password.
func asProblem(ctx huma.Context, _ string, body any) (any, error) {
	model, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	c := humagin.Unwrap(ctx)
	classified := &core.Error{Kind: core.KindInternal}
	switch {
	case model.Status == http.StatusRequestEntityTooLarge:
		classified = core.TooLarge("the request body is too large")
	case model.Status == http.StatusRequestTimeout:
		classified = core.Unavailable(0, "the request body did not come in time")
	case model.Detail == bodyBroken:
		classified = core.Invalid("", "the request body could not be read to its end")
		model.Status, model.Errors = http.StatusBadRequest, nil
	case model.Status == http.StatusUnsupportedMediaType:
		classified = core.Invalid("", "send the body as application/json").WithCode("unsupported_media_type")
		model.Errors = nil
	case model.Status < http.StatusInternalServerError:
		classified = core.Invalid("", "%s", model.Detail)
	}
	_ = c.Error(classified)
	answer := problem.From(c, classified)
	answer.Status, answer.Title = plain(model.Status), http.StatusText(plain(model.Status))
	for _, detail := range model.Errors {
		if detail != nil {
			answer.Errors = append(answer.Errors, faultOf(detail))
		}
	}
	return answer, nil
}

// faultOf reads huma's location: body.domains[0], query.limit. A member that is missing is told at the
// object around it; the pointer here names the member.
func faultOf(detail *huma.ErrorDetail) problem.Fault {
	where, name, _ := strings.Cut(detail.Location, ".")
	if where != "body" {
		return problem.Fault{Detail: detail.Message, Parameter: name}
	}
	if before, after, ok := strings.Cut(validation.MsgExpectedRequiredProperty, "%s"); ok {
		missing, began := strings.CutPrefix(detail.Message, before)
		if missing, ended := strings.CutSuffix(missing, after); began && ended {
			name = strings.TrimPrefix(name+"."+missing, ".")
		}
	}
	return problem.Fault{Detail: detail.Message, Pointer: problem.Pointer(name)}
}

// page is one page of a list.
type page[Item any] struct {
	Items []Item `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Pass it as cursor to get the next page; absent on the last one"`
}

// listed is the answer of a list operation.
type listed[Item any] struct {
	Body page[Item]
}

func listing[Row, Item any](rows []Row, convert func(Row) Item) *listed[Item] {
	items := make([]Item, 0, len(rows))
	for _, row := range rows {
		items = append(items, convert(row))
	}
	return &listed[Item]{Body: page[Item]{Items: items}}
}

// single is the answer of an operation on one thing.
type single[Item any] struct {
	Body Item
}
