// Package vault keeps sealed values: each workspace's key, each vault's key pair, each version of
// each item.
//
//	Put  ── the vault's public key ──────────────────────────────► item_versions.sealed
//	Open ── KeyProvider ► workspace key (≤ 5 min in memory) ► the vault's private key ► value
//
// A version of an item is written once and never changed. No column of the database holds a value or
// a key in clear. Whoever writes needs no key that can read. A value opens only at its own place: in
// its workspace, vault, item, field and version. Fingerprints, keyed by the workspace's key, tell equal values of a
// workspace apart from others, and nothing else of them: reused passwords are found by them, unopened.
//
// It never decides who may open what: that is asked of core/accounts before. It never deletes.
package vault
