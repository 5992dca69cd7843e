// Package visitor is a person at a web site, without a browser: it keeps cookies, follows redirects
// and fills in forms. The demo and the tests use it to look at everything from outside.
//
//	Get(url) ─► Page{status, text, forms} ─► Submit(form, values) ─► Page …
//
// Cookies marked Secure are sent to loopback addresses, as browsers do. It runs no script and is
// never linked into a role of production.
package visitor
