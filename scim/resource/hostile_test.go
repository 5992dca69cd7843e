package resource_test

import (
	"fmt"
	"strings"
	"testing"

	"postern/core"
	"postern/scim/resource"
)

// shapes are bodies that would cost the square of their size, were every value looked at by every
// other.
func shapes() map[string]string {
	list := func(count int, one func(int) string) string {
		var b strings.Builder
		for i := range count {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(one(i))
		}
		return b.String()
	}
	longest := `{"op":"add","path":"emails","value":[` + list(499, func(i int) string { return fmt.Sprintf(`{"value":"%d@x"}`, i) }) + `]}`
	return map[string]string{
		"10,000 operations on one attribute":   operations(list(10_000, func(i int) string { return fmt.Sprintf(`{"op":"replace","path":"title","value":"%d"}`, i) })),
		"10,000 operations on new attributes":  operations(list(10_000, func(i int) string { return fmt.Sprintf(`{"op":"add","path":"a%d","value":1}`, i) })),
		"10,000 attributes without a path":     operations(list(10_000, func(i int) string { return fmt.Sprintf(`{"op":"add","value":{"a%d":1}}`, i) })),
		"10,000 extensions":                    operations(list(10_000, func(i int) string { return fmt.Sprintf(`{"op":"add","path":"urn:x:%d:User","value":{"a":1}}`, i) })),
		"10,000 filters on 500 values":         operations(longest + "," + list(9_999, func(int) string { return `{"op":"replace","path":"emails[value eq \"498@x\"].display","value":"d"}` })),
		"10,000 negated filters on 500 values": operations(longest + "," + list(9_999, func(int) string { return `{"op":"add","path":"emails[not (value sw \"x\")].display","value":"d"}` })),
		"10,000 values added one by one": operations(list(10_000, func(i int) string {
			return fmt.Sprintf(`{"op":"add","path":"emails","value":[{"value":"%d@x"}]}`, i%499)
		})),
		"499 values added 200 times":       operations(list(200, func(int) string { return longest })),
		"10,000 values of an unknown list": operations(`{"op":"add","path":"x","value":[` + list(10_000, func(i int) string { return fmt.Sprint(i) }) + `]},{"op":"remove","path":"x","value":[` + list(10_000, func(i int) string { return fmt.Sprint(-i) }) + `]}`),
		"10,000 members":                   operations(`{"op":"add","path":"members","value":[` + list(10_000, func(i int) string { return fmt.Sprintf(`{"value":"%d"}`, i) }) + `]}`),
		"10,000 filters with 400 terms": operations(longest + "," + list(150, func(int) string {
			return `{"op":"remove","path":"emails[` + strings.Repeat(`value eq \"x\" or `, 400) + `value eq \"y\"]"}`
		})),
		"a thousand extensions in a resource": `{` + list(1000, func(i int) string { return fmt.Sprintf(`"urn:x:y%d:User":{"a":1}`, i) }) + `}`,
		"a thousand schemas":                  `{"schemas":[` + list(1000, func(i int) string { return fmt.Sprintf(`"urn:x:y%d"`, i) }) + `],"urn:x:z:User":{}}`,
		"a thousand names of one length":      `{` + list(1000, func(i int) string { return fmt.Sprintf(`"attribute%06d":%d`, i, i) }) + `}`,
		"lists in lists":                      `{"x":` + strings.Repeat(`[`, 30) + list(100_000, func(int) string { return "1" }) + strings.Repeat(`]`, 30) + `}`,
	}
}

// Such bodies are read, or refused for what they are; BenchmarkHostile says how quickly.
func TestHostileShapesEnd(t *testing.T) {
	refused := map[string]core.Kind{
		"10,000 operations on new attributes": core.KindInvalid, "10,000 attributes without a path": core.KindInvalid, "10,000 extensions": core.KindInvalid,
		"10,000 filters on 500 values": core.KindTooLarge, "10,000 negated filters on 500 values": core.KindTooLarge,
		"10,000 values added one by one": core.KindTooLarge, "499 values added 200 times": core.KindTooLarge,
		"10,000 values of an unknown list": core.KindTooLarge, "10,000 filters with 400 terms": core.KindTooLarge,
	}
	for name, body := range shapes() {
		_, err := read(t, users, body, resource.Profile{BareValues: true, Rules: &resource.Rules{}})
		if got := core.KindOf(err); (err != nil) != (refused[name] != 0) || err != nil && got != refused[name] {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// 64 MiB are refused as soon as it shows what they are.
func TestHostileBodies(t *testing.T) {
	const size = 64 << 20
	for name, body := range map[string][]byte{
		"one string":     append([]byte(`{"a":"`), strings.Repeat("x", size)...),
		"one list":       append([]byte(`{"a":[`), strings.Repeat("[", size)...),
		"one number":     append([]byte(`{"a":`), strings.Repeat("1", size)...),
		"space":          []byte(strings.Repeat(" ", size)),
		"zeros":          make([]byte, size),
		"one name again": append([]byte(`{`), strings.Repeat(`"a":1,`, size/6)...),
	} {
		if _, err := resource.Decode(body); core.KindOf(err) != core.KindInvalid || (core.AsError(err).Code == "invalidValue") != (name == "one number") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, body := range shapes() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				_, _ = read(b, users, body, resource.Profile{BareValues: true, Rules: &resource.Rules{}})
			}
		})
	}
}
