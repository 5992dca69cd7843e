package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/core/rotation"
	"postern/core/seal"
)

// languages are those the words are for.
var languages = []string{"English", "German", "French", "Spanish", "Portuguese", "Japanese"}

// said is what applications answer a sign-in with: Keycloak, Devise, Laravel, Django and the like.
var said = map[rotation.Outcome]map[string][]string{
	rotation.Rejected: {
		"English":    {"Invalid username or password.", "These credentials do not match our records.", "Invalid Email or password."},
		"German":     {"Ungültiger Benutzername oder Passwort.", "Diese Kombination aus Zugangsdaten wurde nicht in unserer Datenbank gefunden.", "E-Mail oder Passwort ist falsch."},
		"French":     {"Nom d'utilisateur ou mot de passe invalide.", "Ces identifiants ne correspondent pas à nos enregistrements.", "Courriel ou mot de passe incorrect."},
		"Spanish":    {"Usuario o contraseña incorrectos.", "Estas credenciales no coinciden con nuestros registros.", "Nombre de usuario o contraseña inválidos."},
		"Portuguese": {"Nome de usuário ou senha inválida.", "Essas credenciais não correspondem aos nossos registros.", "CPF ou senha inválidos"},
		"Japanese":   {"無効なユーザー名またはパスワードです。", "認証情報と一致するレコードがありません。", "Eメールまたはパスワードが違います。", "ログイン情報が登録されていません。"},
	},
	rotation.Locked: {
		"English":    {"Your account has been locked due to too many incorrect login attempts.", "Too many login attempts. Please try again in 60 seconds.", "Account is temporarily disabled; contact your administrator or retry later."},
		"German":     {"Zu viele Loginversuche. Versuchen Sie es bitte in 60 Sekunden nochmal.", "Ihr Konto ist vorübergehend gesperrt.", "Das Benutzerkonto ist vorübergehend deaktiviert, bitte versuchen Sie es später erneut.", "Ihr Konto wurde nach 5 fehlgeschlagenen Versuchen gesperrt."},
		"French":     {"Compte temporairement bloqué. Réessayez plus tard.", "Votre compte est verrouillé.", "Tentatives de connexion trop nombreuses. Veuillez essayer de nouveau dans 60 secondes.", "Ce compte est temporairement désactivé, contactez votre administrateur ou réessayez plus tard."},
		"Spanish":    {"Cuenta temporalmente deshabilitada. Contacte con el administrador o inténtelo de nuevo más tarde.", "Demasiados intentos de acceso. Por favor intente nuevamente en 60 segundos.", "Su cuenta está bloqueada temporalmente.", "Ha superado el número máximo de intentos."},
		"Portuguese": {"Sua conta está temporariamente bloqueada devido a muitas tentativas de login.", "Muitas tentativas de login. Tente novamente em 60 segundos.", "Conta temporariamente desabilitada, contate o administrador ou tente mais tarde.", "Você excedeu o número de tentativas."},
		"Japanese":   {"アカウントは一時的に無効です。管理者に連絡、またはしばらく時間をおいてから再度お試しください。", "アカウントがロックされています。", "ログイン試行回数の上限を超えました。", "ログインの試行回数が多すぎます。60 秒後にお試しください。"},
	},
	rotation.Disabled: {
		"English":    {"Account is disabled, contact your administrator.", "Your account has been suspended.", "Your account is not activated yet."},
		"German":     {"Ihr Benutzerkonto ist gesperrt, bitte kontaktieren Sie den Admin.", "Ihr Konto wurde deaktiviert.", "Ihr Konto ist nicht aktiv."},
		"French":     {"Ce compte a été désactivé.", "Compte désactivé, contactez votre administrateur.", "Votre compte est suspendu."},
		"Spanish":    {"La cuenta está deshabilitada, contacte con el administrador.", "Su cuenta ha sido desactivada.", "Esta cuenta está inactiva."},
		"Portuguese": {"Sua conta está desabilitada. Entre em contato com o suporte.", "Conta desativada, contate o administrador.", "Esta conta está inativa."},
		"Japanese":   {"アカウントは無効です。管理者に連絡してください。", "あなたのアカウントは凍結されています。", "このアカウントは停止されています。"},
	},
	rotation.MustChange: {
		"English":    {"Your password has expired.", "You must change your password before you can continue."},
		"German":     {"Ihr Passwort ist abgelaufen.", "Sie müssen Ihr Passwort ändern.", "Ihr Kennwort muss geändert werden."},
		"French":     {"Votre mot de passe a expiré.", "Vous devez changer votre mot de passe.", "Le mot de passe doit être modifié."},
		"Spanish":    {"Su contraseña ha caducado.", "Tiene que cambiar su contraseña.", "Debe cambiar la contraseña para continuar."},
		"Portuguese": {"Sua senha expirou.", "Você precisa mudar sua senha.", "Você deve alterar sua senha antes de continuar."},
		"Japanese":   {"パスワードの有効期限が切れています。", "パスワードの更新が必要です。", "パスワードを変更してください。"},
	},
}

// answered is what applications answer a change with.
var answered = map[rotation.Outcome]map[string][]string{
	rotation.Refused: {
		"English":    {"Invalid password: minimum length 8.", "This password is too common.", "The password must differ from the last 3 passwords."},
		"German":     {"Ungültiges Passwort: Es muss mindestens 8 Zeichen lang sein.", "Das Kennwort darf nicht einem der letzten 3 Kennwörter entsprechen.", "Dieses Passwort ist viel zu häufig verwendet.", "Passwörter sind nicht identisch."},
		"French":     {"Mot de passe invalide : longueur minimale 8.", "Ce mot de passe est trop court. Il doit contenir au minimum 8 caractères.", "Le mot de passe ne doit pas être identique aux 3 derniers.", "Ce mot de passe est trop courant."},
		"Spanish":    {"Contraseña incorrecta: longitud mínima 8.", "Esta contraseña es demasiado corta. Debe contener al menos 8 caracteres.", "La contraseña no puede ser igual a ninguna de las últimas 3.", "Esta contraseña es demasiado común."},
		"Portuguese": {"Senha inválida: tamanho mínimo 8.", "Esta senha é muito curta. Ela precisa conter pelo menos 8 caracteres.", "A nova senha não pode ser igual às 3 últimas.", "Esta senha é muito comum."},
		"Japanese":   {"無効なパスワード: 最小 8 の長さが必要です。", "このパスワードは短すぎます。最低 8 文字以上必要です。", "最近の 3 パスワードのいずれかと同じパスワードは禁止されています。", "このパスワードは一般的すぎます。", "パスワードは8文字以上で入力してください。"},
	},
	rotation.Applied: {
		"English":    {"Your password has been updated.", "Password changed successfully."},
		"German":     {"Ihr Passwort wurde aktualisiert.", "Das Kennwort wurde erfolgreich geändert.", "Passwort gespeichert."},
		"French":     {"Votre mot de passe a été mis à jour.", "Votre mot de passe a été modifié avec succès.", "Le mot de passe a bien été changé."},
		"Spanish":    {"Se ha actualizado su contraseña.", "Tu contraseña ha sido modificada correctamente.", "Contraseña cambiada con éxito."},
		"Portuguese": {"Sua senha foi alterada com sucesso.", "A sua palavra-passe foi atualizada.", "Senha atualizada."},
		"Japanese":   {"パスワードが更新されました。", "パスワードが正しく変更されました。", "パスワードを変更しました。"},
	},
}

// TestWhatAppsSay has every answer, in every language, understood for what it is and nothing else.
func TestWhatAppsSay(t *testing.T) {
	b := &Browser{}
	asks := form{Kind: "sign-in", Fields: []field{{Kind: "username"}, {Kind: "current"}}}
	for want, texts := range said {
		for _, language := range languages {
			if len(texts[language]) == 0 {
				t.Errorf("no %s in %s", want, language)
			}
			for _, text := range texts[language] {
				page := view{Ready: "complete", Forms: []form{asks}, Errors: []string{text}}
				if got, _ := b.newJob(rotation.Target{}).verdict(page); got != want {
					t.Errorf("%s: %q is %q, want %s", language, text, got, want)
				}
				if want != rotation.MustChange {
					continue
				}
				page = view{Ready: "complete", Forms: []form{{Kind: "change", Fields: []field{{Kind: "new"}, {Kind: "confirm"}}}}, Errors: []string{text}}
				if got, _ := b.newJob(rotation.Target{}).verdict(page); got != want {
					t.Errorf("%s: %q above a form is %q, want %s", language, text, got, want)
				}
			}
		}
	}
	for want, texts := range answered {
		for _, language := range languages {
			if len(texts[language]) == 0 {
				t.Errorf("no %s in %s", want, language)
			}
			for _, text := range texts[language] {
				page := view{Ready: "complete", Same: true, Lines: []string{text}}
				if want == rotation.Refused {
					page.Forms = []form{{Kind: "change", Fields: []field{{Kind: "new"}}}}
				}
				if got, _ := b.newJob(rotation.Target{}).answer(page); got != want {
					t.Errorf("%s: %q is %q, want %s", language, text, got, want)
				}
			}
		}
	}
}

// TestPagesInEveryLanguage: the forms say what they are for in words alone. The page that asks for the password once more has one
// field, called as it is or a confirmation.
func TestPagesInEveryLanguage(t *testing.T) {
	b := connector(t)
	for language, word := range map[string]struct {
		username, password, signIn, out, wrong string
		again, confirm, goOn                   string
		current, fresh, repeat, save, done     string
	}{
		"English":    {"Username or email", "Password", "Sign in", "Log out", "Invalid username or password.", "Password", "Confirm password", "Continue", "Current password", "New password", "Confirm new password", "Change password", "Your password has been updated."},
		"German":     {"Benutzername oder E-Mail", "Passwort", "Anmelden", "Abmelden", "Ungültiger Benutzername oder Passwort.", "Kennwort", "Passwort bestätigen", "Weiter", "Aktuelles Passwort", "Neues Passwort", "Neues Passwort bestätigen", "Speichern", "Ihr Passwort wurde aktualisiert."},
		"French":     {"Nom d’utilisateur ou courriel", "Mot de passe", "Se connecter", "Se déconnecter", "Nom d’utilisateur ou mot de passe invalide.", "Mot de passe", "Confirmez votre mot de passe", "Continuer", "Mot de passe actuel", "Nouveau mot de passe", "Confirmation du nouveau mot de passe", "Enregistrer", "Votre mot de passe a été mis à jour."},
		"Spanish":    {"Nombre de usuario o correo", "Contraseña", "Iniciar sesión", "Cerrar sesión", "Usuario o contraseña incorrectos.", "Contraseña", "Confirme su contraseña", "Continuar", "Contraseña actual", "Nueva contraseña", "Confirmar la nueva contraseña", "Guardar", "Se ha actualizado su contraseña."},
		"Portuguese": {"Nome de usuário ou e-mail", "Senha", "Entrar", "Encerrar sessão", "Nome de usuário ou senha inválida.", "Senha", "Confirme sua senha", "Continuar", "Senha atual", "Nova senha", "Confirme a nova senha", "Salvar", "Sua senha foi alterada com sucesso."},
		"Japanese":   {"ユーザー名またはメールアドレス", "パスワード", "ログイン", "ログアウト", "無効なユーザー名またはパスワードです。", "パスワード", "パスワードの確認", "続ける", "現在のパスワード", "新しいパスワード", "新しいパスワード (確認)", "保存", "パスワードが更新されました。"},
	} {
		for i, asked := range []string{word.again, word.confirm} {
			t.Run(fmt.Sprint(language, " ", i), func(t *testing.T) {
				t.Parallel()
				input := func(kind, label, name string) string {
					return fmt.Sprintf(`<label>%s <input type="%s" name="%s"></label>`, label, kind, name)
				}
				signIn := `<form method="post" action="/in">` + input("text", word.username, "f1") + input("password", word.password, "f2") + `<button>` + word.signIn + `</button></form>`
				out := `<a href="/x">` + word.out + `</a>`
				current := first
				sure := false
				mux := http.NewServeMux()
				say := func(w http.ResponseWriter, text string) {
					w.Header().Set("Content-Type", "text/html; charset=utf-8")
					_, _ = fmt.Fprint(w, "<!doctype html><title>Quay</title>", text)
				}
				mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { say(w, signIn) })
				mux.HandleFunc("POST /in", func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("f1") != "quay" || r.FormValue("f2") != current {
						say(w, `<p>`+word.wrong+`</p>`+signIn)
						return
					}
					say(w, out)
				})
				mux.HandleFunc("GET /set", func(w http.ResponseWriter, _ *http.Request) {
					if !sure {
						say(w, out+`<form method="post" action="/sure">`+input("password", asked, "f3")+`<button>`+word.goOn+`</button></form>`)
						return
					}
					say(w, out+`<form method="post" action="/set">`+input("password", word.fresh, "f4")+input("password", word.repeat, "f5")+input("password", word.current, "f6")+`<button>`+word.save+`</button></form>`)
				})
				mux.HandleFunc("POST /sure", func(w http.ResponseWriter, r *http.Request) {
					sure = r.FormValue("f3") == current
					http.Redirect(w, r, "/set", http.StatusSeeOther)
				})
				mux.HandleFunc("POST /set", func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("f6") == current && r.FormValue("f4") == r.FormValue("f5") {
						current = r.FormValue("f4")
						say(w, out+`<p>`+word.done+`</p>`)
					}
				})
				server := httptest.NewServer(mux)
				t.Cleanup(server.Close)
				target := rotation.Target{AppName: "Quay", Domains: []string{"127.0.0.1"}, SignInURL: server.URL + "/", ChangeURL: server.URL + "/set"}
				var count counter
				expect(t, b.Change(short(t), target, credential("quay", first), seal.NewSecret(second), count.release), rotation.Applied, rotation.StageSubmit)
				expect(t, b.Verify(short(t), target, credential("quay", second)), rotation.Accepted, rotation.StageVerify)
				expect(t, b.Verify(short(t), target, credential("quay", first)), rotation.Rejected, rotation.StageVerify)
			})
		}
	}
}
