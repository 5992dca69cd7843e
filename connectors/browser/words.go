package browser

import (
	"regexp"
	"slices"
)

// toChange is that the password must be changed, in the languages in which the one word for it tells it from advice.
const toChange = `müssen.{0,30}(kennwort|passwort).{0,20}(ändern|zurücksetzen|aktualisieren)|devez.{0,30}(changer|modifier|réinitialiser|mettre à jour).{0,20}mot de passe|` +
	`(debes?|tienes? que|necesitas?).{0,20}(cambiar|actualizar|restablecer).{0,20}contraseña|(deve|precisa|tem (que|de)).{0,20}(mudar|alterar|trocar|redefinir|atualizar).{0,20}(senha|palavra-passe)|` +
	`パスワード(の(更新|変更)が必要|を(更新|変更)(してください|する必要))`

// What applications say, in English, German, French, Spanish, Portuguese and Japanese.
var (
	// saysLocked: for a while, as after failed sign-ins.
	saysLocked = regexp.MustCompile(`(?i)(account|user|profile|login|access).{0,40}\blocked|\blocked.{0,30}(account|user)|too many (failed|unsuccessful|login|sign|incorrect|attempts|password)|temporarily (locked|blocked|disabled|suspended)|` +
		`konto.{0,40}gesperrt.{0,40}(versuch|minute|stunde|vorübergehend|später)|konto.{0,60}versuche?n? gesperrt|vorübergehend (gesperrt|deaktiviert|blockiert)|zu viele.{0,30}(versuche|anmeldungen)|` +
		`compte.{0,40}verrouill|temporairement (bloqué|verrouillé|suspendu|désactivé)|trop de tentatives|tentatives.{0,30}trop nombreuses|nombre.{0,30}tentatives.{0,20}(dépassé|atteint)|` +
		`temporalmente.{0,20}(bloquead|suspendid|deshabilitad|desactivad|inhabilitad)|(bloquead|suspendid|deshabilitad|desactivad).{0,20}temporalmente|demasiados intentos|(superado|excedido|alcanzado).{0,30}intentos|` +
		`temporariamente.{0,20}(bloquead|suspens|desabilitad|desativad|inativ)|(bloquead|suspens|desabilitad|desativad).{0,20}temporariamente|muitas tentativas|(excedeu|ultrapassou|atingiu).{0,30}tentativas|` +
		`アカウント.{0,20}ロック|試行回数|ロックされ|一時的に(無効|停止|凍結|ブロック|利用)`)

	// saysDisabled: until somebody at the app allows it again.
	saysDisabled = regexp.MustCompile(`(?i)(account|user|profile|login|access).{0,40}(disabled|suspended|blocked|deactivated|inactive|not active|not (been |yet )?activated|expired|banned|closed|terminated)|(disabled|suspended|blocked|deactivated|banned).{0,30}(account|user|login)|` +
		`konto.{0,40}(gesperrt|deaktiviert|abgelaufen|geschlossen|inaktiv|nicht (aktiv|freigeschaltet))|(benutzer|nutzer|zugang).{0,40}(gesperrt|deaktiviert)|` +
		`(compte|utilisateur).{0,40}(désactiv|bloqu|suspendu|expir|fermé|inactif|pas.{0,10}acti(f|vé))|` +
		`(cuenta|usuario).{0,40}(bloquead|desactivad|deshabilitad|suspendid|inhabilitad|inactiv|caducad|no.{0,20}activad)|` +
		`(conta|utilizador|usuário).{0,40}(bloquead|desativad|desabilitad|suspens|inativ|não.{0,20}ativad)|` +
		`(アカウント|ユーザー).{0,20}(無効|停止|凍結|ブロック|有効化されて)`)

	// saysExpired is the core of saysMustChange, for pages that show no form to change it with.
	saysExpired = regexp.MustCompile(`(?i)password.{0,30}(has |is |was )?expired|expired password|must (change|reset|update) your password|your password must be (changed|reset)|` +
		`(kennwort|passwort).{0,40}(abgelaufen|muss geändert)|mot de passe.{0,40}(expiré|doit être (changé|modifié))|contraseña.{0,40}(caducad|expirad)|debe cambiar.{0,20}contraseña|senha.{0,40}(expirad|expirou)|パスワード.{0,20}(期限切れ|有効期限)|` + toChange)

	saysWrong = regexp.MustCompile(`(?i)(wrong|invalid|incorrect|bad|unknown|unrecogni[sz]ed|not (valid|correct|recogni[sz]ed|registered|found)|did ?n.t match|does ?n.t match|do not match|mismatch|failed|failure).{0,80}(user|e-?mail|login|log in|sign|password|credential|passphrase|combination|account|authent)|` +
		`(user|e-?mail|login|log in|sign.?in|password|credential|passphrase|account|authent).{0,80}(wrong|invalid|incorrect|unknown|not (valid|correct|recogni[sz]ed|registered|found)|did ?n.t match|does ?n.t match|do not match|failed|denied)|` +
		`(enter|provide|use|supply|type)\b.{0,12}correct.{0,60}(user|e-?mail|login|password|credential)|access denied for |` +
		`geben sie.{0,60}(korrekt|richtig)|(saisi|entre)[sz]?.{0,60}(valides|corrects?)|(introdu|ingres).{0,60}correct|(insira|informe|digite).{0,60}corret|正しい.{0,30}入力|` +
		`(falsch|ungültig|unbekannt|fehlgeschlagen|nicht korrekt|stimm).{0,60}|(incorrect|invalide|erroné|inconnu|échou|mauvais).{0,60}|(incorrect[oa]s?|inválid[oa]s?|errad[oa]s?|desconocid[oa]|desconhecid[oa]|no coincid|não (confere|correspond)|falhou|fallid)|` +
		`ne correspond.{0,60}|zugangsdaten.{0,40}nicht|無効な.{0,30}パスワード|登録されていません|一致する.{0,20}ありません|` +
		`(正しくありません|間違って|違います|誤り|一致しません|無効です|失敗)`)

	saysMustChange = regexp.MustCompile(`(?i)(must|need to|have to|required to|please|should).{0,30}(change|reset|update|choose|set).{0,30}password|password.{0,30}(has |is )?expired|expired password|` +
		`(kennwort|passwort).{0,40}(abgelaufen|geändert werden|ändern sie)|mot de passe.{0,40}(expiré|doit être (changé|modifié))|contraseña.{0,40}(caducad|expirad|debe (cambiar|ser))|debe cambiar.{0,20}contraseña|senha.{0,40}(expirad|expirou|deve ser alterada)|パスワード.{0,20}(期限切れ|有効期限|変更する必要|変更してください)|` + toChange)

	saysChallenge = regexp.MustCompile(`(?i)captcha|not a robot|unusual (activity|traffic|sign)|verify (it.s you|your identity|that you)|verification code|security code|one.?time (code|password)|two.?factor|authenticat(or|ion) (app|code)|letters of the picture|` +
		`sicherheitscode|bestätigungscode|kein roboter|code de (vérification|sécurité)|pas un robot|código de (verificación|verificação|seguridad|segurança)|no soy un robot|não sou um robô|認証コード|確認コード|ロボットではありません`)

	// saysCode and saysPassword: which of the two an answer is about.
	saysCode     = regexp.MustCompile(`(?i)\b(code|token)\b|one.?time|\botp\b|2fa|two.?factor|passcode|einmal|(bestätigungs|sicherheits)code|código|認証コード|確認コード|ワンタイム`)
	saysPassword = regexp.MustCompile(`(?i)passwor[dt]|passwd|passphrase|credential|kennwort|mot de passe|contraseña|senha|palavra-passe|パスワード`)

	// saysUnknown: the app knows nobody of the name a forgotten password was asked for.
	saysUnknown = regexp.MustCompile(`(?i)(no|not|n.t|cannot|unknown|invalid).{0,60}(account|user|e-?mail|member|address)|(account|user|e-?mail|member|address).{0,60}(not|n.t|unknown|invalid|no match)|` +
		`(kein|nicht|unbekannt|ungültig).{0,60}(konto|benutzer|adresse|e-?mail)|(konto|benutzer|adresse|e-?mail).{0,60}(nicht|unbekannt|ungültig)|` +
		`(aucun|inconnu|invalide|introuvable).{0,60}|(n.existe|ne correspond)|(no (existe|hay|se encontr)|ningun|desconocid|inválid)|(não (existe|encontr|há)|nenhum|desconhecid)|` +
		`(見つかりません|存在しません|登録されていません|無効)`)

	// saysCodeWrong: of a one-time code, also where the form does not ask for it any more. A form's own token is none.
	saysCodeWrong = regexp.MustCompile(`(?i)(\bcode\b|one.?time|\botp\b|2fa|two.?factor|passcode|(bestätigungs|sicherheits|einmal)code|código).{0,60}(not valid|invalid|wrong|incorrect|expired|outdated|falsch|ungültig|abgelaufen|invalide|erroné|expiré|inválid|incorrect|caducad|expirad)|` +
		`(invalid|wrong|incorrect|expired|ungültiger?|falscher?).{0,30}(\bcode\b|\botp\b|passcode|einmalcode)|(認証|確認)コード.{0,20}(正しくありません|無効|違い|誤り)`)

	saysChanged = regexp.MustCompile(`(?i)(password|profile|settings|account|changes?|details).{0,60}(changed|updated|saved|reset|set successfully|successful)|(success|saved|updated).{0,60}(password|profile|settings|account|changes)|successfully (changed|updated|saved)|changes saved|` +
		`(kennwort|passwort|profil|änderungen|benutzerprofil).{0,60}(geändert|aktualisiert|gespeichert)|erfolgreich (geändert|aktualisiert|gespeichert)|` +
		`(mot de passe|profil|modifications).{0,60}(modifié|changé|mis à jour|enregistr)|(contraseña|perfil|cambios).{0,60}(cambiad|actualizad|guardad|modificad)|(cambiado|actualizado|guardado|modificado).{0,30}(contraseña|perfil|cambios)|(senha|palavra-passe|perfil|alterações).{0,60}(alterad|atualizad|salv|modificad)|` +
		`(パスワード|プロフィール).{0,20}(変更しました|更新しました|変更されました|更新されました|保存しました)`)

	saysRefused = regexp.MustCompile(`(?i)(too (short|long|weak|common|simple|similar)|at least \d+|at most \d+|minimum|maximum|must (contain|include|have|be|differ|not)|should (contain|have)|does ?n.t meet|do not meet|policy|requirements?|strength|previously used|used before|already (been )?used|reuse|history|not (allowed|accepted|strong)|same as|do not match|did ?n.t match|not the same|is required|wrong|incorrect|invalid|bad password)|` +
		`(zu (kurz|lang|schwach|einfach)|mindestens|höchstens|muss .{0,30}(enthalten|haben|sein)|bereits verwendet|häufig verwendet|anforderungen|richtlinie|stimmen nicht|nicht identisch|darf nicht|falsch|ungültig)|` +
		`(trop (court|long|faible|simple|courant|commun)|ne doit pas|au moins|au plus|doit (contenir|être|comporter)|déjà utilisé|ne correspond|incorrect|invalide)|` +
		`(demasiado (corta|larga|débil|común|similar|parecida)|longitud (mínima|máxima)|no (puede|debe) (ser|contener)|al menos|como mínimo|debe (contener|tener|ser)|ya (ha sido )?utilizada|no coincid|incorrect|no cumple)|` +
		`(muito (curta|longa|fraca|comum|simples|parecida)|tamanho (mínimo|máximo)|não (pode|deve) (ser|conter)|inválid|pelo menos|no mínimo|deve (conter|ter|ser)|já (foi )?utilizada|não (coincid|confere|atende)|incorret)|` +
		`(短すぎ|長すぎ|弱すぎ|一般的すぎ|似すぎ|無効なパスワード|少なくとも|禁止|使用できません|使えません|文字以上|文字以下|含める必要|使用済み|一致しません|正しくありません)`)
)

// firstThat returns the first text a pattern matches.
func firstThat(pattern *regexp.Regexp, texts []string) (string, bool) {
	if at := slices.IndexFunc(texts, pattern.MatchString); at >= 0 {
		return texts[at], true
	}
	return "", false
}

// since returns the lines that were not there before: what an application says in answer.
func since(before, now []string) []string {
	known := make(map[string]bool, len(before))
	for _, line := range before {
		known[line] = true
	}
	var fresh []string
	for _, line := range now {
		if !known[line] {
			fresh = append(fresh, line)
		}
	}
	return fresh
}
