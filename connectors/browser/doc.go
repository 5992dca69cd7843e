// Package browser is the connector for every web application with a sign-in form: a real browser.
//
//	Verify ─┐                     ┌ isolated tab ─ forward proxy ─ allow-list ─ guard ─► the app
//	Change ─┴► one browser ──────►│      │
//	           process            │      └ form detection or the app's recipe, filling, evidence (isolated world)
//	                              └ commit gate: the change request waits for release(ctx)
//
// It guarantees that each sign-in starts in a browser context of its own, destroyed afterwards; that
// no page reaches a host outside the app's domains by any channel; that a change request leaves only
// after release returned nil and only if every new password in it is the one it was given; that an
// outcome rests on evidence and is Unknown without; and that the browser ends with this process.
// No secret is in a log, an error, a report, a page model or a screenshot.
//
// It never generates, stores or retries a password, never answers a captcha or a code, never presses
// a button that deletes something, and keeps no cookie, download or profile.
package browser
