// Package filter reads the two small languages of SCIM: filters and PATCH paths.
//
//	userName eq "ana" and emails[type eq "work"].value pr ──► Parse     ──► Expression
//	emails[type eq "work"].value                          ──► ParsePath ──► Path
//
// It accepts the whole grammar of RFC 7644 (figures 1 and 7), a value path compared as a whole the
// way Entra ID writes it, and, when asked, values without quotes. Parsing takes time linear in the
// text, and the text's length and nesting are bounded, so a hostile filter costs its sender more
// than it costs us. What an expression prints reads back as the same expression.
//
// It never looks at data or at a schema, and an error never repeats the text it is about.
package filter
