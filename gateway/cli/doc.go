// Package cli is the command line, in two halves.
//
//	arguments + POSTERN_… ──► one struct per command ──► run(ctx) ──► exit code by core.Kind
//	                              │
//	                              ├─ embeds inWorkspace: on the database, beside the server (setup.go)
//	                              │    serve, dev, migrate, key; workspace, connection, token; what identity providers are connected by
//	                              └─ embeds remote: a gateway anywhere, by its API, with a service account's token (remote.go)
//	                                   login; account, grant, link, guest, rotation, policy, user, team, activity, import …
//
// A command that administrators use belongs to the second half, and is three steps:
//
//	c, err := r.connect()                                                                     // --url, --token-file, POSTERN_TOKEN, or 'postern login'
//	text, err := c.ask(ctx, http.MethodPost, path, query, body)                               // one answer; or c.pages(…): a list of any length
//	return thing(terminal, r.remote, text, func(sheet sheet, one api.Thing) { … })            // one thing; or rows(terminal, r.remote, list, columns…)
//
// Flags, variables, defaults and help have one definition, in the struct. --output table is for people;
// json and jsonl are what the gateway said, unchanged. Every change carries an Idempotency-Key and is sent
// again until it is answered, so it happens once. Ctrl-C and SIGTERM end a command cleanly; a second one
// ends it at once. Errors go to standard error in words that say what to do, and the exit code tells a
// script what kind of error it was: 2 wrong input, 3 not allowed, 4 not there, 5 conflict, 6 try later, 1 else.
//
// It never sends a token to a gateway it was not given for, nor over plain http to another machine, never takes
// a secret as an argument, and prints other people's names so that they cannot steer a terminal.
package cli
