package postgres

import "time"

// Now is what a clock says as PostgreSQL keeps it: what is written is what is read. A nil clock is time.Now.
func Now(clock func() time.Time) time.Time {
	if clock == nil {
		clock = time.Now
	}
	return clock().UTC().Truncate(time.Microsecond)
}
