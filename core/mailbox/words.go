package mailbox

import "regexp"

// The words are of English, German, French, Spanish, Portuguese and Japanese. Texts are looked at in lower case and NFKC.

// keywords are words for a one-time code.
var keywords = regexp.MustCompile(`(?:pass|einmal|sicherheits|bestätigungs|verifizierungs|zugangs|anmelde|freischalt|aktivierungs|prüf|tan-|sms-|pin-)?-?codes?\b` +
	`|códigos?|\bclave\b|\bpin\b|\bm?tan\b|\botp\b|\btoken\b|passcode|one[- ]time (?:password|passcode|pin)|einmal-?(?:passwort|kennwort|pin)|\bkennziffer\b` +
	`|mot de passe (?:à usage unique|temporaire)|contraseña (?:de un solo uso|temporal|dinámica)|senha (?:de uso único|temporária|descartável)` +
	`|verification|verifizierung|bestätigungsnummer|vérification|verificación|verificação|authenti[fsz]i?[ck]a|autenticaci|autenticação` +
	`|コード|認証番号|確認番号|認証キー|暗証番号|ワンタイムパスワード|パスコード|検証番号`)

// misnomers are words with a keyword in them for something else.
var misnomers = regexp.MustCompile(`(?:zip|post|postal|promo|promotion|promotional|discount|coupon|voucher|gift|referral|error|status|area|country|dial|dialling|dialing|bar|qr|source|tracking|booking|reference|product|employee|dress|tax|sort|swift|bank|reason|invite|invitation)[- ]?codes?\b` +
	`|unicode|barcode|decode|encode|(?:gutschein|rabatt|aktions|fehler|länder|bar|qr-?|promo|bank|bic|einladungs|produkt)-?codes?\b` +
	`|codes? (?:postal|promo|promotionnel|réduction|barres|erreur|d'erreur|de réduction|avantage|parrainage|client)` +
	`|códigos? (?:postal|promocional|promo|de descuento|de desconto|de barras|de error|de erro|de área|de cliente|de pedido|de rastreo|de rastreio|qr|swift|iban|de reserva)` + //nolint:misspell // Spanish
	`|(?:クーポン|プロモーション|エラー|qr|バー|郵便|商品|紹介|招待|銀行|国)コード`)

// others are words that say what a number is that comes right behind them.
var others = regexp.MustCompile(`\b(?:order|invoice|ticket|case|account|acct|customer|member|card|flight|booking|reference|ref|tracking|shipment|parcel|request|transaction|receipt|contract|policy|id|phone|tel|telephone|fax|call|hotline|dial|ending|ends|copyright|suite|box|zip|version|build|room|street|sms|text)\b` +
	`|bestell|rechnung|auftrag|vertrag|kunden|konto|karte|telefon|ruf|vorgang|sendung|buchung|endet|endend|ticketnummer|referenz|\bplz\b|postfach` +
	`|commande|facture|client|compte|carte|téléphone|appel|contrat|réservation|colis|dossier|terminant|référence|numéro (?:de|d'|du)` +
	`|pedido|factura|fatura|cliente|cuenta|conta\b|tarjeta|cartão|teléfono|telefone|llam|ligue|contrato|reserva|terminad[ao]|expediente|protocolo|referencia|referência` +
	`|注文|請求|会員|口座|電話|お客様|予約|伝票|管理番号|受付番号|末尾|下4桁|お問い合わせ番号|©|\(c\)`)

// units are what makes the number before them an amount.
var units = regexp.MustCompile(`^[ -]?(?:minutes?|mins?\b|seconds?|secs?\b|hours?|days?|weeks?|months?|years?|points?|users?|people|bytes|kb\b|mb\b|eur\b|usd\b|gbp\b|chf\b|jpy\b|brl\b|dollars?|euros?` +
	`|minuten|sekunden|stunden?|tagen?|punkte|heures?|secondes|jours?|minutos?|segundos?|horas?|días?|dias?|reais|pesos|円|分|秒|時間|日|年|月|ポイント|名|件|%|€|\$|£|¥)`)
