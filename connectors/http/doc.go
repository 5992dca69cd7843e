// Package http is the connector for apps with an HTTP API, described by a YAML file instead of by code.
//
//	sign_in: request ─► request … ─► signed in, or what a failure's answer means
//	change:  request … ─► release ─► the last request ─► Applied, Refused, or Unknown
//	reset:   the same for somebody else, by an administrator who is signed in; disable, enable, end_sessions likewise
//
// An app names a definition that comes with Postern, {"definition": "mediawiki"}, or brings its own text. A definition
// is checked as a whole, and what is wrong with it is told with its line. Values go where they are put: texts are
// escaped for the path, query, form, header or JSON they stand in, so that no password can become another request.
//
// No request is sent twice but one for a page of a list, no redirect is followed, cookies live for one sign-in, and an
// answer no rule fits means nothing.
package http
