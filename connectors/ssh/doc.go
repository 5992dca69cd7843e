// Package ssh is the connector for Linux accounts, over SSH.
//
//	ssh://host.example.com    sign in by password ─► passwd on a terminal of its own ─► current, new, new again
//
// The host proves itself before a password leaves: the fingerprints of its keys are a setting,
// {"host_keys": ["SHA256:…"]}, as ssh-keygen -l shows them. A host without that setting, or with another key, is
// refused by words that name the key it shows. One password is tried once for a sign-in, however many ways to sign in
// the host offers, so that a sign-in is one of those after which hosts lock accounts.
//
// Root, or an administrator who may run any command by sudo, sets somebody else's password by chpasswd. A locked one stays
// locked. They also have an account expire, and list who has a password.
//
// Somebody changes their own password: the host hashes it and applies its policy. Expired passwords, expired accounts
// and those without a shell are told apart.
package ssh
