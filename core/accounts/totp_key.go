package accounts

import (
	"encoding/base32"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"postern/core"
	"postern/core/seal"
)

const (
	maxTOTPText = 2048
	// minTOTPKey is what apps give out that care least; RFC 4226 4 R6 wants 16 bytes.
	minTOTPKey = 10
	maxTOTPKey = 128

	minTOTPPeriod = 15
	// MaxTOTPPeriod is the longest a code is good for, and so how long to wait for the next one.
	MaxTOTPPeriod = 2 * time.Minute
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// readTOTP reads an otpauth:// address or a secret in base32 and gives the one form in which it is kept. What is
// wrong with it is said without any of it.
func readTOTP(given seal.Secret) (seal.Secret, error) {
	text := strings.TrimSpace(given.Reveal())
	key := url.Values{"secret": {text}}
	switch {
	case text == "":
		return seal.Secret{}, badTOTP("give the otpauth:// address the app shows as a QR code, or the secret in base32")
	case len(text) > maxTOTPText:
		return seal.Secret{}, badTOTP("this is longer than any secret")
	case strings.HasPrefix(strings.ToLower(text), "otpauth:"):
		address, err := url.Parse(text)
		if err != nil {
			return seal.Secret{}, badTOTP("this otpauth:// address cannot be read")
		}
		if key, err = url.ParseQuery(address.RawQuery); err != nil {
			return seal.Secret{}, badTOTP("this otpauth:// address cannot be read")
		}
		if !strings.EqualFold(address.Host, "totp") || key.Has("counter") || key.Has("encoder") {
			return seal.Secret{}, badTOTP("codes are made by the clock only (otpauth://totp/…, RFC 6238)")
		}
	}
	one := func(name, otherwise string) (string, bool) {
		if !key.Has(name) {
			return otherwise, true
		}
		return key.Get(name), len(key[name]) == 1
	}
	secret, ok := one("secret", "")
	secret = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(secret))
	bytes, err := base32Text.DecodeString(strings.TrimRight(secret, "="))
	if !ok || err != nil || len(bytes) < minTOTPKey || len(bytes) > maxTOTPKey {
		return seal.Secret{}, badTOTP("the secret is to be base32 (A to Z, 2 to 7) of %d to %d bytes", minTOTPKey, maxTOTPKey)
	}
	algorithm, ok := one("algorithm", "SHA1")
	algorithm = strings.ReplaceAll(strings.ToUpper(algorithm), "-", "")
	if !ok || !slices.Contains([]string{"SHA1", "SHA256", "SHA512"}, algorithm) {
		return seal.Secret{}, badTOTP("the algorithm is to be SHA1, SHA256 or SHA512")
	}
	digits, ok := one("digits", "6")
	if !ok || digits != "6" && digits != "8" {
		return seal.Secret{}, badTOTP("a code is to have 6 or 8 digits")
	}
	period, ok := one("period", "30")
	seconds, err := strconv.Atoi(period)
	if !ok || err != nil || seconds < minTOTPPeriod || time.Duration(seconds)*time.Second > MaxTOTPPeriod {
		return seal.Secret{}, badTOTP("a code is to be good for %d to %d seconds", minTOTPPeriod, int(MaxTOTPPeriod.Seconds()))
	}
	kept := url.Values{
		"secret": {base32Text.EncodeToString(bytes)}, "algorithm": {algorithm}, "digits": {digits}, "period": {strconv.Itoa(seconds)},
	}
	return seal.NewSecret("otpauth://totp/?" + kept.Encode()), nil
}

func badTOTP(format string, arguments ...any) error {
	return core.Invalid("secret", format, arguments...).WithCode("not_a_totp_secret")
}

// CheckTOTP refuses what SetTOTP would: what codes cannot be made from.
func CheckTOTP(given seal.Secret) error {
	_, err := readTOTP(given)
	return err
}

// Code is a one-time code, and when it is good.
type Code struct {
	Code  seal.Secret
	From  time.Time
	Until time.Time
	Spent bool // Postern itself signed in with it: the app takes the next one
}

// codeAt makes the code of a moment from what readTOTP gave.
func codeAt(kept seal.Secret, at time.Time) (Code, error) {
	key, err := otp.NewKeyFromURL(kept.Reveal())
	if err != nil { // which would show the secret
		return Code{}, core.Internal(errors.New("accounts: a stored TOTP secret cannot be read"))
	}
	period := int64(key.Period())
	text, err := totp.GenerateCodeCustom(key.Secret(), at, totp.ValidateOpts{Period: uint(period), Digits: key.Digits(), Algorithm: key.Algorithm()})
	if err != nil {
		return Code{}, core.Internal(errors.New("accounts: a stored TOTP secret makes no code"))
	}
	from := time.Unix(at.Unix()-at.Unix()%period, 0).UTC()
	return Code{Code: seal.NewSecret(text), From: from, Until: from.Add(time.Duration(period) * time.Second)}, nil
}
