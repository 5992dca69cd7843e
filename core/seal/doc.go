// Package seal is Postern's cryptography: secrets in memory, sealed values, wrapped keys, tokens and
// generated passwords.
//
//	KeyProvider (KMS or a key file) ──wraps──► workspace key
//	workspace key ──SealUnder (AES-256-GCM)──► vault's private key
//	vault's public key ──Seal (HPKE: X-Wing, HKDF-SHA256, AES-256-GCM)──► one version of one item
//	                          └ info: workspace · vault · item · field · version · epoch
//
// A Secret prints as "[redacted]" wherever it turns up. A sealed value opens only under the binding
// it was sealed with: moved to another workspace, vault, item, field, version or epoch, cut short or
// with one bit changed, it is refused. Whoever only writes needs only the public key. Every blob
// begins with a version byte.
//
// It does no I/O but reading the operating system's randomness, and never decides who may open what.
package seal
