// Package mysql is the connector for users of a MariaDB or MySQL database.
//
//	mysql://db.example.com:3306/?tls=verify
//
// A user changes their own password, or an administrator with CREATE USER, and SELECT on mysql.user, that of another one, if
// there is one user of that name and not several for several hosts. MariaDB is sent the hash mysql_native_password keeps, made here: the password
// is in no statement. MySQL, which has no such hash to give, is sent the password itself, and keeps it out of its logs.
//
// tls is "verify" unless the address says "disable", which only loopback may. The host part of a user is the server's
// matter: it looks for the one that fits the address Postern comes from.
package mysql
