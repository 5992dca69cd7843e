package lifecycle_test

import (
	"encoding/json"
	"testing"

	"postern/core/coretest"
	"postern/core/directory"
)

// What the database gives back has other spaces and another order than what was sent.
func TestAttributesDifferByWhatTheySay(t *testing.T) {
	h, _ := pair(t)
	before := h.read(t, h.bob.ID).Version
	for _, step := range []struct {
		attributes string
		differs    bool
	}{
		{`{"title":"Head of A","size":[1,2],"quote":"a \"b\" \\","tall":true}`, true},
		{`{"tall": true, "size": [1, 2], "quote": "a \"b\" \\", "title": "Head of A"}`, false},
		{`{"title":"HeadofA","size":[1,2],"quote":"a \"b\" \\","tall":true}`, true},
		{`{"title":"HeadofA","size":[1,2],"quote":"a  \"b\" \\","tall":true}`, true},
		{`{"title":"HeadofA","size":[12],"quote":"a  \"b\" \\","tall":true}`, true},
		{`{"title":"\u0048eadofA","size":[12],"quote":"a  \"b\" \\","tall":true}`, false},
		{`{"title":"HeadofA","size":[12],"quote":"a  \"b\" \\"}`, true},
		{`{"title":"HeadofA","size":[12],"quote":"a  \"b\" \" "}`, true},
	} {
		after, err := h.Change(t.Context(), h.cause, h.workspace, h.bob.ID, func(u *directory.User) error {
			u.Attributes = json.RawMessage(step.attributes)
			return nil
		})
		coretest.Must(t, err)
		if differs := after.Version != before; differs != step.differs {
			t.Errorf("%s: version %d after %d", step.attributes, after.Version, before)
		}
		before = after.Version
	}
}
