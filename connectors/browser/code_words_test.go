package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/core/rotation"
)

// An app that shows its sign-in form again and says that a code was wrong has not said so of the password.
func TestARefusedCodeIsNoRefusedPassword(t *testing.T) {
	b := connector(t)
	for said, want := range map[string]rotation.Outcome{
		"The code you entered is not valid.":                   rotation.Challenge,
		"The code 123456 is not valid.":                        rotation.Challenge,
		"Invalid two-factor code":                              rotation.Challenge,
		"Der Sicherheitscode ist ungültig.":                    rotation.Challenge,
		"Le code de vérification est incorrect.":               rotation.Challenge,
		"El código de verificación no es correcto: incorrecto": rotation.Challenge,
		"O código de verificação é inválido.":                  rotation.Challenge,
		"認証コードが正しくありません。":                                      rotation.Challenge,
		"The user name or password is not valid.":              rotation.Rejected,
		"Invalid password (error code 17).":                    rotation.Rejected,
	} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				if r.Method == http.MethodPost {
					_, _ = fmt.Fprintf(w, `<p role="alert">%s</p>`, said)
				}
				_, _ = fmt.Fprint(w, `<form method="post"><input name="user"><input type="password" name="pass"><button>Sign in</button></form>`)
			}))
			t.Cleanup(server.Close)
			target := rotation.Target{AppName: "Codes", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/"}
			expect(t, b.Verify(short(t), target, credential("quay", first)), want, rotation.StageVerify)
		})
	}
}
