// Package transporttest is what tests of receivers need around them: certificates, a clock, a dialer that refuses,
// events.
//
// It is for tests alone and never linked into the binary.
package transporttest
