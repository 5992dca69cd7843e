package browser

import "time"

// rest tells when a page that has loaded has come to rest. A page with scripts goes on to build itself, the longer the more
// it is and the busier the machine.
type rest struct {
	began, since time.Time
	size, looks  int
}

// restLooks is how often a page must look the same: one that keeps its processor busy answers late, and its time is over at
// the first look.
const restLooks = 5

// over reports whether the page has been the same for a time of grace and waits for no script. Five times that is enough for
// any page, and so is half of the time there is in all.
func (r *rest) over(now view, grace, patience time.Duration) bool {
	grace = min(grace, patience/2)
	at := time.Now()
	if r.began.IsZero() {
		r.began = at
	}
	if r.since.IsZero() || now.Size != r.size || now.Fetching {
		r.since, r.size, r.looks = at, now.Size, 0
	}
	r.looks++
	return at.Sub(r.since) > grace && r.looks >= restLooks || at.Sub(r.began) > min(5*grace, patience/2)
}
