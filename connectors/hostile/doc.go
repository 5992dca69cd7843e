// Package hostile is a web application that treats whoever changes a password as badly as real ones do.
//
//	a := &hostile.App{Now: clock}     http.Handler
//	a.Behave(hostile.AppliesLate)
//	a.Add("quay", "first")      /sign-in   /account/password
//
// One behaviour at a time, of one account or many. It always knows which password each account really has, so that a test
// can ask whether that one was lost.
//
// It serves tests alone; nothing in the gateway uses it.
package hostile
