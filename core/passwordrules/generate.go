package passwordrules

import (
	"crypto/rand"
	"math/big"

	"postern/core"
	"postern/core/seal"
)

// What is made is never shorter, and never of fewer different characters, than this.
const (
	shortest = seal.MinPasswordLength
	fewest   = 10
)

// plain are the characters that a person does not mistake for each other.
var plain = Printable.without(of("0O1lI"))

// Generate makes a password that satisfies the rules. What they leave open is as wanted says: its length, classes and
// symbols are kept to as far as the rules let. Rules that no password fits, or only one that can be guessed, are
// Conflict.
func (r Rules) Generate(wanted seal.PasswordPolicy) (seal.Secret, error) {
	length := wanted.Length
	if length == 0 {
		length = seal.DefaultPasswordLength
	}
	length = max(length, r.MinLength, shortest)
	if r.MaxLength > 0 {
		length = min(length, r.MaxLength)
	}
	allowed := r.alphabet()
	alphabet, sets := Set{}, []Set{}
	classes := wanted.Classes & seal.AllClasses
	if classes == 0 {
		classes = seal.AllClasses
	}
	symbols := wanted.AllowedSymbols
	if symbols == "" {
		symbols = seal.DefaultSymbols
	}
	// A class that the app has no say in, and we would have, appears where the app allows it.
	for _, one := range []struct {
		of  seal.Classes
		set Set
	}{{seal.Lower, Lower}, {seal.Upper, Upper}, {seal.Digits, Digit}, {seal.Symbols, of(symbols)}} {
		if set := one.set.and(allowed).and(plain); classes&one.of != 0 && !set.empty() {
			alphabet, sets = alphabet.or(set), append(sets, set)
		}
	}
	for _, required := range r.Required {
		set := required.and(allowed)
		// Of what an app wants anyway, those that look like nothing else and need no quoting.
		for _, tame := range []Set{alphabet, plain.without(of(" \"'`\\<>&$%")), plain} {
			if some := set.and(tame); !some.empty() {
				set = some
				break
			}
		}
		alphabet, sets = alphabet.or(set), append(sets, set)
	}
	if alphabet.size() < fewest {
		alphabet = alphabet.or(allowed)
	}
	if length < shortest || length < r.MinLength || length > seal.MaxPasswordLength || alphabet.size() < fewest {
		return seal.Secret{}, core.Conflict("password_rules", "no safe password fits the app's rules (%s)", r)
	}
	made, ok := r.draw(alphabet, sets, length)
	if !ok {
		return seal.Secret{}, core.Conflict("password_rules", "no password fits the app's rules (%s)", r)
	}
	return made, nil
}

// patience is how many passwords are drawn before one is put together; pieced is how often that is tried.
const (
	patience = 2000
	pieced   = 200
)

// draw makes a password of the alphabet with characters of each set, as many as seal.LeastOfEach says. Drawing again as
// a whole keeps every password that fits equally likely. Where hardly any fits, one of each set is placed first: such
// rules leave little choice anyway.
func (r Rules) draw(alphabet Set, sets []Set, length int) (seal.Secret, bool) {
	characters := alphabet.characters()
	neat := !alphabet.and(Lower.or(Upper).or(Digit)).empty()
	fits := func(password string, least int, ends bool) bool {
		if ends && neat && (!letter(password[0]) || !letter(password[length-1])) {
			return false
		}
		for _, set := range sets {
			if set.count(password) < least {
				return false
			}
		}
		return r.Allows(password)
	}
	for range patience {
		if password := pick(characters, length); fits(password, seal.LeastOfEach(length), true) {
			return seal.NewSecret(password), true
		}
	}
	for range pieced {
		drawn := []byte(pick(characters, length))
		for i, set := range sets {
			if i < length {
				drawn[i] = pick(set.characters(), 1)[0]
			}
		}
		for i := length - 1; i > 0; i-- {
			other := number(i + 1)
			drawn[i], drawn[other] = drawn[other], drawn[i]
		}
		if fits(string(drawn), 1, false) {
			return seal.NewSecret(string(drawn)), true
		}
	}
	return seal.Secret{}, false
}

func letter(c byte) bool { return Lower.or(Upper).or(Digit).has(c) }

func pick(characters string, length int) string {
	drawn := make([]byte, length)
	for i := range drawn {
		drawn[i] = characters[number(len(characters))]
	}
	return string(drawn)
}

// number is below limit, each equally likely.
func number(limit int) int {
	drawn, err := rand.Int(rand.Reader, big.NewInt(int64(limit)))
	if err != nil {
		panic(err) // never: it ends the process instead
	}
	return int(drawn.Int64())
}
