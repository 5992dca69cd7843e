package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

type beforeCommit struct{}

// BeforeCommit has every transaction that Tx, Batch or Command runs with the returned context end with
// check: its error rolls the transaction back and is what the command fails with. Checks of contexts
// around it run first. A transaction check itself begins, with the context it is given, is not checked.
func BeforeCommit(ctx context.Context, check func(ctx context.Context, tx pgx.Tx) error) context.Context {
	before := checkOf(ctx)
	return context.WithValue(ctx, beforeCommit{}, func(ctx context.Context, tx pgx.Tx) error {
		if before != nil {
			if err := before(ctx, tx); err != nil {
				return err
			}
		}
		return check(ctx, tx)
	})
}

// checkOf is what a transaction run with a context has to end with; nil: nothing.
func checkOf(ctx context.Context) func(ctx context.Context, tx pgx.Tx) error {
	check, _ := ctx.Value(beforeCommit{}).(func(ctx context.Context, tx pgx.Tx) error)
	if check == nil {
		return nil
	}
	return func(ctx context.Context, tx pgx.Tx) error {
		return check(context.WithValue(ctx, beforeCommit{}, nil), tx)
	}
}
