// Package ldap is the connector for people of an LDAP directory.
//
//	ldaps://ldap.example.com       TLS from the first byte
//	ldap://ldap.example.com        StartTLS before anything is said; loopback may do without
//
// Somebody changes their own password by the Password Modify operation (RFC 3062): the directory hashes it and applies
// its policy. An administrator with write access to userPassword does the same for somebody else's entry. How the person is called
// there is a setting, {"bind": "uid={username},ou=people,dc=example,dc=com"}; without it the user name is what one binds with. Why a directory with a password policy refuses is told apart
// (draft-behera-ldap-password-policy-10).
//
// An administrator disables and enables entries: by userAccountControl where they have it, as in Active Directory (MS-ADTS, section
// 2.2.16), of which one bit is changed and the others stay as they are; by the lock of the directory's password policy where not.
// Active Directory has no Password Modify operation, so that no password is changed there.
package ldap
