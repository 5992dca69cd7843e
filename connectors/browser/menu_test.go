package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// single is a single-page application that has one address, makes its menu when it is opened, and asks for the new password
// in a dialog.
func single(menu, items string) (*httptest.Server, func() string) {
	var mutex sync.Mutex
	password := first
	known := func(r *http.Request) map[string]string {
		var given map[string]string
		_ = json.NewDecoder(r.Body).Decode(&given)
		return given
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Jetty</title><div id="root"></div><script>
const items = %q, root = document.getElementById("root");
const send = (path, body) => fetch(path, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
const home = () => {
  root.innerHTML = '<header><button type="button">Berths</button>%s</header><p>Ships in the harbour: 3</p><div id="menu"></div><div id="dialog"></div>';
  document.getElementById("account").onclick = () => {
    const menu = document.getElementById("menu");
    if (menu.innerHTML) { menu.innerHTML = ""; return; }
    menu.innerHTML = '<ul role="menu">' + items + '</ul>';
    for (const item of menu.querySelectorAll("li")) if (item.textContent === "Change password") item.onclick = change;
  };
};
const change = () => {
  document.getElementById("menu").innerHTML = "";
  document.getElementById("dialog").innerHTML = '<div role="dialog"><h2>Change password</h2><label>Current password <input type="password" id="o"></label><label>New password <input type="password" id="n"></label><label>Repeat it <input type="password" id="r"></label><button type="button" id="save">Save</button><p id="said" role="status"></p></div>';
  document.getElementById("save").onclick = async () => {
    const answer = await send("/change", {old: document.getElementById("o").value, newPassword: document.getElementById("n").value});
    document.getElementById("said").textContent = answer.ok ? "Your password has been changed." : "Wrong password.";
  };
};
root.innerHTML = '<form id="f"><label>User <input name="username"></label><label>Password <input type="password" name="password"></label><button>Sign in</button><p id="alert"></p></form>';
document.getElementById("f").onsubmit = async (e) => {
  e.preventDefault();
  const answer = await send("/session", Object.fromEntries(new FormData(e.target)));
  if (answer.ok) home(); else document.getElementById("alert").textContent = "Wrong username or password.";
};
</script>`, items, menu)
	})
	mux.HandleFunc("POST /session", func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		if given := known(r); given["username"] != "quay" || given["password"] != password {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST /change", func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		given := known(r)
		if given["old"] != password {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		password = given["newPassword"]
	})
	return httptest.NewServer(mux), func() string {
		mutex.Lock()
		defer mutex.Unlock()
		return password
	}
}

// What proves a sign-in, and the way to the new password, may be in a menu of the account's that somebody must open first.
func TestTheAccountsMenuIsOpened(t *testing.T) {
	b := connector(t)
	const items = `<li role="menuitem">Profile</li><li role="menuitem">Change password</li><li role="menuitem">Log out</li>`
	for name, menu := range map[string]string{
		"by its name": `<button type="button" id="account">quay (staff)</button>`,
		"by its role": `<button type="button" id="account" aria-haspopup="menu" aria-label="Account"><svg width="20" height="20"></svg></button>`,
	} {
		t.Run(name, func(t *testing.T) {
			server, password := single(menu, items)
			t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
			target := rotation.Target{AppName: "Jetty", SignInURL: server.URL + "/"}
			expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Accepted, rotation.StageVerify)
			expect(t, b.Verify(short(t), target, credential("quay", "wrong")), rotation.Rejected, rotation.StageVerify)
			rehearsal := counter{err: errors.New("a rehearsal")}
			report := b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), rehearsal.release)
			expect(t, report, rotation.NotSent, rotation.StageSubmit)
			var count counter
			expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
			expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Accepted, rotation.StageVerify)
			if count.calls != 1 || password() != second {
				t.Errorf("release was called %d times, and the right password is set: %v", count.calls, password() == second)
			}
			// As a recipe, the way that the rehearsal found leads there again.
			var model pageModel
			if err := json.Unmarshal(report.Model, &model); err != nil || model.Recipe == nil {
				t.Fatalf("no recipe in %s", report.Model)
			}
			target.Settings = settingsOf(t, model.Recipe)
			count = counter{}
			expect(t, b.Change(short(t), target, credential("quay", second), seal.NewSecret(first), count.release), rotation.Applied, rotation.StageSubmit)
			if count.calls != 1 || password() != first {
				t.Errorf("by the recipe: release was called %d times, and the right password is set: %v", count.calls, password() == first)
			}
		})
	}
}

// A menu without a way out proves nothing, and a button that does something is not opened to look.
func TestAMenuIsNoProof(t *testing.T) {
	b := connector(t)
	var pressed atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/pressed":
			pressed.Store(true)
		case r.Method == http.MethodPost:
			_, _ = fmt.Fprint(w, `<!doctype html><p>Hello</p><div id="m"></div><button type="button" onclick="m.innerHTML='<ul><li role=menuitem>Profile</li></ul>'" aria-haspopup="menu">Account</button>
<form action="/pressed"><button>quay</button><button aria-haspopup="menu">Account</button></form><button type="button" aria-haspopup="true" onclick="location='/pressed'">Delete account</button>
<button type="button" onclick="location='/pressed'">Disable quay</button><button type="button" onclick="location='/pressed'">quay, whose berth is given to somebody else</button>`)
		default:
			_, _ = fmt.Fprint(w, `<!doctype html><form method="post"><input name="username"><input type="password" name="password"><button>Sign in</button></form>`)
		}
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	expect(t, b.Verify(short(t), rotation.Target{AppName: "Pier", SignInURL: server.URL + "/"}, credential("quay", first)), rotation.Unknown, rotation.StageVerify)
	if pressed.Load() {
		t.Error("a button was pressed that does something")
	}
}
