package directory

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"postern/core"
)

// conditions builds the where clause of a page from constant parts. Each part names its parameter.
type conditions struct {
	parts []string
	args  pgx.StrictNamedArgs
}

func inWorkspace(workspace core.ID) *conditions {
	return &conditions{parts: []string{"workspace_id = @workspace"}, args: pgx.StrictNamedArgs{"workspace": workspace}}
}

func (c *conditions) and(part, parameter string, value any) {
	c.parts = append(c.parts, part)
	c.args[parameter] = value
}

func (c *conditions) where() string {
	// The second condition is the one of the index a page is read along; see along.
	return " where deleted is null and created > '-infinity' and " + strings.Join(c.parts, " and ")
}

// page is the arguments together with an offset and a limit.
func (c *conditions) page(offset, limit int) pgx.StrictNamedArgs {
	args := pgx.StrictNamedArgs{"offset": offset, "limit": limit}
	for name, value := range c.args {
		args[name] = value
	}
	return args
}

// window applies the defaults of a query's offset and limit.
func window(offset, limit int) (int, int) {
	switch {
	case limit == 0:
		limit = DefaultLimit
	case limit < 0:
		limit = 0
	}
	return max(offset, 0), limit
}

// DefaultLimit is the size of a page whose query names none.
const DefaultLimit = 100
