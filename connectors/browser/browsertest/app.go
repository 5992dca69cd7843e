package browsertest

// App is an app as a person knows it who writes a script for it alone: its addresses, and selectors
// of what is on its pages.
type App struct {
	SignInURL, ChangeURL string

	Username, Password, Enter string // of the sign-in page
	In, Refused               string // shown when signed in, shown when not

	Reveal                string // pressed to show the new password's field; may be empty
	Current, New, Confirm string // of the change page; Current and Confirm may be empty
	Set                   string // the button
	Changed               string // shown when the password was changed
}

// Harbour is the sample app at an address.
func Harbour(address string) App {
	return App{
		SignInURL: address + "/sign-in", ChangeURL: address + "/account/password",
		Username: "#username", Password: "#password", Enter: "main button", In: "button.quiet", Refused: ".error",
		Current: "#current", New: "#new", Confirm: "#confirm", Set: "main form button", Changed: ".notice",
	}
}

// DokuWiki is Debian's DokuWiki, by the addresses of its two pages.
func DokuWiki(signIn, change string) App {
	return App{
		SignInURL: signIn, ChangeURL: change,
		Username: "input[name=u]", Password: "input[name=p]", Enter: "#dw__login button[type=submit]", In: ".action.logout", Refused: "div.error",
		Current: "#dw__register input[name=oldpass]", New: "input[name=newpass]", Confirm: "input[name=passchk]",
		Set: "#dw__register button[type=submit]", Changed: "div.success",
	}
}

// WordPress is Debian's WordPress, by the addresses of its two pages.
func WordPress(signIn, change string) App {
	return App{
		SignInURL: signIn, ChangeURL: change,
		Username: "#user_login", Password: "#user_pass", Enter: "#wp-submit", In: "#wpadminbar", Refused: "#login_error",
		Reveal: "button.wp-generate-pw", New: "#pass1", Set: "#submit", Changed: "#message.updated",
	}
}
