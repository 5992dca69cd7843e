// Package denied records what somebody known was refused: the act is undone, the attempt is a fact.
//
//	handler ──► core.Denied ──► the answer: 403, or 404 where not even that there is something is told
//	                       └──► access.denied: who, what they asked for, the rule that refused it
//
// The event is written after the transaction of the act was rolled back, in one of its own, also when whoever asked has gone. An actor leaves
// a few events at once and then one every ten seconds; how many were left out is told by the next. That it cannot be written changes no
// answer.
//
// It never says what a request's body or query holds.
package denied
