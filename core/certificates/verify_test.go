package certificates_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/core"
	"postern/core/accounts"
	"postern/core/certificates"
	"postern/core/coretest"
	"postern/core/directory"
	"postern/core/rotation"
)

// leaves changes each value of a document, one at a time, and calls try with the document each time.
func leaves(value any, try func(path string)) {
	var walk func(path string, value any, set func(any))
	walk = func(path string, value any, set func(any)) {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				walk(path+"/"+name, inner, func(to any) { value[name] = to })
			}
			value["added"] = true
			try(path + "/added")
			delete(value, "added")
		case []any:
			for i, inner := range value {
				walk(fmt.Sprint(path, "/", i), inner, func(to any) { value[i] = to })
			}
		case string:
			set(value + "x")
			try(path)
			set(value)
		case float64:
			set(value + 1)
			try(path)
			set(value)
		case bool:
			set(!value)
			try(path)
			set(value)
		}
	}
	walk("", value, nil)
}

func TestForgeries(t *testing.T) {
	w := open(t)
	other, h := w.house(t), w.house(t)
	sign := func(h house) certificates.Document {
		t.Helper()
		bob := h.join(t, "bob")
		account := h.account(t, h.app)
		h.share(t, account.ID, accounts.Subject{User: bob.ID}, accounts.Collaborator)
		coretest.Must(t, h.fill(t, bob, account.ID))
		h.leave(t, bob)
		h.work(t)
		h.settle(t)
		view := h.only(t, bob)
		document, err := view.Issues[0].Document()
		coretest.Must(t, err)
		return document
	}
	document, theirs := sign(h), sign(other)
	keys := document.Keys.Keys
	var said any
	coretest.Must(t, json.Unmarshal(document.Certificate, &said))
	tried := 0
	leaves(said, func(path string) {
		tried++
		text, err := json.Marshal(said)
		coretest.Must(t, err)
		if _, _, err := (certificates.Document{Certificate: text, Signature: document.Signature}).Verify(keys); core.KindOf(err) != core.KindUnauthenticated {
			t.Errorf("%s was changed, and it verifies: %v", path, err)
		}
	})
	if tried < 25 {
		t.Errorf("only %d fields were changed", tried)
	}
	compact, err := document.Compact()
	coretest.Must(t, err)
	parts := strings.Split(compact, ".")
	for name, forged := range map[string]string{
		"another workspace's": must2(theirs.Compact())(t), "no signature": parts[0] + "." + parts[1] + ".", "another header": "e30." + parts[1] + "." + parts[2],
		"none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "cut": compact[:len(compact)-3], "two parts": parts[0] + "." + parts[1], "nothing": "", "text": "hello",
	} {
		read, err := certificates.Read([]byte(forged))
		if err == nil {
			_, _, err = read.Verify(keys)
		}
		if core.KindOf(err) != core.KindUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	// However it is laid out, and in one line, it is the same; a name that comes twice is not.
	pretty, err := json.MarshalIndent(document, "", "    ")
	coretest.Must(t, err)
	for _, text := range []string{string(pretty), compact + "\n"} {
		read, err := certificates.Read([]byte(text))
		coretest.Must(t, err)
		if said, key, err := read.Verify(keys); err != nil || said.State != certificates.Complete || key.KeyID != keys[0].KeyID {
			t.Errorf("%+v, %v", said, err)
		}
	}
	for _, text := range []string{`{"certificate":{},"certificate":{},"signature":"a..b"}`, `{"Certificate":{},"signature":"a..b"}`, `{"certificate":{},"signature":"a..b","more":1}`} {
		if _, err := certificates.Read([]byte(text)); core.KindOf(err) != core.KindUnauthenticated {
			t.Errorf("%s: %v", text, err)
		}
	}
	// What the workspace signs for others is no certificate.
	token, _, err := w.Signing.SignText(t.Context(), h.workspace, "secevent+jwt", document.Certificate)
	coretest.Must(t, err)
	read, err := certificates.Read([]byte(token))
	coretest.Must(t, err)
	if _, _, err := read.Verify(keys); core.KindOf(err) != core.KindUnauthenticated {
		t.Errorf("a token of another type verifies: %v", err)
	}
}

func must2(text string, err error) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		coretest.Must(t, err)
		return text
	}
}

func TestOneIssueHoweverManyLook(t *testing.T) {
	w := open(t)
	h := w.house(t)
	bob := h.join(t, "bob")
	h.leave(t, bob)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.IssueDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if view := h.only(t, bob); len(view.Issues) != 1 || view.Issues[0].Number != 1 {
		t.Fatalf("got %d issues", len(view.Issues))
	}
}

// TestHistories has random people use random accounts, which are rotated in between, and then one leave:
// each password they were given, and each they could have looked at, is listed exactly once, and nothing
// else; and whatever is called dead the app refuses.
func TestHistories(t *testing.T) {
	w := open(t)
	w.house(t)
	type password struct {
		account core.ID
		version int
	}
	rapid.Check(t, func(t *rapid.T) {
		h := w.house(t)
		people := []directory.User{h.join(t, "bob"), h.join(t, "cleo")}
		var logins []accounts.Account
		for range 3 {
			logins = append(logins, h.account(t, h.app))
		}
		version, shared := map[core.ID]int{}, map[[2]core.ID]bool{}
		known := map[core.ID]map[password]bool{people[0].ID: {}, people[1].ID: {}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			who, account := rapid.SampledFrom(people).Draw(t, "who"), rapid.SampledFrom(logins).Draw(t, "account").ID
			switch rapid.SampledFrom([]string{"share", "fill", "fill", "rotate"}).Draw(t, "step") {
			case "share":
				h.share(t, account, accounts.Subject{User: who.ID}, accounts.Collaborator)
				shared[[2]core.ID{who.ID, account}] = true
			case "fill":
				if err := h.fill(t, who, account); err == nil {
					known[who.ID][password{account, version[account] + 1}] = true
				}
			case "rotate":
				h.rotate(t, account)
				version[account]++
			}
			w.clock.Pass(time.Minute)
		}
		leaver := people[0]
		down := rapid.SampledFrom(logins).Draw(t, "down").ID
		h.apps.Say(down, rotation.Unreachable)
		want := known[leaver.ID]
		for _, one := range logins {
			if shared[[2]core.ID{leaver.ID, one.ID}] {
				current := password{one.ID, version[one.ID] + 1}
				seen := want[current]
				want[current] = seen // named, seen or not
			}
		}
		h.leave(t, leaver)
		h.work(t)
		now := h.only(t, leaver).Now
		got := map[password]bool{}
		for _, one := range now.Credentials {
			at := password{one.Account, one.Version}
			seen, listed := want[at]
			if _, twice := got[at]; twice || !listed || seen != (one.Seen != nil) {
				t.Fatalf("%+v is listed, twice %v, known %v seen %v", one, twice, listed, seen)
			}
			got[at] = true
			if alive := one.Account == down && one.Version == version[down]+1; alive != (one.Fate == certificates.Open) {
				t.Fatalf("%+v, but the app takes it: %v", one, alive)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d of %d passwords are listed", len(got), len(want))
		}
		h.apps.Say(down, "")
		w.clock.Pass(time.Hour)
		h.work(t)
		if now := h.only(t, leaver).Now; now.State != certificates.Complete {
			t.Fatalf("got %+v", now)
		}
	})
}
