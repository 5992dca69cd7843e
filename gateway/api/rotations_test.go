package api_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/core/policies"
	"postern/gateway/api"
)

// Each trigger of a policy is a reason of the rotations it starts, and the document names it.
func TestTheDocumentNamesEveryTriggerAsAReason(t *testing.T) {
	field, _ := reflect.TypeFor[api.Rotation]().FieldByName("Reason")
	reasons := strings.Split(field.Tag.Get("enum"), ",")
	for _, trigger := range policies.Triggers {
		if !slices.Contains(reasons, string(trigger)) {
			t.Errorf("%s is none of %v", trigger, reasons)
		}
	}
}
