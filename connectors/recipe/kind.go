package recipe

import (
	"regexp"
	"strings"
)

// What selectors say of a field, in the languages the browser's detection knows.
var (
	saysSecret = regexp.MustCompile(`(?i)passw|passphrase|passcode|passchk|(old|new|cur|user_?)pass|\bpass\d?\b|_pass|\bpwd|kennwort|mot.?de.?passe|contrase|senha|palavra.?passe|\bclave|\bsecret|\bpin\b|パスワード|暗証`)
	saysCode   = regexp.MustCompile(`(?i)one.?time|\botp|otp\b|totp|2fa|two.?factor|twofa|\bmfa|(verification|security|authenticat\w+|access|backup|recovery).?code|einmal|(bestätigungs|sicherheits)code|code.de.(vérification|sécurité)|c[oó]digo|\bcode\b|認証コード|確認コード|ワンタイム`)
	saysNew    = regexp.MustCompile(`(?i)new|\bneue?[sn]?\b|nouveau|nuev[ao]|\bnov[ao]\b|confirm|again|repeat|re-?type|re-?enter|once.(more|again)|verif|passchk|bestätig|wiederhol|nochmal|répét|repet|novamente|pass(word|wd)?_?[12]\b|新|確認|再入力|もう一度`)
	saysOld    = regexp.MustCompile(`(?i)current|\bold|_old|old.?pass|existing|aktuell|derzeit|bisherig|\balte[sn]?\b|actuel|ancien|actual\b|antigu|vigente|atual|antiga|現在|旧|古い|今の`)
)

// names is all that is known of the element a step is about. A word at a time: newPassword is "new Password".
func (s Step) names() string {
	var all []string
	for _, selector := range s.Selectors {
		for _, text := range selector {
			all = append(all, text, camel.ReplaceAllString(bare(text), "$1 $2"))
		}
	}
	return strings.Join(all, "\n")
}

var camel = regexp.MustCompile(`(\p{Ll})(\p{Lu})`)

const (
	passwordField = "a password field"
	codeField     = "a field for codes"
)

// kind says in words which kind of secret a field takes; empty if it takes none, as far as its names tell.
func (s Step) kind() string {
	names := s.names()
	switch {
	case saysSecret.MatchString(names):
		return passwordField
	case saysCode.MatchString(names):
		return codeField
	}
	return ""
}
