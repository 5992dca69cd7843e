package http

import (
	"context"
	"fmt"
	"slices"

	"postern/connectors/protocol"
	"postern/core/rotation"
	"postern/core/seal"
)

// Tokens is how an app's tokens are made, told of, ended and tried. A token is of {account}. Whoever signs in is an administrator, or
// the account itself: a definition that never says {account} can only do the latter.
type Tokens struct {
	Create []Step    `yaml:"create"` // gives it {issued_name}, and keeps its value as issued and the app's id of it as issued_id
	List   *Register `yaml:"list"`
	End    []Step    `yaml:"end"` // of {issued_id}
	// Try is a sign-in as a program makes it: the token is {password}, and in {basic}.
	Try []Step `yaml:"try"`
}

// Register is how an app tells of an account's tokens.
type Register struct {
	Pages `yaml:",inline"`
	ID    string `yaml:"id"`    // where in one of them
	Named string `yaml:"named"` // where its name is
}

// check tells what is wrong. known are the values an administrator's requests may use, given those of a sign-in.
func (t *Tokens) check(known, given []string, walk func(name string, steps []Step, known []string, sets bool, allowed []rotation.Outcome) []string,
	fault func(path, format string, arguments ...any),
) {
	for _, part := range []struct {
		name  string
		steps []Step
	}{{"create", t.Create}, {"end", t.End}, {"try", t.Try}} {
		if len(part.steps) == 0 {
			fault("$.tokens", "write at least one request in %s", part.name)
		}
	}
	if t.List == nil {
		fault("$.tokens", "write in list how the app tells of an account's tokens: a token that was made when nobody heard is found by it")
	} else {
		t.List.check(known, func(member, format string, arguments ...any) { fault("$.tokens.list"+member, format, arguments...) })
		if t.List.ID == "" || t.List.Named == "" {
			fault("$.tokens.list", "write in id and in named where in each token its id and its name are")
		}
	}
	after := walk("tokens.create", t.Create, append(slices.Clone(known), "issued_name"), false, administratorOutcomes)
	for _, name := range []string{"issued", "issued_id"} {
		if !slices.Contains(after, name) {
			fault("$.tokens.create", "some request has to keep %s", name)
		}
	}
	if !says(t.Create, "issued_name") {
		fault("$.tokens.create", "some request has to name the token {issued_name}")
	}
	walk("tokens.end", t.End, append(slices.Clone(known), "issued_id"), false, administratorOutcomes)
	if t.List != nil && says(t.Create, "account") != says([]Step{t.List.Step}, "account") {
		fault("$.tokens", "create and list both say by {account} whose tokens they are, or neither does")
	}
	for _, step := range t.Create {
		if at, kept := step.Keep["issued"]; kept && at == step.Keep["issued_id"] {
			fault("$.tokens.create", "issued and issued_id are at one place: the id of a token is shown, and its value is not")
		}
	}
	if !says(t.End, "issued_id") {
		fault("$.tokens.end", "some request has to say by {issued_id} which token is ended")
	}
	walk("tokens.try", t.Try, given, false, outcomes)
	if !says(t.Try, "password") && !says(t.Try, "basic") {
		fault("$.tokens.try", "some request has to carry the token, as {password} or {basic}")
	}
}

// says reports whether some step takes a value.
func says(steps []Step, name string) bool {
	return slices.ContainsFunc(steps, func(one Step) bool { return slices.Contains(one.used(), name) })
}

// Issue implements protocol.Issuer.
func (s *session) Issue(ctx context.Context, username, name string) (id string, value seal.Secret, err error) {
	tokens, err := s.tokens(username)
	if err != nil {
		return "", seal.Secret{}, err
	}
	s.values["issued_name"] = name
	for _, step := range tokens.Create {
		if err := s.take(ctx, step); err != nil {
			return "", seal.Secret{}, err
		}
	}
	return s.values["issued_id"], seal.NewSecret(s.values["issued"]), nil
}

// Tokens implements protocol.Issuer.
func (s *session) Tokens(ctx context.Context, username string, each func(token rotation.Token) error) error {
	tokens, err := s.tokens(username)
	if err != nil {
		return err
	}
	return s.turn(ctx, tokens.List.Pages, func(one any) error {
		token := rotation.Token{ID: find(one, tokens.List.ID), Name: find(one, tokens.List.Named)}
		if token.ID == "" {
			return fmt.Errorf("http: a token has nothing at %s", tokens.List.ID)
		}
		return each(token)
	})
}

// Withdraw implements protocol.Issuer.
func (s *session) Withdraw(ctx context.Context, username, id string) error {
	tokens, err := s.tokens(username)
	if err != nil {
		return err
	}
	s.values["issued_id"] = id
	for _, step := range tokens.End {
		if err := s.take(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// tokens has the definition's tokens be those of an account.
func (s *session) tokens(username string) (*Tokens, error) {
	tokens := s.definition.Tokens
	if tokens == nil {
		return nil, &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "The app's definition does not say how tokens are made (tokens)."}
	}
	if err := s.about(username, tokens.Create, "tokens"); err != nil {
		return nil, err
	}
	if !says(tokens.Create, "account") && s.values["username"] != username {
		return nil, &protocol.Failure{Outcome: rotation.AdminDenied, Detail: "By the app's definition an account makes its tokens itself, and no administrator does."}
	}
	return tokens, nil
}

// TryToken implements protocol.TokenProtocol.
func (a *api) TryToken(ctx context.Context, endpoint protocol.Endpoint, text []byte, username string, token seal.Secret) error {
	s, err := a.open(endpoint, text, rotation.Credential{Username: username, Password: token})
	if err != nil {
		return err
	}
	defer s.Close()
	if s.definition.Tokens == nil {
		return &protocol.Failure{Outcome: rotation.NotSent, Detail: "The app's definition does not say how tokens are tried (tokens)."}
	}
	for _, step := range s.definition.Tokens.Try {
		if err := s.take(ctx, step); err != nil {
			return err
		}
	}
	return nil
}
