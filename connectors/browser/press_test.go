package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"postern/core/rotation"
)

// A style sheet or a picture that arrives late moves a button between the aim and the press.
func TestAButtonThatMovedIsPressedAgain(t *testing.T) {
	b := connector(t)
	var signIns atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.Method == http.MethodPost {
			signIns.Add(1)
			fmt.Fprint(w, `<a href="/logout">Log out</a>`)
			return
		}
		fmt.Fprint(w, `<form method="post"><input name="username" autocomplete="username"><input type="password" name="p"><div id="late"></div><button>Sign in</button></form>
			<script>addEventListener('mousedown', () => { document.getElementById('late').style.height = '300px' }, { once: true })</script>`)
	}))
	defer server.Close()
	expect(t, b.Verify(short(t), rotation.Target{SignInURL: server.URL + "/"}, credential("quay", first)), rotation.Accepted, "")
	if signIns.Load() != 1 {
		t.Errorf("%d sign-ins", signIns.Load())
	}
}

// What a page does with a press that reached its button is its own affair: nothing is pressed twice.
func TestAButtonIsPressedOnce(t *testing.T) {
	b := connector(t)
	var signIns atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.Method == http.MethodPost {
			signIns.Add(1)
			fmt.Fprint(w, `<a href="/logout">Log out</a>`)
			return
		}
		fmt.Fprint(w, `<form method="post"><input name="username" autocomplete="username"><input type="password" name="p"><div id="late"></div><button>Sign in</button></form>
			<script>
				const form = document.querySelector('form');
				document.querySelector('button').addEventListener('click', (event) => {
					event.preventDefault();
					event.stopImmediatePropagation();
					document.getElementById('late').style.height = '300px';
					fetch('/', { method: 'POST' }).then((answer) => answer.text()).then((text) => setTimeout(() => { document.body.innerHTML = text }, 300));
				});
			</script>`)
	}))
	defer server.Close()
	expect(t, b.Verify(short(t), rotation.Target{SignInURL: server.URL + "/"}, credential("quay", first)), rotation.Accepted, "")
	if signIns.Load() != 1 {
		t.Errorf("%d sign-ins", signIns.Load())
	}
}
