package hostile

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// field is one input. An application that changes its form gives it another name and label every time.
func (a *App) field(kind, name, label, other string) string {
	if a.behaves == ChangesForm {
		name = fmt.Sprintf("%s_f%d", strings.ToUpper(name[:1])+name[1:], a.pages)
		if a.pages%2 == 1 {
			label = other
		}
		return fmt.Sprintf(`<p><b>%s</b> <input type="%s" name="%s"></p>`, label, kind, name)
	}
	return fmt.Sprintf(`<label>%s <input type="%s" name="%s"></label>`, label, kind, name)
}

// given is what was typed into a field, whatever its name was.
func (a *App) given(r *http.Request, name string) string {
	_ = r.ParseForm()
	for key, values := range r.PostForm {
		before, _, _ := strings.Cut(key, "_")
		switch {
		case !strings.EqualFold(before, name):
		case a.behaves == Encodes && r.URL.Path == changePath:
			decoded, _ := base64.StdEncoding.DecodeString(values[0])
			return string(decoded)
		default:
			return values[0]
		}
	}
	return ""
}

// hidden puts a form where it is hard to find.
func (a *App) hidden(form string, signIn bool) string {
	switch a.behaves {
	case HidesInFrame:
		if !signIn {
			return `<iframe src="` + framePath + `" width="800" height="500"></iframe>`
		}
	case LeavesLabelsOpen:
		return strings.ReplaceAll(form, "</label>", "")
	case HidesInShadow:
		return inShadow(form, "open")
	case HidesInClosed:
		return inShadow(form, "closed")
	case HidesInDeclared:
		const begin, end = `<div><template shadowrootmode="closed">`, `</template></div>`
		return begin + begin + form + end + end
	case ThrowsDialogs:
		return form + `<script>alert("We value your privacy.");document.querySelector("form").addEventListener("submit",(e)=>{if(!confirm("Really?"))e.preventDefault()});addEventListener("beforeunload",(e)=>{if(!document.activeElement)e.preventDefault()})</script>`
	case Encodes:
		if !signIn {
			return form + `<script>document.querySelector("form").addEventListener("submit",()=>{for(const i of document.querySelectorAll("input"))i.value=btoa(i.value)})</script>`
		}
	case ReplacesField:
		if !signIn {
			return form + `<script>setTimeout(()=>{for(const i of document.querySelectorAll("input[name^=new],input[name^=repeat]"))i.value="Suggested-by-the-page-1"},250)</script>`
		}
	}
	return form
}

func inShadow(form, mode string) string {
	text, _ := json.Marshal(form) // a text is always one of JSON, which has no < here
	return fmt.Sprintf(`<div id="host"></div><script>document.getElementById("host").attachShadow({mode:%q}).innerHTML=%s</script>`, mode, text)
}

func (a *App) changePage(w http.ResponseWriter, r *http.Request, said string) {
	s := a.session(r)
	if s == nil {
		http.Redirect(w, r, signInPath, http.StatusSeeOther)
		return
	}
	u := a.users[s.username]
	first := !u.asked
	u.asked = true
	switch {
	case a.behaves == Hangs:
		a.hang(r)
		return
	case a.behaves == ExpiresSessions && first:
		a.signInPage(w, r, "Your session has expired. Sign in again.")
		return
	}
	out := `<a href="/sign-out">Sign out</a>`
	if a.behaves == HidesElsewhere {
		show(w, out+complaint(said)+a.frame(r, "change"))
		return
	}
	form := a.changeForm(said, fmt.Sprintf(`action="%s"%s`, changePath, target(r)))
	if r.URL.Path == framePath {
		show(w, form)
		return
	}
	show(w, out+a.hidden(form, false))
}

func (a *App) changeForm(said, how string) string {
	rules := ""
	if a.behaves == RefusesByPolicy {
		rules = `<p>8 to 16 letters and digits.</p>`
	}
	more := map[Behaviour]string{
		AsksMore:     `<label>Ticket <input name="ticket"></label>`,
		RequiresMore: `<label>Ticket <input name="ticket" required></label>`,
	}[a.behaves]
	return fmt.Sprintf(`%s%s<form method="post" %s>%s%s%s%s<button>Change password</button></form>`, complaint(said), rules, how,
		a.field("password", "current", "Current password", "Your old password"), a.field("password", "new", "New password", "Choose a new password"),
		a.field("password", "repeat", "Repeat the new password", "Confirm the new password"), more)
}

// target has a form in a frame answered in the whole window.
func target(r *http.Request) string {
	if r.URL.Path == framePath {
		return ` target="_top"`
	}
	return ""
}

func (a *App) change(w http.ResponseWriter, r *http.Request) {
	s := a.session(r)
	if s == nil {
		http.Redirect(w, r, signInPath, http.StatusSeeOther)
		return
	}
	u := a.users[s.username]
	a.settle(u)
	current, next := a.given(r, "current"), a.given(r, "new")
	switch {
	case a.cut(current) != a.cut(u.password):
		a.changePage(w, r, "The current password is wrong.")
		return
	case a.given(r, "repeat") != a.given(r, "new"):
		a.changePage(w, r, "The new passwords do not match.")
		return
	case (a.behaves == AsksMore || a.behaves == RequiresMore) && a.given(r, "ticket") == "":
		a.changePage(w, r, "There is no such ticket.")
		return
	case a.behaves == RefusesByPolicy && !policy.MatchString(next):
		a.changePage(w, r, "The new password must have 8 to 16 letters and digits.")
		return
	}
	switch a.behaves {
	case LiesSuccess:
		show(w, done)
		return
	case AppliesLate:
		u.late, u.due = next, a.now().Add(lateBy)
		show(w, done)
		return
	}
	u.password = a.cut(next)
	switch a.behaves {
	case LiesRefusal:
		a.changePage(w, r, "The new password is too weak.")
	case HangsAfterApplying:
		a.hang(r)
	case FailsAfterApplying:
		w.WriteHeader(http.StatusInternalServerError)
		show(w, `<p>Something went wrong.</p>`)
	default:
		show(w, done)
	}
}
