package optest

// Client is a relying party that a provider knows. ID and RedirectURIs are needed.
type Client struct {
	ID     string
	Secret string // empty: a public client, unless JWKSURI is set

	// JWKSURI makes it authenticate by private_key_jwt with these keys. With several methods possible
	// SecretInBody chooses client_secret_post over client_secret_basic.
	JWKSURI      string
	SecretInBody bool

	RedirectURIs          []string
	SignedOutURIs         []string
	BackChannelLogoutURI  string
	FrontChannelLogoutURI string
	RequirePAR            bool
	IDTokenAlgorithm      string // RS256 when empty
}

func (c Client) method() string {
	switch {
	case c.JWKSURI != "":
		return "private_key_jwt"
	case c.Secret == "":
		return "none"
	case c.SecretInBody:
		return "client_secret_post"
	}
	return "client_secret_basic"
}

// Person is somebody a provider knows.
type Person struct {
	ID         string // the provider's own; set by AddPerson
	UserName   string
	Password   string
	Email      string
	GivenName  string
	FamilyName string
}
