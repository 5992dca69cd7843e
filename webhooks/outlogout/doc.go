// Package outlogout has apps end a person's sessions when Postern ended theirs: an administrator logged them out
// everywhere, a signal did by policy, or they left.
//
//	audit log ─► Hear ─► a row per target and person ─► delivery ─┬► logout_token, POST form (OIDC Back-Channel Logout 1.0)
//	                                                              └► sub_id, POST JSON (global token revocation)
//
// It guarantees that every target is told of every such logout, however often processes are killed; that each
// attempt carries a token of its own, signed with RS256 by the workspace's key and good for two minutes or five;
// and that what an app refuses stays on record with its answer.
//
// It never tells an app more of a person than the one name the target is set up with, and never waits for an app
// before a person's own sessions end.
package outlogout
