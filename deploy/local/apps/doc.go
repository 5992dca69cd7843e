// Package apps runs real web applications from the machine's own packages, to change passwords in.
//
//	/usr/share/dokuwiki  ─► folder/site ─► php ─► http://127.0.0.1:port
//	/usr/share/wordpress ─► folder/site ─► php ─► http://127.0.0.1:port
//	                        folder/data ─► mariadbd
//	/usr/share/mediawiki ────────────────► php ─► http://127.0.0.1:port
//	                        folder/data ─► sqlite
//	/usr/share/redmine   ─► folder/site ─► puma ─► http://127.0.0.1:port
//	                        folder/data ─► sqlite
//
//	fossil, python3-django, phpmyadmin, postfixadmin and shaarli alike, and pgAdmin 4 where $POSTERN_PGADMIN names a Python that has it
//
// DokuWiki and WordPress mail who forgot a password. MediaWiki and Redmine can also disable an account, have its password expire,
// and ask it for one-time codes.
//
// A site listens on loopback alone, keeps everything in one folder, is the same after a second
// start, and ends with the process that started it, even when that is killed. It runs as who starts
// it, root included. A missing package is NotFound and named.
//
// It is for tests, benchmarks and demonstrations: it never installs anything, and nothing in the
// gateway uses it.
package apps
