package mailbox

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const maxLink = 2048

var plainLink = regexp.MustCompile(`https?://[^\s<>"'\x60]+`)

// purposes are words in an address, or in what a link is shown by, of links that let somebody in.
var purposes = regexp.MustCompile(`verif|confirm|activat|magic|login|log-in|signin|sign-in|log in|sign in|reset|recover|token|auth|code=|passwor|passwort|kennwort|invite` +
	`|anmeld|einlogg|bestätig|zurücksetz|freischalt|connexion|connecter|vérif|réinitialis|mot de passe|iniciar|acceder|restablec|contraseña|entrar|acessar|redefin|senha` +
	`|ログイン|サインイン|確認|認証|再設定|リセット|パスワード`)

// asides are words of links that do something else.
var asides = regexp.MustCompile(`unsubscri|abmeld|désabonn|désinscri|baja|descadastr|配信停止|privacy|datenschutz|confidentialité|privacidad|terms|legal|imprint|impressum|help|support|hilfe|aide|ayuda|ajuda|preferences|settings|not[-_ ]?me|wasn|secure[-_ ]?account|report|\.(?:png|gif|jpe?g|css|svg)\b`)

// findLink finds the link of a message that most likely lets somebody in, among those to one of an app's hosts that hold
// something nobody guesses; empty if none.
func findLink(plain string, anchors []anchor, domains []string) string {
	found := slices.Clone(anchors)
	for _, at := range plainLink.FindAllStringIndex(plain, maxAnchors) {
		line := plain[:at[0]]
		if begin := strings.LastIndexByte(strings.TrimRight(line, " \n"), '\n'); begin >= 0 {
			line = line[begin:]
		}
		found = append(found, anchor{strings.TrimRight(plain[at[0]:at[1]], ".,;:!?)]}>"), line})
	}
	best, most := "", 0
	for _, one := range found {
		if weight := one.weight(domains); weight > most {
			best, most = one.address, weight
		}
	}
	return best
}

// weight is how likely a link lets somebody in: 0 if it certainly does not.
func (a anchor) weight(domains []string) int {
	address, err := url.Parse(a.address)
	if err != nil || len(a.address) > maxLink || address.User != nil || !toOne(address, domains) || !secretive(address) {
		return 0
	}
	where, words := strings.ToLower(address.RequestURI()), strings.ToLower(a.words)
	if asides.MatchString(where) || asides.MatchString(words) && !purposes.MatchString(where) {
		return 0
	}
	weight := 0
	if purposes.MatchString(where) {
		weight += 2
	}
	if purposes.MatchString(words) {
		weight++
	}
	return weight
}

// secretive reports whether something in an address is long enough that nobody guesses it.
func secretive(address *url.URL) bool {
	for _, values := range address.Query() {
		for _, value := range values {
			if len(value) >= 16 {
				return true
			}
		}
	}
	return slices.ContainsFunc(strings.Split(address.Path, "/"), func(part string) bool { return len(part) >= 16 && strings.ContainsAny(part, "0123456789") })
}

// toOne reports whether an address leads to one of an app's domains.
func toOne(address *url.URL, domains []string) bool {
	port := map[string]string{"https": "443", "http": "80"}[address.Scheme]
	if port == "" {
		return false
	}
	if address.Port() != "" {
		port = address.Port()
	}
	host := strings.ToLower(address.Hostname())
	return slices.ContainsFunc(domains, func(domain string) bool {
		allowed, at := splitDomain(domain)
		return allowed == host && (at == "" || at == port)
	})
}
