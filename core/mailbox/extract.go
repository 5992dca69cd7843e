package mailbox

import (
	"regexp"
	"strings"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"

	"postern/core"
)

// extracted is what is understood of a message.
type extracted struct {
	subject string
	text    string // the plain one, or what HTML shows
	code    string
	link    string
	origin  string // the host the code says it is for
}

// These bound how much of a message is looked at for codes and links.
const (
	maxRead = 256 << 10 // of HTML
	maxSeen = 32 << 10  // of text
)

// extract finds the code and the link of a message to an account of an app with these domains.
func extract(in Incoming, domains []string) extracted {
	subject := strings.Join(strings.Fields(tidy(in.Subject.Reveal(), 4*maxSubject)), " ")
	plain, page := tidy(in.Text.Reveal(), maxText), shown{}
	if html := in.HTML.Reveal(); html != "" {
		page = show(core.Cut(html, maxRead))
		page.text = tidy(page.text, maxText)
	}
	found := extracted{subject: subject, text: plain}
	if strings.TrimSpace(plain) == "" {
		found.text = page.text
	}
	found.link = findLink(core.Cut(plain, maxSeen), page.links, domains)
	for _, text := range []string{plain, page.text} {
		code, origin := boundCode(text)
		if code == "" {
			continue
		}
		if found.origin = origin; within(origin, domains) {
			found.code = code
		} else {
			found.link = ""
		}
		return found
	}
	for _, text := range []string{plain, page.text} {
		if found.code = findCode(subject + "\n\n" + core.Cut(text, maxSeen)); found.code != "" {
			return found
		}
	}
	return found
}

// invisible are characters that take no room, which some put between the digits of a code or around it.
var invisible = strings.NewReplacer("\u200b", "", "\u200c", "", "\u200d", "", "\u200e", "", "\u200f", "", "\u2060", "", "\ufeff", "", "\u00ad", "", "\u034f", "",
	"\r\n", "\n", "\r", "\n", "\u00a0", " ", "\u202f", " ", "\u2007", " ", "\u2028", "\n", "\u2029", "\n",
	"\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\x00", "")

// tidy gives at most size bytes of a text in the form that is looked through: one spelling per character (NFKC: full-width
// digits are digits).
func tidy(text string, size int) string {
	return core.Cut(norm.NFKC.String(core.Cut(invisible.Replace(text), size)), size)
}

// boundLine is the last line of an origin-bound code: https://wicg.github.io/sms-one-time-codes/ §4.1.
var boundLine = regexp.MustCompile(`^@([^\s#@]+) #(\S{1,64})(?: %\S+)?$`)

// boundCode finds a code that says which host it is for.
func boundCode(text string) (code, origin string) {
	lines := strings.Split(strings.TrimRight(text, " \t\n"), "\n")
	// A mailing list or a mobile operator may add a line or two of its own.
	for i := len(lines) - 1; i >= max(0, len(lines)-4); i-- {
		if match := boundLine.FindStringSubmatch(strings.TrimSpace(lines[i])); match != nil {
			return match[2], strings.ToLower(match[1])
		}
	}
	return "", ""
}

// within reports whether a host that a code is bound to is one of an app's, or the site of one: example.com of
// login.example.com. A public suffix such as co.uk is no site.
func within(origin string, domains []string) bool {
	for _, domain := range domains {
		host, _ := splitDomain(domain)
		if origin == host || origin == domain {
			return true
		}
		site, err := publicsuffix.EffectiveTLDPlusOne(host)
		if err == nil && strings.HasSuffix(host, "."+origin) && (origin == site || strings.HasSuffix(origin, "."+site)) {
			return true
		}
	}
	return false
}

// splitDomain splits host:port, as accounts.App.Domains has them. Without a port it is empty.
func splitDomain(domain string) (host, port string) {
	if at := strings.LastIndexByte(domain, ':'); at >= 0 && !strings.HasSuffix(domain, "]") && (strings.Count(domain, ":") == 1 || strings.HasPrefix(domain, "[")) {
		domain, port = domain[:at], domain[at+1:]
	}
	return strings.Trim(domain, "[]"), port
}
