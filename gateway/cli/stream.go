package cli

import (
	"context"
	"net/http"
	"strings"
	"time"

	"postern/connectors/guard"
	"postern/core"
	"postern/core/seal"
	"postern/core/signing"
	"postern/core/vault"
	"postern/gateway"
	"postern/webhooks/ssf"
)

type streamCommands struct {
	Create  createStream  `cmd:"" help:"Make a stream of Shared Signals at a transmitter."`
	Adopt   adoptStream   `cmd:"" help:"Take over a stream that is there at the transmitter already."`
	List    listStreams   `cmd:"" help:"List the streams and how they go."`
	Show    showStream    `cmd:"" help:"Print everything about a stream."`
	Verify  verifyStream  `cmd:"" help:"Ask for a verification event, and wait for it."`
	Pause   pauseStream   `cmd:"" help:"Have the transmitter keep what happens until later."`
	Resume  resumeStream  `cmd:"" help:"Have it send again."`
	Update  updateStream  `cmd:"" help:"Change which events it sends, or its Authorization header."`
	Subject streamSubject `cmd:"" help:"Have the transmitter tell about somebody, or no longer."`
	Delete  deleteStream  `cmd:"" help:"End a stream at its transmitter and forget it."`
}

// atTransmitter is part of every command that talks to a transmitter.
type atTransmitter struct {
	reached      `embed:""`
	Key          string `help:"Reference to the key that wraps every workspace key: the one 'postern serve' gets. For credentials that were given to the API." env:"POSTERN_KEY" placeholder:"REF"`
	AllowPrivate bool   `help:"Reach transmitters at private and loopback addresses." env:"POSTERN_ALLOW_PRIVATE"`
}

// receiver is what manages streams.
func (a atTransmitter) receiver(s *setup) (*ssf.Service, error) {
	if err := gateway.CheckPublicURL(a.PublicURL); err != nil {
		return nil, flag("--public-url", err)
	}
	made := &ssf.Service{
		DB: s.db, Directory: s.people, HTTP: a.client(), PublicURL: a.PublicURL, OpenSecret: gateway.OpenReference, Vault: &vault.Vault{DB: s.db},
	}
	if a.Key != "" {
		keys, err := gateway.OpenKeys(a.Key)
		if err != nil {
			return nil, flag("--key", err)
		}
		made.Vault.Keys = keys
		made.Sign = (&signing.Signing{DB: s.db, Vault: made.Vault}).Sign
	}
	return made, nil
}

func (a atTransmitter) client() *http.Client {
	return guard.Client(guard.Options{AllowPrivate: a.AllowPrivate, MaxBody: 4 << 20, Timeout: 20 * time.Second})
}

// credential is how Postern gets in at a transmitter.
type credential struct {
	Token         string   `help:"Static bearer token of the transmitter, as a reference (file:PATH or env:NAME)." placeholder:"REF"`
	ClientID      string   `name:"client-id" help:"OAuth client that may manage streams." placeholder:"ID"`
	ClientSecret  string   `name:"client-secret" help:"Reference to its secret (file:PATH or env:NAME), resolved where 'postern serve' runs, too." placeholder:"REF"`
	Method        string   `help:"How the client proves itself: with its secret, or by private_key_jwt with the workspace's own key, which needs --key." enum:"client_secret_basic,client_secret_post,private_key_jwt" default:"client_secret_basic"`
	TokenEndpoint string   `name:"token-endpoint" help:"OAuth token endpoint; asked from the connection's issuer when left out." placeholder:"URL"`
	Scope         []string `help:"Scopes to ask for." default:"ssf.manage,ssf.read"`
}

func (c credential) access() (ssf.Access, error) {
	for name, reference := range map[string]string{"--token": c.Token, "--client-secret": c.ClientSecret} {
		if reference != "" && !gateway.IsReference(reference) {
			return ssf.Access{}, core.Invalid(name, "put the secret in a file and give file:PATH, or in a variable and give env:NAME")
		}
	}
	switch {
	case c.Token != "" && c.ClientID != "":
		return ssf.Access{}, core.Invalid("--token", "give a token or a client, not both")
	case c.Token != "":
		return ssf.Access{Method: ssf.MethodBearer, SecretReference: c.Token}, nil
	case c.ClientID != "":
		return ssf.Access{Method: ssf.Method(c.Method), ClientID: c.ClientID, SecretReference: c.ClientSecret, TokenEndpoint: c.TokenEndpoint, Scopes: c.Scope}, nil
	}
	return ssf.Access{Method: ssf.MethodNone}, nil
}

// newStream is what creating and adopting have in common.
type newStream struct {
	inWorkspace   `embed:""`
	atTransmitter `embed:""`
	credential    `embed:""`
	Connection    string       `arg:"" help:"Name or id of the connection whose people it tells about."`
	Issuer        string       `help:"The transmitter's issuer, exactly; the connection's when left out." placeholder:"URL"`
	Profile       ssf.Profile  `help:"Whose way of speaking: standard, okta, keycloak, google, apple, caep_interop." default:"standard" enum:"standard,okta,keycloak,google,apple,caep_interop"`
	Delivery      ssf.Delivery `help:"push: it sends to us. poll: we ask, for a gateway it cannot reach." default:"push" enum:"push,poll"`
	Event         []string     `help:"Event types to ask for, such as caep/session-revoked; what the profile has when left out." placeholder:"TYPE"`
	Description   string       `help:"What the transmitter's administrators read." default:"Postern"`
}

func (n newStream) make(ctx context.Context, terminal terminal, change func(*ssf.NewStream)) error {
	access, err := n.access()
	if err != nil {
		return err
	}
	events, err := eventsOf(n.Event)
	if err != nil {
		return err
	}
	s, err := n.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	connection, err := s.connection(ctx, n.Connection)
	if err != nil {
		return err
	}
	receiver, err := n.receiver(s)
	if err != nil {
		return err
	}
	wanted := ssf.NewStream{
		Connection: connection.ID, Profile: n.Profile, Delivery: n.Delivery, Issuer: n.Issuer, Events: events, Description: n.Description, Access: access,
	}
	change(&wanted)
	made, err := receiver.Create(ctx, s.cause, s.workspace.ID, wanted)
	if err != nil {
		if core.AsError(err).Code == "stream_exists" {
			return core.Conflict("", "%s. Take it over: postern stream adopt %q …", core.AsError(err).Message, n.Connection)
		}
		return err
	}
	row := streamRowOf(receiver, made.Stream)
	row.Authorization = made.Authorization.Reveal()
	return n.show(terminal, row, func(sheet sheet) {
		sheet.stream(row)
		if row.Authorization != "" {
			sheet.say("\nPaste this at the transmitter. It is told this once; only its hash is kept:")
			sheet.row("push endpoint URL", row.PushURL)
			sheet.row("Authorization header", row.Authorization)
			return
		}
		sheet.say("\nA verification was asked for. See it come: postern stream verify %s --workspace %s", made.Stream.ID, s.workspace.Slug)
	})
}

// eventsOf are the URIs a person means.
func eventsOf(names []string) ([]string, error) {
	var uris []string
	for _, name := range names {
		uri, known := ssf.LongEvent(name)
		if !known {
			var all []string
			for _, one := range ssf.Events() {
				all = append(all, ssf.ShortEvent(one))
			}
			return nil, core.Invalid("--event", "there is no %q; give its URI, or one of %s", name, strings.Join(all, ", "))
		}
		uris = append(uris, uri)
	}
	return uris, nil
}

// createStream makes a stream.
type createStream struct {
	newStream `embed:""`
}

// Help is shown by 'postern stream create --help'.
func (createStream) Help() string {
	return `A stream is how an identity provider tells about people as it happens: sessions it revoked, credentials that changed, accounts it disabled (Shared Signals Framework 1.0, with CAEP and RISC). The provider is its transmitter. The command reads the transmitter's metadata, makes the stream there with an OAuth client or a token, and asks for a first verification event.

  postern stream create Keycloak --workspace acme --profile keycloak --client-id postern --client-secret file:ssf-secret
  postern stream create Okta --workspace acme --profile okta --client-id 0oa… --client-secret file:ssf-secret
  postern stream create IdP --workspace acme --client-id postern --method private_key_jwt --key file:key      with the workspace's own key
  postern stream create IdP --workspace acme --delivery poll --token file:ssf-token      a gateway it cannot reach

What each event does is a policy: postern signal policy --help. Every field for each provider is in webhooks/ssf/README.md.`
}

func (c createStream) Run(ctx context.Context, terminal terminal) error {
	return c.make(ctx, terminal, func(*ssf.NewStream) {})
}

// adoptStream takes one over.
type adoptStream struct {
	newStream `embed:""`
	StreamID  string   `name:"stream-id" help:"What the transmitter calls it, if there are several." placeholder:"ID"`
	Audience  []string `help:"Without a credential: the aud of its tokens." placeholder:"AUD"`
}

// Help is shown by 'postern stream adopt --help'.
func (adoptStream) Help() string {
	return `For a stream that an administrator made at the transmitter, or that 'create' made before: many transmitters allow one per client.

With a credential it is pointed at this gateway:

  postern stream adopt Keycloak --workspace acme --profile keycloak --client-id postern --client-secret file:ssf-secret

Without one, the command prints what to paste at the transmitter:

  postern stream adopt Google --workspace acme --profile google --issuer https://accounts.google.com/ --audience 1234.apps.googleusercontent.com`
}

func (a adoptStream) Run(ctx context.Context, terminal terminal) error {
	return a.make(ctx, terminal, func(wanted *ssf.NewStream) {
		wanted.Adopt, wanted.RemoteID, wanted.Audiences = true, a.StreamID, a.Audience
		if wanted.Access.Method == ssf.MethodNone {
			wanted.Secret = seal.Secret{}
		}
	})
}
