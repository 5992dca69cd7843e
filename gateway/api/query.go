package api

import (
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"postern/core"
	"postern/gateway/problem"
)

// filled refuses a query parameter that is named and has no value. huma would take it for absent, and a
// list whose filter got lost on its way holds more than was asked for.
func filled(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	for _, parameter := range ctx.Operation().Parameters {
		if parameter.In != "query" || parameter.Schema.Type == huma.TypeString && parameter.Schema.Format == "" && len(parameter.Schema.Enum) == 0 {
			continue
		}
		if value, named := c.GetQuery(parameter.Name); named && value == "" {
			problem.Write(c, core.Invalid(parameter.Name, "%s has no value; leave it out or give it one", parameter.Name))
			return
		}
	}
	next(ctx)
}
