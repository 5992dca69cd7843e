package scim

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"postern/scim/resource"
)

// FuzzBulk carries hostile Bulks out against a performer that says yes to everything: each operation
// has a result, no reference is left in what is performed, and nothing is made twice.
func FuzzBulk(f *testing.F) {
	for _, operations := range []string{
		`[]`, `[null,1,"x",[],{}]`,
		`[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"a"}}]`,
		`[{"method":"POST","path":"/Groups","bulkId":"g","data":{"members":[{"value":"bulkId:a"}]}},{"method":"POST","path":"/Users","bulkId":"a","data":{}}]`,
		`[{"method":"POST","path":"/Users","bulkId":"a","data":{"manager":"bulkId:b"}},{"method":"POST","path":"/Users","bulkId":"b","data":{"manager":{"value":"bulkId:a"}}}]`,
		`[{"method":"POST","path":"/Users/bulkId:a","bulkId":"a","data":{"manager":"bulkId:a"}}]`,
		`[{"method":"PATCH","path":"/Groups/bulkId:g","data":{"Operations":[{"op":"remove","path":"members[value eq \"bulkId:g\"]"}]}}]`,
		`[{"method":"POST","path":"/Users","bulkId":"","data":{"value":"bulkId:"}},{"method":"POST","path":"/Users","bulkId":"a","data":{}},{"method":"POST","path":"/Users","bulkId":"a","data":{}}]`,
		`[{"method":"DELETE","path":"/Users/x","version":"W/\"1\""},{"method":"PUT","path":"http://h/scim/v2/Users/x?attributes=id","data":{"value":"bulkId:nobody"}}]`,
	} {
		f.Add(`{"schemas":["` + bulkSchema + `"],"failOnErrors":3,"Operations":` + operations + `}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body, err := resource.Decode([]byte(text))
		if err != nil {
			return
		}
		work, err := readBulk(body, "http://h/scim/v2")
		if err != nil {
			return
		}
		made := 0
		seen := map[*operation]bool{}
		work.run(context.Background(), func(o *operation, path string, data *resource.Object, fault error) *outcome {
			if seen[o] {
				t.Fatalf("an operation is carried out twice: %s", text)
			}
			seen[o] = true
			if fault != nil {
				refused := &outcome{}
				refused.fail(fault)
				return refused
			}
			if data != nil {
				resolve(data, "", func(id string) (string, bool) {
					t.Fatalf("%q is still a reference, in %s", id, text)
					return "", true
				})
			}
			if o.method != http.MethodPost {
				return &outcome{status: http.StatusOK}
			}
			made++
			return &outcome{status: http.StatusCreated, location: fmt.Sprintf("http://h/scim/v2%s/%d", strings.TrimSuffix(path, "/"), made)}
		})
		for _, o := range work.operations {
			if o.outcome == nil && work.failOnErrors == 0 {
				t.Fatalf("an operation was forgotten: %s", text)
			}
			if o.outcome != nil {
				o.result("http://h/scim/v2").Append(nil)
			}
		}
	})
}
