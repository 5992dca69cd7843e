package scim_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"postern/core/directory"
)

// A number of the sender's own comes back as the same number, or is refused.
func TestNumbersComeBack(t *testing.T) {
	h := open(t, directory.Generic).acme
	for i, number := range []string{
		"0", "-0", "0.1", "1.10", "-1.5e-10", "1e5", "1E+10", "9007199254740993", "12345678901234567890.123456789", "1e61", "1e-60",
		strings.Repeat("9", 64), "0." + strings.Repeat("3", 62), "123456789012345678901234567890e30",
	} {
		made := h.call(t, "POST", "/Users", fmt.Sprintf(`{"userName":"n%d","shoe":{"size":%s}}`, i, number)).want(t, 201)
		for _, r := range []reply{made, h.call(t, "GET", "/Users/"+made.id(t), "").want(t, 200)} {
			var shown struct{ Shoe struct{ Size json.Number } }
			must(t, json.Unmarshal([]byte(r.text), &shown))
			want, _ := new(big.Rat).SetString(number)
			if got, ok := new(big.Rat).SetString(shown.Shoe.Size.String()); !ok || got.Cmp(want) != 0 {
				t.Errorf("%s comes back as %s", number, shown.Shoe.Size)
			}
		}
	}
	user := h.join(t, "ana")
	for _, number := range []string{"1e400", "-1e400", "1e-9999999", "1e9999999", "1e63", "1e-63", "0e999999999", strings.Repeat("1", 65), strings.Repeat("1", 100_000)} {
		h.call(t, "POST", "/Users", `{"userName":"bob","shoe":`+number+`}`).wantError(t, 400, "invalidValue")
		h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"add","path":"shoe","value":`+number+`}]}`).wantError(t, 400, "invalidValue")
		h.call(t, "PATCH", "/Users/"+user, patchOperations+`[{"op":"add","path":"emails[value eq `+number+`].display","value":"x"}]}`)
		if r := h.call(t, "GET", "/Users?filter=shoe+eq+"+number, ""); r.status >= 500 {
			t.Errorf("a filter with %.20s: %d %s", number, r.status, r.text)
		}
	}
	for _, text := range []string{"01", "+1", ".5", "1.", "1e", "0x10", "NaN", "Infinity", "1_000"} {
		h.call(t, "POST", "/Users", `{"userName":"bob","shoe":`+text+`}`).wantError(t, 400, "invalidSyntax")
	}
}
