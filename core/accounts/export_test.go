package accounts

// SelectMayUse, SelectUsable and SelectAccess let a test ask PostgreSQL how it runs the queries.
const (
	SelectMayUse = selectMayUse
	SelectUsable = selectUsable
	SelectAccess = selectAccess
)
