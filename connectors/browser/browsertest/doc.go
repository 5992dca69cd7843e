// Package browsertest is the floor under the connector's speed: a bare chromedp script, as chromedp's
// documentation shows it, that walks the pages of one app it was written for.
//
//	sign in with the old password ─► change it ─► sign in with the new one ─► be refused with the old one
//
// It has no proxy, no gate, no detection and no evidence, sets values at once, and knows every
// selector. Now and then it sets a password nobody knows.
//
// It serves benchmarks alone and is never linked into the binary.
package browsertest
