package scim_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	library "github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"

	"postern/conformance/scim"
)

// naive stores what the library hands it, as its own example does.
type naive struct {
	lock   *sync.Mutex
	rows   map[string]library.Resource
	number *int
}

func newNaive() naive {
	return naive{lock: &sync.Mutex{}, rows: map[string]library.Resource{}, number: new(int)}
}

func copied(resource library.Resource) library.Resource {
	resource.Attributes = maps.Clone(resource.Attributes) // the library writes into it
	return resource
}

func (n naive) Create(_ *http.Request, attributes library.ResourceAttributes) (library.Resource, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	*n.number++
	external, _ := attributes["externalId"].(string)
	row := library.Resource{ID: strconv.Itoa(*n.number), Attributes: attributes, Meta: library.Meta{Created: new(time.Now()), LastModified: new(time.Now())}}
	if external != "" {
		row.ExternalID = optional.NewString(external)
	}
	n.rows[row.ID] = row
	return copied(row), nil
}

func (n naive) Get(_ *http.Request, id string) (library.Resource, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	row, found := n.rows[id]
	if !found {
		return row, scimerrors.ScimErrorResourceNotFound(id)
	}
	return copied(row), nil
}

func (n naive) GetAll(_ *http.Request, parameters library.ListRequestParams) (page library.Page, err error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	page.Resources = []library.Resource{}
	for number := 1; number <= *n.number; number++ {
		row, found := n.rows[strconv.Itoa(number)]
		if !found {
			continue
		}
		if parameters.FilterValidator != nil && parameters.FilterValidator.PassesFilter(row.Attributes) != nil {
			continue
		}
		page.TotalResults++
		if page.TotalResults >= parameters.StartIndex && len(page.Resources) < parameters.Count {
			page.Resources = append(page.Resources, copied(row))
		}
	}
	return page, nil
}

func (n naive) Replace(_ *http.Request, id string, attributes library.ResourceAttributes) (library.Resource, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	row, found := n.rows[id]
	if !found {
		return row, scimerrors.ScimErrorResourceNotFound(id)
	}
	row.Attributes = attributes
	n.rows[id] = row
	return copied(row), nil
}

func (n naive) Delete(_ *http.Request, id string) error {
	n.lock.Lock()
	defer n.lock.Unlock()
	if _, found := n.rows[id]; !found {
		return scimerrors.ScimErrorResourceNotFound(id)
	}
	delete(n.rows, id)
	return nil
}

func (n naive) Patch(_ *http.Request, id string, operations []library.PatchOperation) (library.Resource, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	row, found := n.rows[id]
	if !found {
		return row, scimerrors.ScimErrorResourceNotFound(id)
	}
	row.Attributes = maps.Clone(row.Attributes)
	for _, operation := range operations {
		if operation.Path == nil {
			if values, ok := operation.Value.(map[string]any); ok {
				maps.Copy(row.Attributes, values)
			}
		} else if name := operation.Path.AttributePath.AttributeName; operation.Op == library.PatchOperationRemove {
			delete(row.Attributes, name)
		} else {
			row.Attributes[name] = operation.Value
		}
	}
	n.rows[id] = row
	return copied(row), nil
}

// TestFindsFaultsOfElimity points the suite at the library alone: it has to find what the library is
// known not to do.
func TestFindsFaultsOfElimity(t *testing.T) {
	server, err := library.NewServer(&library.ServerArgs{
		ServiceProviderConfig: &library.ServiceProviderConfig{SupportFiltering: true, SupportPatch: true, MaxResults: 100},
		ResourceTypes: []library.ResourceType{
			{ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(), Handler: newNaive(),
				SchemaExtensions: []library.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}},
			{ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Schema: schema.CoreGroupSchema(), Handler: newNaive()},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	standing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil { // the library panics on some filters
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(standing.Close)
	finds(t, scim.Options{URL: standing.URL, Profile: scim.All}, elimityFaults, 60)
}

// elimityFaults are checks that fail at the library for faults of its own.
var elimityFaults = []string{
	"rfc/create/location", "rfc/create/password", "rfc/create/primary", "rfc/create/schemas", "rfc/create/media-type", "rfc/read/head", "rfc/read/not-acceptable",
	"rfc/error/method", "rfc/error/password-filter", "rfc/attributes/asked", "rfc/attributes/excluded", "rfc/attributes/members", "rfc/search/offered",
	"rfc/filter/id", "rfc/filter/external-id", "rfc/filter/resource-type", "rfc/filter/extension-core", "rfc/filter/multi-valued-whole",
	"rfc/page/count", "rfc/patch/read-only", "rfc/patch/remove-required", "rfc/immutable/member",
	"entra/connection/external-id", "entra/connection/email", "entra/connection/unquoted", "entra/filter/external-id", "entra/filter/email",
	"entra/patch/disable-text", "entra/patch/unknown-attribute", "entra/patch/primary-text", "entra/manager/text", "entra/manager/array", "entra/manager/bare",
	"entra/validation/null-update", "entra/group/reference", "entra/group/get", "okta/user/numbers",
}

// finds wants the suite to find faults: those named, and at least so many in all.
func finds(t *testing.T, options scim.Options, faults []string, least int) {
	t.Helper()
	report := run(t, options)
	t.Log(report.Verdict())
	outcomes := map[string]scim.Result{}
	for _, result := range report.Results {
		outcomes[result.Name] = result
		if result.Failure != nil {
			t.Logf("%s %s: expected %s, came %s", result.Outcome, result.Name, result.Failure.Expected, result.Failure.Got)
		}
	}
	for _, name := range faults {
		if result := outcomes[name]; result.Failure == nil {
			t.Errorf("%s: %q, want a failure", name, result.Outcome)
		}
	}
	if report.Passed() || report.Count(scim.Failed)+report.Count(scim.Warned) < least {
		t.Errorf("%d failed and %d warnings, want at least %d", report.Count(scim.Failed), report.Count(scim.Warned), least)
	}
}
