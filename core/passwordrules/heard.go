package passwordrules

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What apps say when they refuse a password, in English, German, French, Spanish, Portuguese and Japanese. A number
// counts only beside the word for characters: there are numbers of attempts and of days as well.
const (
	unit = `\s*-?\s*(?:characters?|chars?\b|letters long|symbols long|zeichen|stellen|caract[èeé]res?|caracteres)`
	gap  = `[^\d.;]{0,30}?`
)

var (
	leastPatterns = compiled(
		`(?:at least|minimum|min\.|no (?:shorter|fewer|less) than|mindestens|au moins|au minimum|al menos|m[ií]nim[oa]|pelo menos)`+gap+`(\d{1,3})`+unit,
		`(\d{1,3})`+unit+`(?: or (?:more|longer)|,? (?:at least|minimum)| oder mehr| ou plus| o más| ou mais)`,
		`(?:shorter|fewer|less) than (\d{1,3})`+unit,
		`(\d{1,3})文字以上`,
	)
	mostPatterns = compiled(
		`(?:at most|maximum|max\.|no (?:longer|more) than|up to|höchstens|maximal|au plus|au maximum|como máximo|no máximo|máxim[oa])`+gap+`(\d{1,3})`+unit,
		`(\d{1,3})`+unit+`(?: or (?:less|fewer)|,? (?:at most|maximum)| oder weniger| ou moins| o menos| ou menos)`,
		`(?:longer|more) than (\d{1,3})`+unit,
		`exceed (\d{1,3})`+unit,
		`(\d{1,3})文字(?:以下|以内)`,
	)
	ranges = compiled(
		`(\d{1,3})\s*(?:-|–|to|and|bis|und|à|et|a|y|e)\s*(\d{1,3})`+unit,
		`(\d{1,3})\s*(?:~|～|〜|-|から)\s*(\d{1,3})文字`,
	)
	// "must be longer than 8 characters" is the opposite of "longer than 20 characters is not allowed".
	above = compiled(`(?:must|should|has to|have to|needs? to) (?:be|have|contain) (?:longer|more) than (\d{1,3})` + unit)
	below = compiled(`(?:must|should|has to|have to|needs? to) (?:be|have|contain) (?:shorter|fewer|less) than (\d{1,3})` + unit)
	short = regexp.MustCompile(`(?i)too short|zu kurz|trop court|demasiado cort|muito curt|短すぎ`)

	// A demand, and what takes it back.
	demands = regexp.MustCompile(`(?i)must|should|needs?\b|contain|include|require|at least|missing|enthalten|muss|mindestens|doit|contenir|comporter|debe|contener|incluir|deve|conter|含`)
	refuses = regexp.MustCompile(`(?i)\b(?:no|not|without|cannot|can['’]?t|mustn['’]?t|only|never|nicht|keine?|ohne|nur|sans|pas|seulement|sin|no puede|solo|sólo|sem|não|apenas|somente)\b|使えません|のみ|使用できません`)

	kinds = []struct {
		set  Set
		says *regexp.Regexp
	}{
		{Upper, regexp.MustCompile(`(?i)upper.?case|capital letter|gro(?:ß|ss)buchstabe|majuscule|may[úu]scula|mai[úu]scula|大文字`)},
		{Lower, regexp.MustCompile(`(?i)lower.?case|small letter|kleinbuchstabe|minuscule|min[úu]scula|小文字`)},
		{Digit, regexp.MustCompile(`(?i)\bdigits?\b|\bnumbers?\b|\bnumerals?\b|numeric|ziffer|\bzahl(?:en)?\b|chiffre|d[íi]gito|\bn[úu]meros?\b|数字`)},
		{Special, regexp.MustCompile(`(?i)special|\bsymbols?\b|punctuation|non-?alphanumeric|sonderzeichen|spéciaux|spécial|especia[il]|s[íi]mbolo|記号`)},
	}
	alphanumeric = regexp.MustCompile(`(?i)only (?:contain |use |consist of )?(?:letters and (?:numbers|digits)|alphanumeric)|(?:letters and (?:numbers|digits)|alphanumeric(?: characters)?) only|nur (?:buchstaben und (?:zahlen|ziffern))|英数字のみ`)
	listed       = regexp.MustCompile(`(?:[(:]|such as|like|of) *([!-/:-@\[-` + "`" + `{-~](?: ?,? ?[!-/:-@\[-` + "`" + `{-~]){1,40})`)
	sentence     = regexp.MustCompile(`[.。!?](?:\s|$)|[;\n•。]`)
	reused       = regexp.MustCompile(`(?i)(?:previous|already|recently|before|last \d+).{0,30}\bused?\b|\bused? (?:before|already|previously|recently)|re-?use|password history|in (?:the|your) history|same as (?:the |your )?(?:old|current|previous|last)|differ(?:ent)? from (?:the |your |any )?(?:old|current|previous|last)|` +
		`(?:bereits|schon|zuvor).{0,20}(?:verwendet|benutzt)|déjà (?:été )?utilisé|ya (?:ha sido |se ha )?utiliza|já (?:foi )?utiliza|使用済み|以前に使用`)
)

func compiled(patterns ...string) (all []*regexp.Regexp) {
	for _, pattern := range patterns {
		all = append(all, regexp.MustCompile(`(?i)`+pattern))
	}
	return all
}

// tooShort is how long a password is to be when one of the usual length is too short, and no number says more.
const tooShort = 32

// maxHeard is how much of an app's words is read, in bytes.
const maxHeard = 4096

// Heard is what an app's words about a password say of its rules; without any it is zero. Words can be misread: it
// is worth a try with another password, and no more.
func Heard(text string) Rules {
	if len(text) > maxHeard {
		text = text[:maxHeard]
	}
	var heard Rules
	for _, said := range sentence.Split(text, -1) {
		one := Rules{}
		for _, number := range numbers(ranges, said) {
			one = one.And(Rules{MinLength: number[0], MaxLength: number[1]})
		}
		for _, number := range numbers(above, said) {
			one.MinLength = number[0] + 1
		}
		for _, number := range numbers(below, said) {
			one.MaxLength = number[0] - 1
		}
		if one.IsZero() {
			for _, number := range numbers(mostPatterns, said) {
				one.MaxLength = number[0]
			}
			for _, number := range numbers(leastPatterns, said) {
				one.MinLength = max(one.MinLength, number[0])
			}
		}
		if one.MinLength == 0 && short.MatchString(said) {
			one.MinLength = tooShort
		}
		one = one.And(kindsOf(said))
		if one.MaxLength > 0 && one.MinLength > one.MaxLength {
			continue
		}
		if both := heard.And(one); both.MaxLength == 0 || both.MinLength <= both.MaxLength {
			heard = both
		}
	}
	return heard
}

// kindsOf is which characters a sentence asks for or forbids.
func kindsOf(said string) Rules {
	special := kinds[3].says.MatchString(said)
	switch {
	case alphanumeric.MatchString(said), special && refuses.MatchString(said) && len(listed.FindString(said)) == 0:
		return Rules{Allowed: Lower.or(Upper).or(Digit)}
	case refuses.MatchString(said) && !special || !demands.MatchString(said):
		return Rules{}
	}
	var rules Rules
	for _, kind := range kinds {
		if !kind.says.MatchString(said) {
			continue
		}
		set := kind.set
		if kind.set == Special {
			if found := listed.FindStringSubmatch(said); found != nil {
				// Of signs it lists, one will do; and another may not.
				set = of(strings.TrimSuffix(found[1], ")")).without(of(" ,"))
				rules.Allowed = Lower.or(Upper).or(Digit).or(set)
			}
		}
		if !set.empty() && !slices.Contains(rules.Required, set) {
			rules.Required = append(rules.Required, set)
		}
	}
	return rules
}

// numbers are those the first fitting pattern finds, within what a password's length may be.
func numbers(patterns []*regexp.Regexp, said string) (found [][2]int) {
	for _, pattern := range patterns {
		for _, match := range pattern.FindAllStringSubmatch(said, 4) {
			var pair [2]int
			for i := 1; i < len(match) && i <= 2; i++ {
				pair[i-1], _ = strconv.Atoi(match[i])
			}
			if pair[0] >= 1 && pair[0] <= longest && (pair[1] == 0 || pair[1] >= pair[0]) {
				found = append(found, pair)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// Reused reports whether an app's words say that the password was used before. Another one of the same kind will do.
func Reused(text string) bool {
	if len(text) > maxHeard {
		text = text[:maxHeard]
	}
	return reused.MatchString(text)
}
