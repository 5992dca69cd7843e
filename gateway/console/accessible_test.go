package console_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// finding is what axe-core says of a page.
type finding struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

func (f finding) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s (%s): %s", f.ID, f.Impact, f.Help)
	for i, node := range f.Nodes {
		if i == 3 {
			fmt.Fprintf(&text, "\n      and %d more", len(f.Nodes)-i)
			break
		}
		fmt.Fprintf(&text, "\n      %.200s\n      %s", node.HTML, strings.ReplaceAll(node.Summary, "\n", "\n      "))
	}
	return text.String()
}

const (
	// examine opens what can be opened and asks axe-core about everything, then about each dialog and popover by itself.
	examine = `(async () => {
		for (const details of document.querySelectorAll("details")) details.open = true;
		const found = async (what) => (await axe.run(what, { resultTypes: ["violations"] })).violations;
		const all = await found(document);
		for (const dialog of document.querySelectorAll("dialog")) {
			dialog.showModal();
			for (const part of dialog.querySelectorAll("[hidden]")) part.hidden = false;
			all.push(...await found(dialog));
			dialog.close();
		}
		const popovers = [...document.querySelectorAll("[popover]")].slice(0, 2);
		for (const popover of popovers) { popover.showPopover(); all.push(...await found(popover)); popover.hidePopover(); }
		return all;
	})()`
	// contrast asks again what other colours change.
	contrast = `axe.run(document, { resultTypes: ["violations"], runOnly: { type: "rule", values: ["color-contrast"] } }).then((r) => r.violations)`
	// sideways is what makes a narrow page scroll sideways, which makes it hard to read.
	sideways = `(() => {
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return [];
		return [...document.body.querySelectorAll("*")].filter((e) => !e.closest("nav, .scroll") && e.getBoundingClientRect().right > width + 1).slice(-3).map((e) => e.outerHTML.slice(0, 160)).concat("the page is " + document.documentElement.scrollWidth + " wide");
	})()`
)

// examined is everything that is wrong with the page a tab shows: to axe-core, light and dark, and on a narrow screen.
func (b *tab) examined() []string {
	b.t.Helper()
	var wrong []string
	for _, one := range evaluated[[]finding](b, examine) {
		wrong = append(wrong, one.String())
	}
	b.scheme("dark")
	for _, one := range evaluated[[]finding](b, contrast) {
		wrong = append(wrong, "dark: "+one.String())
	}
	b.scheme("light")
	b.do(chromedp.EmulateViewport(390, 844))
	for _, one := range evaluated[[]string](b, sideways) {
		wrong = append(wrong, "scrolls sideways at 390: "+one)
	}
	b.do(chromedp.EmulateViewport(1280, 900))
	return wrong
}

// TestEveryPageIsAccessible walks the console as its readers do, from link to link, and has axe-core look at each page
// in a real browser. A route that the walk does not come to fails it: a new page is either shown by what Populate…
// methods put into the world, or not at all.
func TestEveryPageIsAccessible(t *testing.T) {
	source := axe(t)
	root := browser(t)
	w := newWorld(t)
	w.populate(t)
	found := w.walk(t)

	pages := make(chan seen)
	var all sync.WaitGroup
	for range 2 {
		tabs := map[string]*tab{}
		for _, page := range found {
			if tabs[page.who] == nil {
				tabs[page.who] = w.open(t, root, page.who, source)
			}
		}
		all.Go(func() {
			for page := range pages {
				b := tabs[page.who]
				b.goTo(page.address)
				if wrong := b.examined(); len(wrong) > 0 {
					t.Errorf("%s, %s (%s):\n    %s", page.who, page.name, page.route, strings.Join(wrong, "\n    "))
				}
			}
		})
	}
	for _, page := range found {
		pages <- page
	}
	close(pages)
	all.Wait()
	t.Logf("%d pages", len(found))
}

// TestTheCheckFindsFaults shows that the check can fail.
func TestTheCheckFindsFaults(t *testing.T) {
	source := axe(t)
	root := browser(t)
	w := newWorld(t)
	for fault, want := range map[string]string{
		`<img src="/favicon.ico">`: "image-alt (critical)",
		`<input name="x">`:         "label (critical)",
		`<button></button>`:        "button-name (critical)",
		`<p id="grey">Hardly there</p><style>#grey { color: #bbb; background: #fff }</style>`:                                         "color-contrast (serious)",
		`<p id="grey">Hardly there</p><style>@media (prefers-color-scheme: dark) { #grey { color: #444; background: #000 } }</style>`: "dark: color-contrast (serious)",
		`<dialog><button></button></dialog>`: "button-name (critical)",
		`<pre id="x">` + strings.Repeat("wide ", 200) + `</pre><style>#x { overflow: visible; }</style>`: "scrolls sideways",
	} {
		b := w.open(t, root, "zoe", source)
		b.goTo(w.capture(t, `<!doctype html><html lang="en"><head><title>Planted</title><meta name="viewport" content="width=device-width"></head><body><main><h1>Planted</h1>`+fault+`</main></body></html>`))
		if got := strings.Join(b.examined(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %s", fault, got, want)
		}
	}
}
