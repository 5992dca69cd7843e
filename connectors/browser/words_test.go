package browser

import "testing"

// What applications say of a wrong password in as many words, and what only sounds like it.
func TestWhatIsSaidOfAWrongPassword(t *testing.T) {
	for said, want := range map[string]bool{
		"Please enter the correct username and password for a staff account. Note that both fields may be case-sensitive.": true,
		"mysqli::real_connect(): (HY000/1045): Access denied for user 'shared'@'127.0.0.1' (using password: YES)":          true,
		"Bitte geben Sie Benutzername und Passwort korrekt ein.":                                                           true,
		"Saisissez un nom d’utilisateur et un mot de passe valides.":                                                       true,
		"Por favor introduzca nombre de usuario y contraseña correctos.":                                                   true,
		"Por favor, insira um usuário e senha corretos.":                                                                   true,
		"正しいユーザー名とパスワードを入力してください。":                                                                                         true,
		"Please enter your user name and password.":                                                                        false,
		"Cannot log in to the MySQL server":                                                                                false,
		"Bitte geben Sie Ihren Benutzernamen ein.":                                                                         false,
		"Welcome back": false,
	} {
		if got := saysWrong.MatchString(said); got != want {
			t.Errorf("%q is called %v", said, got)
		}
	}
}
