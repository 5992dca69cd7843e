package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"golang.org/x/net/websocket"

	"postern/core/rotation"
	"postern/core/seal"
)

// oddApp is an application with one user and a change page for every oddity of the web.
type oddApp struct {
	mutex sync.Mutex
	got   []string // passwords that reached the app, in order
}

const oddForm = `<form id="f" method="post" action="/set"><label>Current password <input type="password" name="old"></label>
<label>New password <input type="password" name="new1" id="n"></label><label>Repeat new password <input type="password" name="new2" id="r"></label>
<button>Change password</button></form>`

const oddSocket = `<script>const w=new WebSocket('ws://'+location.host+'/socket');document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();
w.send(JSON.stringify({user:{newPassword:f.new1.value}}));`

const oddDone = `const done=()=>{document.body.innerHTML='<p role="status">Password changed</p><a href="/logout">Log out</a>'}`

// A frame of another site, whose cookies are its own.
const oddElsewhere = `<script>document.write('<iframe width="600" height="400" src="http://localhost:'+location.port+'/page/`

const oddJSONP = `<script>` + oddDone + `;document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();const s=document.createElement('script');s.onload=s.onerror=done;
document.head.append(s);s.src='/set?callback=x&new1='+`

var oddPages = map[string]string{
	"plain":      oddForm,
	"multipart":  strings.Replace(oddForm, `action=`, `enctype="multipart/form-data" action=`, 1),
	"popup":      strings.Replace(oddForm, `action=`, `target="_blank" action=`, 1),
	"get":        strings.Replace(oddForm, `method="post"`, `method="get"`, 1),
	"clobber":    `<form id="f" method="post" action="/set"><input name="id"><input name="querySelectorAll"><input name="elements"><input name="submit" type="hidden"><input type="password" name="old" placeholder="Current password"><input type="password" name="new1" placeholder="New password"><button>Save</button></form>`,
	"shadow":     `<div id="host"></div><script>const s=document.getElementById('host').attachShadow({mode:'open'});s.innerHTML=` + "`" + oddForm + "`" + `</script>`,
	"frame":      `<iframe src="/page/plain" width="600" height="400"></iframe>`,
	"elsewhere":  oddElsewhere + `plain"><\/iframe>')</script>`,
	"elsewhereX": oddElsewhere + `json"><\/iframe>')</script>`,
	"dialog":     oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{if(!confirm('Really?'))e.preventDefault()})</script>`,
	"banner":     oddForm + `<div style="position:fixed;inset:0;background:#0008">We value your privacy</div>`,
	"late":       `<div id="x"></div><script>setTimeout(()=>{document.getElementById('x').innerHTML=` + "`" + oddForm + "`" + `},700)</script>`,
	"slowbutton": strings.Replace(oddForm, "<button", `<button id="b" disabled`, 1) + `<script>document.getElementById('n').addEventListener('input',()=>setTimeout(()=>document.getElementById('b').disabled=false,800))</script>`,
	"json": oddForm + `<script>document.getElementById('f').addEventListener('submit',async e=>{e.preventDefault();
const r=await fetch('/set',{method:'POST',headers:{'Content-Type':'application/json'},body:JSON.stringify({user:{oldPassword:f.old.value,newPassword:f.new1.value}})});
document.body.innerHTML='<p role="status">Password changed</p><a href="/logout">Log out</a>'})</script>`,
	"xhr": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();const x=new XMLHttpRequest();x.open('POST','/set');x.setRequestHeader('Content-Type','application/x-www-form-urlencoded');
x.onload=()=>{document.body.innerHTML='<p role="status">Password changed</p><a href="/logout">Log out</a>'};x.send(new URLSearchParams(new FormData(f)))})</script>`,
	"double":    oddForm + `<script>document.getElementById('f').addEventListener('submit',()=>{fetch('/set',{method:'POST',body:new URLSearchParams(new FormData(f))})})</script>`,
	"validates": oddForm + `<script>document.getElementById('n').addEventListener('change',e=>fetch('/validate',{method:'POST',body:JSON.stringify({password:e.target.value})}))</script>`,
	// An AJAX suggestion that arrives late and replaces what was typed, once.
	"suggests": oddForm + `<script>setTimeout(()=>{for(const i of ['n','r'])document.getElementById(i).value='suggested-by-the-site-1'},350+Math.random()*200)</script>`,

	"tampers":          oddForm + `<script>document.getElementById('f').addEventListener('submit',()=>{f.new1.value='set-by-the-page-1';f.new2.value='set-by-the-page-1'})</script>`,
	"tampers2":         oddForm + `<script>document.getElementById('f').addEventListener('submit',()=>{f.new2.value='set-by-the-page-1'})</script>`,
	"truncates":        oddForm + `<script>document.getElementById('f').addEventListener('submit',()=>{for(const i of ['new1','new2'])f[i].value=f[i].value.slice(0,8)})</script>`,
	"adds":             oddForm + `<script>document.getElementById('f').addEventListener('formdata',e=>e.formData.append('new_password','set-by-the-page-1'))</script>`,
	"hashes":           oddForm + `<script>document.getElementById('f').addEventListener('submit',()=>{for(const i of ['new1','new2'])f[i].value=btoa(f[i].value)})</script>`,
	"elsewhereTampers": oddElsewhere + `tampers"><\/iframe>')</script>`,
	"getTamper":        strings.Replace(oddForm, `method="post"`, `method="get"`, 1) + `<script>document.getElementById('f').addEventListener('submit',()=>{f.new1.value=f.new2.value='set-by-the-page-1'})</script>`,
	"jsonpTamper":      oddForm + oddJSONP + `btoa(f.new1.value)})</script>`,
	"popupTamper":      strings.Replace(oddForm, `action=`, `target="_blank" action=`, 1) + `<script>document.getElementById('f').addEventListener('submit',()=>{f.new1.value='set-by-the-page-1'})</script>`,
	"worker": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();
new Worker(URL.createObjectURL(new Blob(["fetch('"+location.origin+"/set',{method:'POST',headers:{'Content-Type':'application/x-www-form-urlencoded'},body:'new1=set-by-the-page-1&new2=set-by-the-page-1'})"])))})</script>`,
	"resets":  oddForm + `<script>setInterval(()=>{document.getElementById('n').value='set-by-the-page-1'},20)</script>`,
	"nothing": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>e.preventDefault())</script>`,
	"objects": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();document.body.insertAdjacentHTML('beforeend','<p class=error>The password is too weak.</p>')})</script>`,
	"jsonp":   oddForm + oddJSONP + `f.new1.value})</script>`,
	"image": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();const i=new Image();
i.onload=i.onerror=()=>done();i.src='/set?'+new URLSearchParams({new1:f.new1.value})});` + oddDone + `</script>`,
	"header":       oddForm + `<script>document.getElementById('f').addEventListener('submit',async e=>{e.preventDefault();await fetch('/set',{headers:{'X-New-Password':f.new1.value}});done()});` + oddDone + `</script>`,
	"headerTamper": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();fetch('/set',{headers:{'X-New-Password':'set-by-the-page-1'}})})</script>`,
	"cookie":       oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();document.cookie='new1='+f.new1.value+';path=/';location.href='/set'})</script>`,
	// What a page sends through a WebSocket passes no gate.
	"socket":        oddForm + oddSocket + `})</script>`,
	"socketAddress": oddForm + `<script>document.getElementById('f').addEventListener('submit',e=>{e.preventDefault();new WebSocket('ws://'+location.host+'/socket?new1='+f.new1.value)})</script>`,
	"socketRefuses": oddForm + oddSocket + `document.body.insertAdjacentHTML('beforeend','<p class=error>The password is too weak.</p>')})</script>`,
	"deletes":       `<form method="post" action="/set"><h2>Delete account</h2><input type="password" name="old" placeholder="Current password"><input type="password" name="new1" placeholder="New password"><button>Delete my account</button></form>`,
}

func (o *oddApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	cookie, err := r.Cookie("in")
	in := err == nil && cookie.Value == "yes"
	switch {
	case r.URL.Path == "/sign-in" && r.Method == http.MethodGet:
		fmt.Fprint(w, `<form method="post"><input name="username" autocomplete="username"><input name="password" type="password"><button>Sign in</button></form>`)
	case r.URL.Path == "/sign-in":
		http.SetCookie(w, &http.Cookie{Name: "in", Value: "yes", Path: "/"})
		http.Redirect(w, r, "/home", http.StatusSeeOther)
	case !in && !strings.HasPrefix(r.Host, "localhost"):
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	case r.URL.Path == "/home":
		fmt.Fprint(w, `<p>Welcome</p><a href="/logout">Log out</a>`)
	case strings.HasPrefix(r.URL.Path, "/page/"):
		fmt.Fprint(w, `<!doctype html><a href="/logout">Log out</a>`+oddPages[strings.TrimPrefix(r.URL.Path, "/page/")])
	case r.URL.Path == "/set":
		o.mutex.Lock()
		o.got = append(o.got, password(r))
		o.mutex.Unlock()
		fmt.Fprint(w, `<p role="status">Your password has been changed.</p><a href="/logout">Log out</a>`)
	case r.URL.Path == "/socket":
		if r.URL.RawQuery != "" {
			o.mutex.Lock()
			o.got = append(o.got, password(r))
			o.mutex.Unlock()
		}
		websocket.Handler(func(connection *websocket.Conn) {
			var document struct {
				User struct{ NewPassword string }
			}
			for websocket.JSON.Receive(connection, &document) == nil {
				o.mutex.Lock()
				o.got = append(o.got, document.User.NewPassword)
				o.mutex.Unlock()
			}
		}).ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

func password(r *http.Request) string {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var document struct {
			User struct{ NewPassword string }
		}
		content, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(content, &document)
		return document.User.NewPassword
	}
	if value := r.Header.Get("X-New-Password"); value != "" {
		return value
	}
	if kept, err := r.Cookie("new1"); err == nil {
		return kept.Value
	}
	_ = r.ParseMultipartForm(1 << 20)
	return r.FormValue("new1")
}

func (o *oddApp) passwords() []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return slices.Clone(o.got)
}

func TestGate(t *testing.T) {
	b := connector(t)
	for name := range oddPages {
		t.Run(name, func(t *testing.T) {
			app := &oddApp{}
			server := httptest.NewServer(app)
			defer server.Close()
			target := rotation.Target{AppName: name, Domains: []string{"127.0.0.1", "localhost"}, SignInURL: server.URL + "/sign-in", ChangeURL: server.URL + "/page/" + name, Settings: []byte(`{"timeout_seconds": 6}`)}
			var count counter
			report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release)
			clean(t, report)
			t.Logf("%s after %s: %s", report.Outcome, report.Finished.Sub(report.Started), report.Detail)
			switch name {
			case "tampers", "tampers2", "truncates", "adds", "hashes", "getTamper", "jsonpTamper", "headerTamper", "cookie", "popupTamper", "worker", "resets", "nothing", "objects", "deletes", "elsewhereTampers":
				want := rotation.NotSent
				switch name {
				case "objects":
					want = rotation.Refused
				case "deletes":
					want = rotation.FormNotFound
				}
				if report.Outcome != want || report.Released || count.calls != 0 || len(app.passwords()) != 0 {
					t.Errorf("%s, released %v, release called %d times, the app got %d passwords\n%s", report.Outcome, report.Released, count.calls, len(app.passwords()), report.Model)
				}
			case "socket", "socketAddress", "socketRefuses":
				if got := app.passwords(); report.Outcome != rotation.Unknown || report.Stage != rotation.StageSubmit || report.Released || count.calls != 0 || len(got) != 1 || got[0] != second {
					t.Errorf("%s after %s, released %v, release called %d times, the app got %d passwords\n%s", report.Outcome, report.Stage, report.Released, count.calls, len(got), report.Model)
				}
			default:
				// What a pop-up answers is not seen on the page, and a page that sends twice loses the
				// answer of the second request with the request. Both are left to the proofs.
				applied := report.Outcome == rotation.Applied || (name == "popup" || name == "double") && report.Outcome == rotation.TimedOut
				if got := app.passwords(); !applied || !report.Released || count.calls != 1 || len(got) != 1 || got[0] != second {
					t.Errorf("%s, released %v, release called %d times, the app got %d passwords (right: %v)\n%s", report.Outcome, report.Released, count.calls, len(got), slices.Contains(got, second), report.Model)
				}
			}
		})
	}
}

func withHeader(r *network.Request, name, value string) *network.Request {
	r.Headers[name] = value
	return r
}

func TestJudge(t *testing.T) {
	const candidate = `a+b &"ü\7*x`
	request := func(method, address, kind, body string) *network.Request {
		r := &network.Request{Method: method, URL: address, Headers: network.Headers{"content-type": kind}}
		if body != "" {
			r.HasPostData, r.PostDataEntries = true, []*network.PostDataEntry{{Bytes: []byte(body)}}
		}
		return r
	}
	quoted, _ := json.Marshal(candidate)
	const encoded = `a%2Bb+%26%22%C3%BC%5C7*x`
	const form, page = "application/x-www-form-urlencoded", "https://app.example/x"
	multi := "--B\r\nContent-Disposition: form-data; name=\"pw\"\r\n\r\n%s\r\n--B--\r\n"
	for name, c := range map[string]struct {
		request *network.Request
		want    judgement
	}{
		"form":                {request("POST", page, form, "csrf=1&pw="+encoded+"&pw2="+encoded), change},
		"other value":         {request("POST", page, form, "pw="+encoded+"&pw2=other"), tampered},
		"empty":               {request("POST", page, form, "pw=&pw2="), tampered},
		"hidden empty":        {request("POST", page, form, "pw="+encoded+"&pass2="), change},
		"hidden other":        {request("POST", page, form, "pw="+encoded+"&pass2=other-value"), tampered},
		"another new":         {request("POST", page, form, "pw="+encoded+"&new_password=other-value"), tampered},
		"a switch":            {request("POST", page, form, "pw="+encoded+"&confirm_password_policy=on"), change},
		"multipart":           {request("POST", page, "multipart/form-data; boundary=B", fmt.Sprintf(multi, candidate)), change},
		"multipart cut":       {request("POST", page, "multipart/form-data; boundary=B", fmt.Sprintf(multi, candidate[:4])), tampered},
		"json":                {request("POST", page, "application/json", `{"a":{"pw":`+string(quoted)+`}}`), change},
		"json list":           {request("POST", page, "application/json", `[{"fields":[{"pw":`+string(quoted)+`,"pw2":"other"}]}]`), tampered},
		"json by another key": {request("PUT", page, "application/json", `{"secret":`+string(quoted)+`}`), change},
		"graphql":             {request("POST", page, "application/graphql+json", `{"query":"mutation","variables":{"newPassword":`+string(quoted)+`}}`), change},
		"embedded":            {request("POST", page, "application/octet-stream", "\x00\x01"+candidate), tampered},
		"inside another text": {request("POST", page, form, "note=x"+encoded+"x"), tampered},
		"query changed":       {request("GET", page+"?pw=other-value", "", ""), tampered},
		"header":              {withHeader(request("GET", page, "", ""), "X-Set", candidate), change},
		"header changed":      {withHeader(request("GET", page, "", ""), "X-New-Password", "other-value"), tampered},
		"where it comes from": {withHeader(request("GET", page, "", ""), "Referer", page+"?pw="+encoded), unrelated},
		"query":               {request("GET", page+"?pw="+encoded, "", ""), change},
		"plain":               {request("POST", page, "text/plain", "pw="+candidate+"\r\n"), change},
		"nothing of it":       {request("POST", page, form, "heartbeat=1"), unrelated},
		"old password only":   {request("POST", page, form, "old=whatever-it-is"), unrelated},
	} {
		g := &gate{candidate: seal.NewSecret(candidate), names: map[string]bool{"pw": true, "pw2": true}, hidden: map[string]bool{"pass2": true}, old: map[string]bool{"old": true}}
		if got, reason := g.judge(c.request, network.ResourceTypeDocument); got != c.want {
			t.Errorf("%s: %d (%s), want %d", name, got, reason, c.want)
		}
	}
	early := &gate{candidate: seal.NewSecret(candidate)}
	if got, _ := early.judge(request("POST", page, form, "new_password=something"), network.ResourceTypeXHR); got != unrelated {
		t.Error("the gate stops requests before there is anything to guard")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("application/json", `{"a":["b",{"c":"d"}]}`)
	f.Add("multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"pw\"\r\n\r\nx\r\n--B--\r\n")
	f.Add("application/x-www-form-urlencoded", "a=%zz&b=1")
	f.Fuzz(func(t *testing.T, kind, content string) {
		g := &gate{candidate: seal.NewSecret("candidate"), names: map[string]bool{"pw": true}}
		request := &network.Request{Method: "POST", URL: "https://app.example/", HasPostData: true, Headers: network.Headers{"Content-Type": kind}, PostDataEntries: []*network.PostDataEntry{{Bytes: []byte(content)}}}
		if judged, _ := g.judge(request, network.ResourceTypeXHR); judged == unrelated && strings.Contains(content, "candidate") {
			t.Errorf("the candidate leaves unseen in %q", content)
		}
	})
}
