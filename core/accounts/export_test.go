package accounts

// SelectMayUse and SelectUsable let a test ask PostgreSQL how it runs the queries.
const (
	SelectMayUse = selectMayUse
	SelectUsable = selectUsable
)
