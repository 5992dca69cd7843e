// Package problem is what every HTTP answer of the gateway has in common: how an error looks, and
// what happens to each request before and after its handler.
//
//	request ──► id ─► access log ─► recovery ─► headers ─► body limit ─► deadline ──► handler
//	handler ──► problem.Write(c, err) ──► application/problem+json (RFC 9457)
//
// It guarantees that a client sees an error's Message and never its cause, that a fault of ours has
// one fixed text, that every answer and its one log line carry the same request id, and that a
// panic becomes a 500 instead of a dropped connection.
//
// It never logs a query string, the address of a link, a cookie, an Authorization header or a body.
package problem
