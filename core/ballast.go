package core

import "sync"

// ballast is untouched, so that it takes no memory, and counts none the less when garbage is weighed against what lives.
var ballast = sync.OnceValue(func() []byte { return make([]byte, 8<<20) })

// Ballast has this process collect its garbage less often from now on: for 8 MiB more of it at most. A gateway holds a few
// megabytes and makes as much garbage in a hundred requests, of which one then waits for a collection. With much more, the
// processors' caches hold less of what is needed next.
func Ballast() { ballast() }
