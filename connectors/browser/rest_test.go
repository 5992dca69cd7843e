package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"postern/core/rotation"
)

// A page that has loaded and still builds itself is waited for: while it grows, and while a script of its is on the way. One
// that has come to rest is not.
func TestAPageThatBuildsItselfIsWaitedFor(t *testing.T) {
	b := connector(t)
	const out = `document.body.insertAdjacentHTML('beforeend','<a href="/logout">Sign out</a>')`
	for name, c := range map[string]struct {
		page string
		want rotation.Outcome
	}{
		"grows":    {`<body><p>Welcome</p><script>let n=0;const t=setInterval(()=>{document.body.append(document.createElement('i'));if(++n==20){clearInterval(t);` + out + `}},200)</script>`, rotation.Accepted},
		"fetches":  {`<body><p>Welcome</p><script>addEventListener('load',()=>setTimeout(()=>{const s=document.createElement('script');s.src='/late.js';document.body.append(s)},50))</script>`, rotation.Accepted},
		"is there": {`<body><p>Welcome</p><script></script>`, rotation.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/late.js":
					select { // longer than a page at rest is waited for
					case <-time.After(4 * time.Second):
					case <-r.Context().Done():
					}
					w.Header().Set("Content-Type", "text/javascript")
					_, _ = fmt.Fprint(w, out)
				case r.Method == http.MethodPost:
					_, _ = fmt.Fprint(w, "<!doctype html>"+c.page)
				default:
					_, _ = fmt.Fprint(w, `<!doctype html><form method="post"><input name="username"><input type="password" name="password"><button>Sign in</button></form>`)
				}
			}))
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			expect(t, b.Verify(short(t), rotation.Target{AppName: "Slow", SignInURL: server.URL + "/"}, credential("quay", first)), c.want, rotation.StageVerify)
		})
	}
}

// A page of a recipe is waited for in the same way: its form comes after more than a page at rest is given, and after a press the
// next step's field does.
func TestARecipeWaitsForAPageThatBuildsItself(t *testing.T) {
	b := connector(t)
	const out = `document.body.innerHTML='<a href="/logout">Sign out</a>'`
	const grow = `const grow=(then)=>{let n=0;const t=setInterval(()=>{document.body.append(document.createElement('i'));if(++n==33){clearInterval(t);then()}},200)};`
	const show = `const show=(html)=>document.body.insertAdjacentHTML('beforeend',html);`
	for name, script := range map[string]string{
		"at first":      `grow(()=>show('<input id="u"><input id="p" type="password"><button id="b">Sign in</button>'));onclick=(e)=>{if(e.target.id=='b'){` + out + `}}`,
		"after a press": `show('<input id="u"><button id="n">Next</button>');onclick=(e)=>{if(e.target.id=='n')grow(()=>show('<input id="p" type="password"><button id="b">Sign in</button>'));if(e.target.id=='b'){` + out + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprint(w, "<!doctype html><body><script>"+grow+show+script+"</script>")
			}))
			t.Cleanup(server.Close)
			next := ""
			if name != "at first" {
				next = `{"type":"click","selectors":[["#n"]],"assertedEvents":[{"type":"navigation","url":"` + server.URL + `/#next"}]},`
			}
			target := rotation.Target{AppName: "Slow", SignInURL: server.URL + "/", Settings: []byte(`{"recipe":{"title":"slow","steps":[{"type":"navigate","url":"` + server.URL + `/"},
				{"type":"change","value":"{{username}}","selectors":[["#u"]]},` + next + `{"type":"change","value":"{{current_password}}","selectors":[["#p"]]},{"type":"click","selectors":[["#b"]]}]}}`)}
			expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
		})
	}
}
