package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/postgres"
	"postern/gateway/problem"
)

// reader gives the entity tag of what an address names, as it is now.
type reader func(ctx context.Context, by caller, c *gin.Context) (string, error)

// readerOf is the reader of a GET operation: of one thing, found by what is in its path alone.
func readerOf[Input, Output any](operation huma.Operation, handle func(ctx context.Context, by caller, in *Input) (*Output, error)) (reader, bool) {
	fields := reflect.VisibleFields(reflect.TypeFor[Input]())
	for _, field := range fields {
		if field.Tag.Get("query") != "" {
			return nil, false
		}
	}
	if operation.Method != http.MethodGet || !strings.Contains(operation.Path, "{") || !taggable[Output]() {
		return nil, false
	}
	return func(ctx context.Context, by caller, c *gin.Context) (string, error) {
		in := new(Input)
		for _, field := range fields {
			name := field.Tag.Get("path")
			if name == "" {
				continue
			}
			switch into := reflect.ValueOf(in).Elem().FieldByIndex(field.Index).Addr().Interface().(type) {
			case *core.ID:
				if err := into.UnmarshalText([]byte(c.Param(name))); err != nil {
					return "", core.Invalid(name, "an id is a UUID")
				}
			case *string:
				*into = c.Param(name)
			}
		}
		out, err := handle(ctx, by, in)
		if err != nil {
			return "", err
		}
		return tagOf(out), nil
	}, true
}

// taggable reports whether an answer is one thing, and not a list.
func taggable[Output any]() bool {
	body, ok := reflect.TypeFor[Output]().FieldByName("Body")
	if !ok || body.Type.Kind() != reflect.Struct {
		return false
	}
	_, list := body.Type.FieldByName("Items")
	_, next := body.Type.FieldByName("Next")
	return !list || !next
}

// tagOf is the entity tag of an answer: of all its body but the members that change by themselves, which
// are marked etag:"-".
func tagOf(out any) string {
	body := reflect.ValueOf(out).Elem().FieldByName("Body")
	settled := reflect.New(body.Type()).Elem()
	settled.Set(body)
	settle(settled)
	text, err := json.Marshal(settled.Interface())
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
}

// settle empties what changes by itself.
func settle(body reflect.Value) {
	for i := range body.NumField() {
		switch field := body.Field(i); {
		case !field.CanSet():
		case body.Type().Field(i).Tag.Get("etag") == "-":
			field.SetZero()
		case field.Kind() == reflect.Struct:
			settle(field)
		}
	}
}

// entityTags is what an If-Match looks like (RFC 9110 §8.8.3, §13.1.1).
var entityTags = regexp.MustCompile(`^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$`)

// unchanged carries out a change with If-Match (RFC 9110 §13.1.1) only if what its address names, or
// what contains it, is as the caller saw it.
//
// That is looked at before anything is done, and again just before the commit, from outside of the
// transaction: what it changes is locked by then, so what is read is what it began with, whoever else
// wanted to change it. That takes a second connection; matching bounds how many want one.
func (s *Service) unchanged(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	sent := c.Request.Header.Values("If-Match")
	if len(sent) == 0 || c.Request.Method == http.MethodGet {
		next(ctx)
		return
	}
	wanted := strings.Join(sent, ",")
	if !entityTags.MatchString(wanted) {
		problem.Write(c, core.Invalid("", "If-Match is an entity tag as ETag tells it, in quotes, or *"))
		return
	}
	read, ok := s.reads.around(strings.TrimPrefix(ctx.Operation().Path, base))
	if !ok {
		problem.Write(c, core.Invalid("If-Match", "there is no entity tag of what this changes; send it without If-Match"))
		return
	}
	select {
	case s.matching <- struct{}{}:
		defer func() { <-s.matching }()
	case <-ctx.Context().Done():
		problem.Write(c, ctx.Context().Err())
		return
	}
	by := ctx.Context().Value(callerKey{}).(caller)
	compare := func(ctx context.Context) error {
		tag, err := read(ctx, by, c)
		if err == nil && !matches(wanted, tag) {
			err = core.Stale("this has changed since you read it; read it again").WithCode("changed")
		}
		return err
	}
	if err := compare(ctx.Context()); err != nil {
		problem.Write(c, err)
		return
	}
	next(huma.WithContext(ctx, postgres.BeforeCommit(ctx.Context(), func(ctx context.Context, _ pgx.Tx) error { return compare(ctx) })))
}

// matches reports whether one of the entity tags of an If-Match is a tag. A weak one never is.
func matches(wanted, tag string) bool {
	for one := range strings.SplitSeq(wanted, ",") {
		if one = strings.TrimSpace(one); one == "*" || one == tag {
			return true
		}
	}
	return false
}

// readers are the operations that read one thing, by their path.
type readers map[string]reader

// around finds who reads what is at a path, or what that is a part of.
func (r readers) around(path string) (reader, bool) {
	for strings.Contains(path, "{") {
		if read, ok := r[path]; ok {
			return read, true
		}
		path = path[:strings.LastIndex(path, "/")]
	}
	return nil, false
}
