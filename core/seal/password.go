package seal

import (
	"crypto/rand"
	"strings"
)

// Characters a generated password is made of. Letters and digits that look alike (0 O 1 l I) are
// left out, for people who must type a revealed password; the symbols survive HTML forms, URLs,
// shells' single quotes and every common list of allowed symbols.
const (
	lower          = "abcdefghijkmnopqrstuvwxyz"
	upper          = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	digits         = "23456789"
	DefaultSymbols = "!@*-_."
)

// Length limits of a generated password.
const (
	DefaultPasswordLength = 24
	MinPasswordLength     = 8
	MaxPasswordLength     = 128
)

// Classes is a set of character classes.
type Classes uint8

// The classes.
const (
	Lower Classes = 1 << iota
	Upper
	Digits
	Symbols
)

// AllClasses is the default set.
const AllClasses = Lower | Upper | Digits | Symbols

// PasswordPolicy says what an app accepts. The zero policy is good for nearly every web form.
type PasswordPolicy struct {
	// Length in characters; 0 is 24, otherwise kept within 8 and 128.
	Length int
	// Classes that appear, each LeastOfEach times; 0 is all of them.
	Classes Classes
	// AllowedSymbols replaces DefaultSymbols. Only ASCII punctuation counts; if none is left, the
	// class Symbols is dropped.
	AllowedSymbols string
}

// GeneratePassword makes a password: every one that fits the policy is equally likely. It begins
// and ends with a letter or digit where the policy has them, since some forms trim or refuse a
// symbol there.
func GeneratePassword(policy PasswordPolicy) Secret {
	length := policy.Length
	if length == 0 {
		length = DefaultPasswordLength
	}
	length = min(max(length, MinPasswordLength), MaxPasswordLength)
	sets := policy.sets()
	alphabet := strings.Join(sets, "")
	plain := strings.ContainsAny(alphabet, lower+upper+digits)
	least := LeastOfEach(length)
	// Drawing again as a whole keeps the choice uniform; a fixed place per class would not.
	for {
		password := draw(alphabet, length)
		if plain && (isSymbol(password[0]) || isSymbol(password[length-1])) {
			continue
		}
		if holdsEach(password, sets, least) {
			return NewSecret(password)
		}
	}
}

// sets lists the policy's alphabets, one per class.
func (p PasswordPolicy) sets() []string {
	classes := p.Classes & AllClasses
	if classes == 0 {
		classes = AllClasses
	}
	symbols := DefaultSymbols
	if p.AllowedSymbols != "" {
		symbols = ""
		for _, r := range p.AllowedSymbols {
			if r < 0x80 && isSymbol(byte(r)) && !strings.ContainsRune(symbols, r) {
				symbols += string(r)
			}
		}
	}
	var sets []string
	for _, class := range []struct {
		of         Classes
		characters string
	}{{Lower, lower}, {Upper, upper}, {Digits, digits}, {Symbols, symbols}} {
		if classes&class.of != 0 && class.characters != "" {
			sets = append(sets, class.characters)
		}
	}
	if len(sets) == 0 {
		return []string{lower, upper, digits}
	}
	return sets
}

func isSymbol(c byte) bool {
	return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z')
}

// LeastOfEach is how many characters of each of its classes a password of that length has: two, since some apps ask for
// two digits or two symbols, but one in a password shorter than 12.
func LeastOfEach(length int) int {
	if length < 12 {
		return 1
	}
	return 2
}

// holdsEach reports whether at least so many characters of the password are of each set.
func holdsEach(password string, sets []string, least int) bool {
	for _, set := range sets {
		held := 0
		for i := range len(password) {
			if strings.IndexByte(set, password[i]) >= 0 {
				held++
			}
		}
		if held < least {
			return false
		}
	}
	return true
}

// draw picks characters one by one, each equally likely: bytes beyond the last whole multiple of
// the alphabet are thrown away.
func draw(alphabet string, length int) string {
	limit := 256 - 256%len(alphabet)
	drawn := make([]byte, 0, length)
	buffer := make([]byte, 2*length)
	for {
		_, _ = rand.Read(buffer) // never fails: it ends the process instead
		for _, b := range buffer {
			if int(b) < limit {
				drawn = append(drawn, alphabet[int(b)%len(alphabet)])
				if len(drawn) == length {
					return string(drawn)
				}
			}
		}
	}
}
