package gateway

import (
	"context"
	"net/url"
	"os"
	"strings"

	"postern/core"
	"postern/core/postgres"
	"postern/core/seal"
)

// IsReference reports whether a text has the form of a reference to a secret: "file:PATH" or "env:NAME".
func IsReference(text string) bool {
	return strings.HasPrefix(text, "file:") || strings.HasPrefix(text, "env:")
}

// OpenReference resolves "file:PATH" (trailing line break cut) or "env:NAME" to the secret. Nothing is
// no secret: an empty file or variable is Invalid.
func OpenReference(reference string) (seal.Secret, error) {
	content, err := resolve(reference)
	if err != nil {
		return seal.Secret{}, err
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return seal.Secret{}, core.Invalid("reference", "%s holds nothing", reference)
	}
	return seal.NewSecret(text), nil
}

// resolve reads what a reference leads to.
func resolve(reference string) ([]byte, error) {
	kind, name, _ := strings.Cut(reference, ":")
	switch kind {
	case "file":
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, core.Invalid("reference", "the file %s cannot be read", name).Because(err)
		}
		return content, nil
	case "env":
		value, set := os.LookupEnv(name)
		if !set {
			return nil, core.Invalid("reference", "the variable %s is not set", name)
		}
		return []byte(value), nil
	}
	return nil, core.Invalid("reference", "a secret is given as file:PATH or env:NAME, never itself")
}

// openKey resolves a reference to 32 bytes. Raw ones may end in what would be a line break in a text.
func openKey(reference string) (seal.Secret, error) {
	material, err := resolve(reference)
	if err != nil {
		return seal.Secret{}, err
	}
	return seal.ParseKey(material)
}

// OpenKeys resolves the reference to the key that wraps every workspace key.
func OpenKeys(reference string) (seal.KeyProvider, error) {
	material, err := resolve(reference)
	if err != nil {
		return nil, err
	}
	return seal.NewLocalKey(material)
}

// DatabaseURL resolves what was given as the database. A password in it must come by reference: what
// is on a command line is seen by every user of the machine.
func DatabaseURL(given string) (seal.Secret, error) {
	if given == "" {
		return seal.Secret{}, core.Invalid("database", "a PostgreSQL URL is needed, for example postgres://postern@127.0.0.1:5432/postern")
	}
	address := seal.NewSecret(given)
	if IsReference(given) {
		var err error
		if address, err = OpenReference(given); err != nil {
			return seal.Secret{}, err
		}
	}
	parsed, err := url.Parse(address.Reveal())
	if err != nil || (parsed.Scheme != "postgres" && parsed.Scheme != "postgresql") {
		return seal.Secret{}, core.Invalid("database", "this is not a PostgreSQL URL such as postgres://postern@127.0.0.1:5432/postern")
	}
	_, has := parsed.User.Password()
	if !IsReference(given) && (has || parsed.Query().Has("password") || parsed.Query().Has("sslpassword")) {
		return seal.Secret{}, core.Invalid("database", "the URL holds a password: put it in a file and give file:PATH, or in a variable and give env:NAME")
	}
	return address, nil
}

const findSchema = `select to_regclass('workspaces') is not null`

// OpenDatabase opens a database given as a URL or a reference, for a program that works on it directly.
// Without a schema it is Invalid, and the error says what to do.
func OpenDatabase(ctx context.Context, database string, options postgres.Options) (*postgres.DB, error) {
	address, err := DatabaseURL(database)
	if err != nil {
		return nil, err
	}
	db, err := postgres.Open(ctx, address.Reveal(), options)
	if err != nil {
		return nil, err
	}
	var found bool
	if err := db.QueryRow(ctx, findSchema).Scan(&found); err != nil {
		db.Close()
		return nil, postgres.Classify(err)
	}
	if !found {
		db.Close()
		return nil, core.Invalid("database", "the database has no schema yet; run 'postern migrate' first")
	}
	return db, nil
}
