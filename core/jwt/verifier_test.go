package jwt_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"postern/core"
	"postern/core/jwt"
)

type obj = map[string]any

func at(offset time.Duration) int64 { return start.Add(offset).Unix() }

func TestTokensThatAreRight(t *testing.T) {
	i := newIssuers(t)
	optional := func(want *jwt.Expected) { want.Expiry, want.MaxLifetime = jwt.Optional, 0 }
	for name, test := range map[string]struct {
		token made
		want  jwt.Expected
	}{
		"plain":                    {made{}, expected()},
		"ES256":                    {made{key: "ec"}, expected()},
		"EdDSA":                    {made{key: "ed"}, expected()},
		"PS256":                    {made{alg: "PS256"}, expected()},
		"no kid":                   {made{header: obj{"kid": nil}}, expected()},
		"no kid, second key":       {made{key: "ec", header: obj{"kid": nil}}, expected()},
		"alias of the issuer":      {made{claims: obj{"iss": alias}}, expected()},
		"array of one audience":    {made{claims: obj{"aud": []string{gateway}}}, expected()},
		"one of two audiences":     {made{claims: obj{"aud": []string{"x", gateway}}}, expected(func(w *jwt.Expected) { w.OnlyAudience = false })},
		"any of our audiences":     {made{}, expected(func(w *jwt.Expected) { w.Audiences = []string{"y", gateway} })},
		"media type in typ":        {made{header: obj{"typ": "Application/Global-Token-Revocation+JWT"}}, expected()},
		"typ not needed":           {made{header: obj{"typ": nil}}, expected(func(w *jwt.Expected) { w.Types = append(w.Types, "", "JWT") })},
		"plain typ":                {made{header: obj{"typ": "jwt"}}, expected(func(w *jwt.Expected) { w.Types = append(w.Types, "", "JWT") })},
		"pinned algorithm":         {made{}, expected(func(w *jwt.Expected) { w.Algorithms = []jose.SignatureAlgorithm{jose.RS256} })},
		"fractions":                {made{claims: obj{"exp": float64(at(300*time.Second)) + 0.5}}, expected()},
		"exponents":                {made{rawClaims: `{"jti":"1","iss":"` + issuer + `","sub":"client-1","aud":"` + gateway + `","exp":1.7952e9,"iat":1.795176e9}`}, expected(func(w *jwt.Expected) { w.MaxLifetime, w.NeedIssued = 0, false })},
		"expired within the skew":  {made{claims: obj{"iat": at(-5 * time.Minute), "exp": at(-59 * time.Second)}}, expected()},
		"early within the skew":    {made{claims: obj{"iat": at(59 * time.Second), "nbf": at(59 * time.Second)}}, expected()},
		"iat dated back":           {made{claims: obj{"iat": at(-5 * time.Minute), "exp": at(15 * time.Minute)}}, expected()},
		"without exp":              {made{claims: obj{"exp": nil}}, expected(optional)},
		"with exp, optional":       {made{}, expected(optional)},
		"exp forbidden":            {made{claims: obj{"exp": nil}}, expected(func(w *jwt.Expected) { w.Expiry = jwt.Forbidden })},
		"young enough":             {made{claims: obj{"iat": at(-10 * time.Minute)}}, expected(func(w *jwt.Expected) { w.MaxAge = 10 * time.Minute })},
		"any subject":              {made{claims: obj{"sub": "whoever"}}, expected(func(w *jwt.Expected) { w.Subject = "" })},
		"unknown claims":           {made{claims: obj{"x": obj{"y": []any{1, nil}}, "ISS": "not a claim"}}, expected()},
		"jti not needed":           {made{claims: obj{"jti": nil}}, expected(func(w *jwt.Expected) { w.NeedID = false })},
		"largest jti":              {made{claims: obj{"jti": strings.Repeat("j", jwt.MaxID)}}, expected()},
		"a key in the header":      {made{header: obj{"jwk": jose.JSONWebKey{Key: i.stranger.Public()}, "x5u": "https://evil.example", "jku": "https://evil.example"}}, expected()},
		"algorithm of the key":     {made{key: "older", alg: "RS512", header: obj{"kid": "only-rs512"}}, expected()},
		"larger, where that is ok": {made{claims: obj{"x": strings.Repeat("x", 20<<10)}}, expected(func(w *jwt.Expected) { w.MaxSize = 64 << 10 })},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := i.verifier().Verify(t.Context(), i.mint(t, test.token), test.want)
			if err != nil {
				t.Fatalf("%v (%s)", err, core.AsError(err).Code)
			}
			if sum := sha256.Sum256(token.Claims); token.Issuer == "" || string(token.Digest) != string(sum[:]) {
				t.Errorf("%+v", token)
			}
		})
	}
}

func TestWhatATokenSays(t *testing.T) {
	i := newIssuers(t)
	token, err := i.verifier().Verify(t.Context(), i.mint(t, made{claims: obj{"aud": []string{gateway}, "events": obj{"a": obj{}}, "sid": "s"}}), expected())
	if err != nil {
		t.Fatal(err)
	}
	want := jwt.Token{
		Type: "global-token-revocation+jwt", Algorithm: "RS256", KeyID: "rsa", ID: "one", Issuer: issuer, Subject: client, Audience: []string{gateway},
		Issued: start, Expires: start.Add(5 * time.Minute), NotBefore: start.Add(-5 * time.Minute), Claims: token.Claims, Digest: token.Digest,
	}
	if diff := cmp.Diff(want, token); diff != "" {
		t.Error(diff)
	}
	var said struct {
		SID    string         `json:"sid"`
		Events map[string]any `json:"events"`
	}
	if err := token.Read(&said); err != nil || said.SID != "s" || len(said.Events) != 1 || !token.Has("events") || token.Has("SID") || token.Has("nonce") {
		t.Errorf("%+v, %v", said, err)
	}
	if err := token.Read(&struct {
		SID int `json:"sid"`
	}{}); core.AsError(err).Code != jwt.StageMalformed {
		t.Errorf("got %v", err)
	}
	peeked, err := jwt.Peek(i.mint(t, made{key: "stranger", claims: obj{"iss": "https://other.example"}}), expected())
	if err != nil || peeked.Issuer != "https://other.example" {
		t.Errorf("%+v, %v", peeked, err)
	}
	if _, err := jwt.Peek(i.mint(t, made{key: "none"}), expected()); core.AsError(err).Code != jwt.StageAlgorithm {
		t.Errorf("got %v", err)
	}
}

// refused are tokens and the stage at which they fail; asks says whether a key may be looked for.
func refusedTokens(t testing.TB, i *issuers) map[string]struct {
	token string
	stage string
	asks  bool
} {
	claims := func(text string) string { return i.mint(t, made{rawClaims: text}) }
	good := i.mint(t, made{})
	cut := strings.LastIndexByte(good, '.')
	fill := `"jti":"1","iss":"` + issuer + `","sub":"` + client + `","aud":"` + gateway + `","exp":1795176300,"iat":1795176000`
	type row = struct {
		token string
		stage string
		asks  bool
	}
	return map[string]row{
		"nothing":                  {"", "malformed", false},
		"no dots":                  {"nonsense", "malformed", false},
		"two parts":                {"a.b", "malformed", false},
		"four parts":               {good + ".e30", "malformed", false},
		"five parts":               {"a.b.c.d.e", "malformed", false},
		"JSON serialization":       {`{"payload":"e30","signatures":[]}`, "malformed", false},
		"too long":                 {i.mint(t, made{claims: obj{"x": strings.Repeat("x", 17<<10)}}), "malformed", false},
		"line break inside":        {good[:10] + "\n" + good[10:], "malformed", false},
		"line break in signature":  {good[:cut+5] + "\r\n" + good[cut+5:], "malformed", false},
		"space around":             {" " + good, "malformed", false},
		"padded":                   {strings.Replace(good, ".", "=.", 1), "malformed", false},
		"standard alphabet":        {good[:cut+1] + "+/" + good[cut+3:], "malformed", false},
		"spare bits":               {"eyJhbGciOiJub25lIn1." + good[cut+1:] + ".", "malformed", false},
		"header no object":         {i.mint(t, made{rawHeader: `["alg"]`}), "malformed", false},
		"header twice":             {i.mint(t, made{rawHeader: `{"alg":"RS256","alg":"none","typ":"global-token-revocation+jwt"}`}), "malformed", false},
		"nested header twice":      {i.mint(t, made{rawHeader: `{"alg":"RS256","x":{"a":1,"a":2},"typ":"global-token-revocation+jwt"}`}), "malformed", false},
		"header not UTF-8":         {i.mint(t, made{rawHeader: "{\"alg\":\"RS256\",\"typ\":\"global-token-revocation+jwt\",\"x\":\"\xff\"}"}), "malformed", false},
		"header and more":          {i.mint(t, made{rawHeader: `{"alg":"RS256","typ":"global-token-revocation+jwt"}{}`}), "malformed", false},
		"alg a number":             {i.mint(t, made{header: obj{"alg": 1}}), "malformed", false},
		"typ a list":               {i.mint(t, made{header: obj{"typ": []string{"global-token-revocation+jwt"}}}), "malformed", false},
		"kid a number":             {i.mint(t, made{header: obj{"kid": 7}}), "malformed", false},
		"crit":                     {i.mint(t, made{header: obj{"crit": []string{"exp"}}}), "malformed", false},
		"empty crit":               {i.mint(t, made{header: obj{"crit": []string{}}}), "malformed", false},
		"b64 false":                {i.mint(t, made{header: obj{"b64": false}}), "malformed", false},
		"b64 true":                 {i.mint(t, made{header: obj{"b64": true}}), "malformed", false},
		"claims a list":            {claims(`[]`), "malformed", false},
		"claims no JSON":           {claims(`x`), "malformed", false},
		"claims null":              {claims(`null`), "malformed", false},
		"a claim twice":            {claims(`{` + fill + `,"aud":"x"}`), "malformed", false},
		"a nested claim twice":     {claims(`{` + fill + `,"events":{"a":{},"a":{}}}`), "malformed", false},
		"a claim twice, escaped":   {claims(`{` + fill + `,"\u0061ud":"x"}`), "malformed", false},
		"claims not UTF-8":         {claims("{" + fill + ",\"x\":\"\xff\"}"), "malformed", false},
		"claims and more":          {claims(`{` + fill + `} {}`), "malformed", false},
		"aud an object":            {i.mint(t, made{claims: obj{"aud": obj{"a": gateway}}}), "malformed", false},
		"aud a number":             {i.mint(t, made{claims: obj{"aud": 1}}), "malformed", false},
		"aud of numbers":           {i.mint(t, made{claims: obj{"aud": []any{gateway, 1}}}), "malformed", false},
		"aud with null":            {i.mint(t, made{claims: obj{"aud": []any{gateway, nil}}}), "malformed", false},
		"aud null":                 {claims(`{` + strings.Replace(fill, `"aud":"`+gateway+`"`, `"aud":null`, 1) + `}`), "malformed", false},
		"iss a list":               {i.mint(t, made{claims: obj{"iss": []string{issuer}}}), "malformed", false},
		"exp a text":               {i.mint(t, made{claims: obj{"exp": "1795176300"}}), "malformed", false},
		"exp null":                 {claims(`{` + strings.Replace(fill, `"exp":1795176300`, `"exp":null`, 1) + `}`), "malformed", false},
		"exp out of range":         {i.mint(t, made{claims: obj{"exp": 1e300}}), "malformed", false},
		"iat true":                 {i.mint(t, made{claims: obj{"iat": true}}), "malformed", false},
		"nbf an object":            {i.mint(t, made{claims: obj{"nbf": obj{}}}), "malformed", false},
		"zero character":           {i.mint(t, made{claims: obj{"jti": "a\x00b"}}), "malformed", false},
		"endless issuer":           {i.mint(t, made{claims: obj{"iss": strings.Repeat("i", 4000)}}), "malformed", false},
		"forty audiences":          {i.mint(t, made{claims: obj{"aud": strings.Split(strings.Repeat("a,", 40), ",")}}), "malformed", false},
		"no typ":                   {i.mint(t, made{header: obj{"typ": nil}}), "type", false},
		"empty typ":                {i.mint(t, made{header: obj{"typ": ""}}), "type", false},
		"typ of an ID token":       {i.mint(t, made{header: obj{"typ": "JWT"}}), "type", false},
		"typ of a logout token":    {i.mint(t, made{header: obj{"typ": "logout+jwt"}}), "type", false},
		"typ of a security event":  {i.mint(t, made{header: obj{"typ": "secevent+jwt"}}), "type", false},
		"typ with a space":         {i.mint(t, made{header: obj{"typ": " global-token-revocation+jwt"}}), "type", false},
		"prefix twice":             {i.mint(t, made{header: obj{"typ": "application/application/global-token-revocation+jwt"}}), "type", false},
		"claim of an ID token":     {i.mint(t, made{claims: obj{"nonce": "n"}}), "type", false},
		"alg none":                 {i.mint(t, made{key: "none"}), "algorithm", false},
		"alg None":                 {i.mint(t, made{key: "none", alg: "None"}), "algorithm", false},
		"alg empty":                {i.mint(t, made{header: obj{"alg": ""}}), "algorithm", false},
		"no alg":                   {i.mint(t, made{header: obj{"alg": nil}}), "algorithm", false},
		"alg rs256":                {i.mint(t, made{header: obj{"alg": "rs256"}}), "algorithm", false},
		"HS256 with a public key":  {i.mint(t, made{key: "hmac"}), "algorithm", false},
		"HS512":                    {i.mint(t, made{key: "hmac", alg: "HS512"}), "algorithm", false},
		"alg of encryption":        {i.mint(t, made{header: obj{"alg": "RSA-OAEP"}}), "algorithm", false},
		"another issuer":           {i.mint(t, made{claims: obj{"iss": "https://evil.example"}}), "issuer", false},
		"issuer with a slash":      {i.mint(t, made{claims: obj{"iss": issuer + "/"}}), "issuer", false},
		"issuer in capitals":       {i.mint(t, made{claims: obj{"iss": strings.ToUpper(issuer)}}), "issuer", false},
		"no issuer":                {i.mint(t, made{claims: obj{"iss": nil}}), "issuer", false},
		"claim in another case":    {claims(`{` + strings.Replace(fill, `"iss"`, `"Iss"`, 1) + `}`), "issuer", false},
		"audience with a query":    {i.mint(t, made{claims: obj{"aud": gateway + "?a=b"}}), "audience", false},
		"audience with a fragment": {i.mint(t, made{claims: obj{"aud": gateway + "#a"}}), "audience", false},
		"audience with a slash":    {i.mint(t, made{claims: obj{"aud": gateway + "/"}}), "audience", false},
		"two audiences":            {i.mint(t, made{claims: obj{"aud": []string{gateway, "x"}}}), "audience", false},
		"the audience twice":       {i.mint(t, made{claims: obj{"aud": []string{gateway, gateway}}}), "audience", false},
		"no audience":              {i.mint(t, made{claims: obj{"aud": nil}}), "audience", false},
		"empty audience":           {i.mint(t, made{claims: obj{"aud": ""}}), "audience", false},
		"empty list of audiences":  {i.mint(t, made{claims: obj{"aud": []string{}}}), "audience", false},
		"expired":                  {i.mint(t, made{claims: obj{"iat": at(-10 * time.Minute), "exp": at(-time.Minute)}}), "expired", false},
		"no exp":                   {i.mint(t, made{claims: obj{"exp": nil}}), "expired", false},
		"exp zero":                 {i.mint(t, made{claims: obj{"exp": 0}}), "expired", false},
		"exp negative":             {i.mint(t, made{claims: obj{"exp": -1}}), "expired", false},
		"lives too long":           {i.mint(t, made{claims: obj{"exp": at(17 * time.Minute)}}), "expired", false},
		"has lived too long":       {i.mint(t, made{claims: obj{"iat": at(-16 * time.Minute), "exp": at(5 * time.Minute)}}), "expired", false},
		"no iat":                   {i.mint(t, made{claims: obj{"iat": nil}}), "not_yet", false},
		"issued in the future":     {i.mint(t, made{claims: obj{"iat": at(2 * time.Minute)}}), "not_yet", false},
		"not before the future":    {i.mint(t, made{claims: obj{"nbf": at(2 * time.Minute)}}), "not_yet", false},
		"no jti":                   {i.mint(t, made{claims: obj{"jti": nil}}), "id", false},
		"empty jti":                {i.mint(t, made{claims: obj{"jti": ""}}), "id", false},
		"endless jti":              {i.mint(t, made{claims: obj{"jti": strings.Repeat("j", 256)}}), "id", false},
		"endless kid":              {i.mint(t, made{header: obj{"kid": strings.Repeat("k", 256)}}), "key", false},
		"unknown kid":              {i.mint(t, made{header: obj{"kid": "forged"}}), "key", true},
		"a stranger's key":         {i.mint(t, made{key: "stranger"}), "signature", true},
		"a stranger's, no kid":     {i.mint(t, made{key: "stranger", header: obj{"kid": nil}}), "signature", true},
		"a stranger's, brought":    {i.mint(t, made{key: "stranger", header: obj{"jwk": jose.JSONWebKey{Key: i.stranger.Public()}}}), "signature", true},
		"changed after signing":    {i.mint(t, made{tamper: true}), "signature", true},
		"signature cut off":        {good[:cut+1], "signature", true},
		"signature of zeros":       {good[:cut+1] + strings.Repeat("A", len(good)-cut-1), "signature", true},
		"HS256 said to be RS256":   {i.mint(t, made{key: "hmac", header: obj{"alg": "RS256"}}), "signature", true},
		"ES256 under an RSA kid":   {i.mint(t, made{key: "ec", header: obj{"kid": "rsa"}}), "signature", true},
		"key of another algorithm": {i.mint(t, made{key: "older", header: obj{"kid": "only-rs512"}}), "signature", true},
		"kid of a shared secret":   {i.mint(t, made{header: obj{"kid": "shared"}}), "signature", true},
		"another subject":          {i.mint(t, made{claims: obj{"sub": "client-2"}}), "subject", true},
		"no subject":               {i.mint(t, made{claims: obj{"sub": nil}}), "subject", true},
		"subject in capitals":      {i.mint(t, made{claims: obj{"sub": "CLIENT-1"}}), "subject", true},
		"forged, another subject":  {i.mint(t, made{key: "stranger", claims: obj{"sub": "client-2"}}), "signature", true},
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	i := newIssuers(t)
	for name, test := range refusedTokens(t, i) {
		t.Run(name, func(t *testing.T) {
			i.finds, i.renewals = 0, 0
			token, err := i.verifier().Verify(t.Context(), test.token, expected())
			classified := core.AsError(err)
			if err == nil || classified.Code != test.stage {
				t.Fatalf("got %v, want stage %s", err, test.stage)
			}
			want := core.KindUnauthenticated
			if test.stage == jwt.StageSubject {
				want = core.KindDenied
			}
			if classified.Kind != want || classified.Message == "" || token.Claims != nil || token.Issuer != "" {
				t.Errorf("%v %+v, token %+v", classified.Kind, classified, token)
			}
			if asked := i.finds > 0; asked != test.asks {
				t.Errorf("a key was looked for: %v", asked)
			}
			if err := i.verifier().Plausible(test.token, expected()); (err == nil) != test.asks {
				t.Errorf("plausible: %v", err)
			}
		})
	}
}

func TestWhatADoorMayAskMore(t *testing.T) {
	i := newIssuers(t)
	for name, test := range map[string]struct {
		token made
		want  func(*jwt.Expected)
		stage string
	}{
		"no types":              {made{}, func(w *jwt.Expected) { w.Types = nil }, "type"},
		"another algorithm":     {made{}, func(w *jwt.Expected) { w.Algorithms = []jose.SignatureAlgorithm{jose.ES256} }, "algorithm"},
		"no algorithm":          {made{}, func(w *jwt.Expected) { w.Algorithms = []jose.SignatureAlgorithm{} }, "algorithm"},
		"HS256 pinned":          {made{key: "hmac"}, func(w *jwt.Expected) { w.Algorithms = []jose.SignatureAlgorithm{jose.HS256} }, "algorithm"},
		"none pinned":           {made{key: "none"}, func(w *jwt.Expected) { w.Algorithms = []jose.SignatureAlgorithm{"none"} }, "algorithm"},
		"no issuers":            {made{}, func(w *jwt.Expected) { w.Issuers = nil }, "issuer"},
		"an empty issuer":       {made{claims: obj{"iss": ""}}, func(w *jwt.Expected) { w.Issuers = []string{""} }, "issuer"},
		"no audiences":          {made{}, func(w *jwt.Expected) { w.Audiences = nil }, "audience"},
		"an empty audience":     {made{claims: obj{"aud": ""}}, func(w *jwt.Expected) { w.Audiences = []string{""} }, "audience"},
		"exp forbidden":         {made{}, func(w *jwt.Expected) { w.Expiry = jwt.Forbidden }, "expired"},
		"expired, but optional": {made{claims: obj{"exp": at(-time.Hour)}}, func(w *jwt.Expected) { w.Expiry = jwt.Optional }, "expired"},
		"too old":               {made{claims: obj{"iat": at(-12 * time.Minute), "exp": nil}}, func(w *jwt.Expected) { w.Expiry, w.MaxAge = jwt.Optional, 10*time.Minute }, "expired"},
		"no time of issue":      {made{claims: obj{"iat": nil}}, func(w *jwt.Expected) { w.MaxAge = 0 }, "not_yet"},
		"smaller":               {made{}, func(w *jwt.Expected) { w.MaxSize = 100 }, "malformed"},
		"without a null claim":  {made{rawClaims: `{"nonce":null}`}, func(*jwt.Expected) {}, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := i.verifier().Verify(t.Context(), i.mint(t, test.token), expected(test.want)); core.AsError(err) == nil || core.AsError(err).Code != test.stage {
				t.Errorf("got %v, want stage %s", err, test.stage)
			}
		})
	}
}

func TestKeysThatCannotBeHadAndKeysThatAreNew(t *testing.T) {
	i := newIssuers(t)
	i.down = true
	if _, err := i.verifier().Verify(t.Context(), i.mint(t, made{}), expected()); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("got %v", err)
	}
	i.down = false
	i.renewed = []jose.JSONWebKey{{Key: i.stranger.Public(), KeyID: "new"}}
	if _, err := i.verifier().Verify(t.Context(), i.mint(t, made{key: "stranger", header: obj{"kid": nil}}), expected()); err != nil || i.renewals != 1 {
		t.Errorf("a new key of a token without kid: %v, %d renewals", err, i.renewals)
	}
	// One with a kid is not tried with keys of other names.
	if _, err := i.verifier().Verify(t.Context(), i.mint(t, made{key: "stranger"}), expected()); core.AsError(err).Code != jwt.StageSignature || i.renewals != 1 {
		t.Errorf("got %v, %d renewals", err, i.renewals)
	}
}

// FuzzVerify looks for text that is believed without being one of the tokens the issuer signed.
func FuzzVerify(f *testing.F) {
	i := newIssuers(f)
	good := i.mint(f, made{})
	f.Add(good)
	for _, test := range refusedTokens(f, i) {
		f.Add(test.token)
	}
	verifier := i.verifier()
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := verifier.Verify(context.Background(), compact, expected())
		if err == nil && (token.Issuer != issuer || token.Subject != client || token.ID == "") {
			t.Errorf("%q is believed: %+v", compact, token)
		}
		if err != nil && (core.AsError(err).Code == "" || core.KindOf(err) == core.KindInternal) {
			t.Errorf("%q: %v", compact, err)
		}
		if peeked, err := jwt.Peek(compact, expected()); err == nil && len(peeked.Digest) != 32 {
			t.Errorf("%q: %+v", compact, peeked)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	i := newIssuers(b)
	verifier, want := i.verifier(), expected()
	for name, token := range map[string]string{
		"good": i.mint(b, made{}), "forged": i.mint(b, made{key: "stranger"}), "another issuer": i.mint(b, made{claims: obj{"iss": "https://evil.example"}}),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = verifier.Verify(b.Context(), token, want)
			}
		})
	}
}
