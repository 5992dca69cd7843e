package api

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"postern/core"
	"postern/core/idempotency"
	"postern/gateway/problem"
)

// identifier stands for core.ID in the document: core knows no HTTP, so it cannot say by itself that
// its bytes travel as text.
type identifier struct{}

// Schema implements huma.SchemaProvider.
func (identifier) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

func newRegistry() huma.Registry {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[core.ID](), reflect.TypeFor[identifier]())
	return registry
}

// refusals says what each status of an error means, for every operation that can answer it.
var refusals = map[int]string{
	http.StatusBadRequest:            "The request is wrong; errors says where",
	http.StatusUnauthorized:          "The token is missing, wrong or expired",
	http.StatusForbidden:             "The service account lacks the scope, or a rule forbids it",
	http.StatusNotFound:              "The workspace has no such thing",
	http.StatusConflict:              "It collides with what exists",
	http.StatusRequestEntityTooLarge: "The body is too large",
	http.StatusPreconditionFailed:    "It has changed since the caller read it: the entity tag of If-Match is not its own any more",
	http.StatusUnsupportedMediaType:  "The body is not application/json",
	http.StatusTooManyRequests:       "The service account asks more than it may; come again after Retry-After",
	http.StatusServiceUnavailable:    "Something Postern depends on is down; come again after Retry-After",
}

// refusalsOf documents the errors of an operation. hasBody is whether it takes one.
func refusalsOf(operation huma.Operation, registry huma.Registry, hasBody bool) map[string]*huma.Response {
	statuses := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	if strings.Contains(operation.Path, "{") {
		statuses = append(statuses, http.StatusNotFound)
	}
	if operation.Method != http.MethodGet {
		statuses = append(statuses, http.StatusConflict, http.StatusPreconditionFailed)
	}
	if hasBody {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	schema := registry.Schema(reflect.TypeFor[problem.Problem](), true, "Problem")
	refusal := func(text string) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{problem.ContentType: {Schema: schema}}}
	}
	responses := map[string]*huma.Response{"default": refusal("Any other error, as a problem (RFC 9457)")}
	for _, status := range statuses {
		responses[strconv.Itoa(status)] = refusal(refusals[status])
	}
	header := func(text string) map[string]*huma.Param {
		return map[string]*huma.Param{text: {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	responses[strconv.Itoa(http.StatusUnauthorized)].Headers = header("WWW-Authenticate")
	responses[strconv.Itoa(http.StatusServiceUnavailable)].Headers = header("Retry-After")
	responses[strconv.Itoa(http.StatusTooManyRequests)].Headers = header("Retry-After")
	return responses
}

// describeHeaders tells of the headers that all operations of a kind have in common.
func (s *Service) describeHeaders(document *huma.OpenAPI) {
	text := func(pattern string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Pattern: pattern} }
	tag := &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}, Description: "Send it as If-Match with a change that is meant for this very state"}
	key := &huma.Param{
		Name: idempotencyKey, In: "header", Schema: text(fmt.Sprintf("^[!-~]{1,%d}$", idempotency.MaxKey)),
		Description: "A name for this request, new for each. Sent again with it within a day, the request has no further effect and is answered as before.",
	}
	match := &huma.Param{
		Name: "If-Match", In: "header", Schema: text(entityTags.String()),
		Description: "The entity tag of what the caller saw. If that has changed since, nothing happens and the answer is 412.",
	}
	for path, item := range document.Paths {
		path = strings.TrimPrefix(path, base)
		if _, tagged := s.reads[path]; tagged {
			item.Get.Responses[strconv.Itoa(http.StatusOK)].Headers = map[string]*huma.Param{"ETag": tag}
		}
		for _, operation := range []*huma.Operation{item.Post, item.Put, item.Patch, item.Delete} {
			if operation == nil {
				continue
			}
			operation.Parameters = append(operation.Parameters, key)
			if _, tagged := s.reads.around(path); tagged {
				operation.Parameters = append(operation.Parameters, match)
			}
		}
	}
}

// tidy removes from the document what huma puts there and Postern does not mean: its own shape of an
// error, and the promise that an answer will never have another field.
func tidy(document *huma.OpenAPI) {
	schemas := document.Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	var bodies []string
	for _, item := range document.Paths {
		for _, operation := range []*huma.Operation{item.Post, item.Put, item.Patch} {
			if operation != nil && operation.RequestBody != nil {
				for _, media := range operation.RequestBody.Content {
					bodies = append(bodies, media.Schema.Ref)
				}
			}
		}
	}
	for name, schema := range schemas {
		if schema.AdditionalProperties == false && !slices.Contains(bodies, "#/components/schemas/"+name) {
			schema.AdditionalProperties = nil
		}
	}
}
