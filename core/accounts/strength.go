package accounts

import (
	"strings"

	"github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/match"
	"github.com/ccojocar/zxcvbn-go/matching"

	"postern/core/seal"
)

// Strength is how long a password withstands guessing, coarsely: more than a database need tell.
type Strength string

// The strengths.
const (
	Weak   Strength = "weak"   // guessed within a million attempts
	Fair   Strength = "fair"   // within a hundred million
	Strong Strength = "strong" // not
)

// What somebody else chose is judged at a bounded cost: the estimate takes time that grows with the square of
// the length, and doubles with each sign that may stand for a letter.
const (
	judgedLength = 32 // characters; of a longer password, its first
	disguises    = 6  // signs that may stand for letters, beyond which nobody reads a word any more
	maskSigns    = "4@8({[<369&#!1/|0$5+7%2"
)

// strengthOf judges a password as zxcvbn does (Wheeler, USENIX Security 2016): by the words, names, dates, rows of keys
// and repetitions it is made of. What it shares with the account counts as known.
func strengthOf(account Account, password seal.Secret) Strength {
	text := []rune(password.Reveal())
	text = text[:min(len(text), judgedLength)]
	seen := 0
	for _, sign := range maskSigns {
		for _, r := range text {
			if r == sign {
				seen++
				break
			}
		}
	}
	var without []func(match.Matcher) bool
	if seen > disguises {
		without = append(without, matching.FilterL33tMatcher)
	}
	known := strings.FieldsFunc(account.AppName+" "+account.Username, func(r rune) bool { return strings.ContainsRune(" .-_@+/", r) })
	switch zxcvbn.PasswordStrength(string(text), append(known, account.AppName, account.Username), without...).Score {
	case 0, 1:
		return Weak
	case 2:
		return Fair
	}
	return Strong
}
