package browser

import (
	"net/http"
	"net/url"
	"testing"

	"postern/conformance/partstest"
	"postern/core/rotation"
	"postern/core/seal"
)

// ready waits for the page that was prepared during a job.
func ready(t *testing.T, b *Browser) *spare {
	t.Helper()
	var found *spare
	until(t, "an empty page is ready", func() bool {
		b.spares.mutex.Lock()
		defer b.spares.mutex.Unlock()
		found = b.spares.ready
		return found != nil
	})
	return found
}

func TestAPreparedPageIsTakenOnceAndReachesNothingBefore(t *testing.T) {
	b, err := New(Options{AllowPrivate: true})
	partstest.Need(t, "browser", err)
	defer b.Close()
	_, here := harbour(t)
	expect(t, b.Verify(short(t), here, credential("quay", "wrong")), rotation.Rejected, "")
	one := ready(t, b)
	way, err := url.Parse(one.tab.proxy.address())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(way), DisableKeepAlives: true}}
	answer, err := client.Get("http://app.example/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("before it is taken, its proxy answers %d", answer.StatusCode)
	}

	_, there := harbour(t)
	expect(t, b.Verify(short(t), there, credential("quay", "wrong")), rotation.Rejected, "")
	if hosts := one.tab.proxy.hosts(); len(hosts) != 1 {
		t.Errorf("the prepared page was not used: it reached %v", hosts)
	}
	if next := ready(t, b); next == one || next.tab.context == one.tab.context {
		t.Error("a page that was used is ready again")
	}
}

// The page of a change is made after its gate.
func TestAChangeTakesNoPreparedPage(t *testing.T) {
	b, err := New(Options{AllowPrivate: true})
	partstest.Need(t, "browser", err)
	defer b.Close()
	_, target := harbour(t)
	expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, "")
	one := ready(t, b)
	expect(t, b.Change(short(t), target, credential("quay", "wrong"), seal.NewSecret(second), new(counter).release), rotation.Rejected, "")
	if hosts := one.tab.proxy.hosts(); len(hosts) != 0 {
		t.Errorf("the prepared page was used for a change: it reached %v", hosts)
	}
}
