package inbox

import (
	"bytes"
	"context"
	"net"
	"strings"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/dkim"
)

func (r *Receiver) resolver() spf.DNSResolver {
	if r.Resolver != nil {
		return r.Resolver
	}
	return net.DefaultResolver
}

// checkSPF says whether a host may send for the domain of an envelope's sender, or for the name it greets with if that is
// empty: as RFC 7208 2.6 has it, and the domain.
func (r *Receiver) checkSPF(ctx context.Context, from net.IP, greeting, sender string) string {
	domain := greeting
	if at := strings.LastIndexByte(sender, '@'); at >= 0 {
		domain = sender[at+1:]
	}
	result, _ := spf.CheckHostWithSender(from, greeting, sender, spf.WithContext(ctx), spf.WithResolver(r.resolver())) // the error says why; the result is enough
	return string(result) + " " + strings.ToLower(domain)
}

// maxSignatures is how many signatures of a message are checked.
const maxSignatures = 5

// checkDKIM says what each of a message's signatures is worth, and whose it is: RFC 8601 2.7.1. "none" if there is none.
func (r *Receiver) checkDKIM(ctx context.Context, raw []byte) string {
	found, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{
		MaxVerifications: maxSignatures,
		LookupTXT:        func(name string) ([]string, error) { return r.resolver().LookupTXT(ctx, name) },
	})
	if err != nil && len(found) == 0 {
		return "permerror"
	}
	if len(found) == 0 {
		return "none"
	}
	var said []string
	for _, one := range found {
		result := "fail"
		switch {
		case one.Err == nil:
			result = "pass"
		case dkim.IsTempFail(one.Err):
			result = "temperror"
		case dkim.IsPermFail(one.Err):
			result = "permerror"
		}
		said = append(said, result+" "+strings.ToLower(one.Domain))
	}
	return strings.Join(said, ", ")
}
