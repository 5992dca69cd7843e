package ssf

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/core"
	"postern/core/audit"
	"postern/core/directory"
	"postern/core/seal"
)

// maxStreams bounds the streams of a connection: nobody needs more, and each is polled.
const maxStreams = 16

// DefaultScopes are what OAuth tokens for a transmitter are asked for (CAEP Interoperability Profile 1.0 §2.7).
var DefaultScopes = []string{"ssf.manage", "ssf.read"}

// NewStream is what a stream is created or adopted from.
type NewStream struct {
	Connection  core.ID
	Profile     Profile // "": standard
	Delivery    Delivery
	Issuer      string   // the transmitter's, exactly; "": the connection's
	Events      []string // URIs to request; none: what the profile asks for
	Description string
	Access      Access      // with neither token endpoint nor scopes: the defaults
	Secret      seal.Secret // sealed in the vault; zero with a reference in Access, or where none is needed

	// Adopt takes a stream over that is there already: the one of RemoteID, or else the only one.
	Adopt    bool
	RemoteID string
	// Audiences are for a stream adopted without a credential: nobody tells its aud but the administrator.
	Audiences []string
}

// Created is a stream and, where an administrator has to paste it at the transmitter, the Authorization header
// it is to send. It is told this once; only its hash is kept.
type Created struct {
	Stream        Stream
	Authorization seal.Secret
}

// Create makes a stream at a transmitter, or adopts one, and asks for its first verification. A transmitter that
// has a stream for us already is a Conflict with code "stream_exists".
func (s *Service) Create(ctx context.Context, cause core.Cause, workspace core.ID, wanted NewStream) (Created, error) {
	s.prepare()
	connection, err := s.Directory.Connection(ctx, s.DB, workspace, wanted.Connection)
	if err != nil {
		return Created{}, err
	}
	if err := wanted.check(&connection); err != nil {
		return Created{}, err
	}
	metadata, err := s.Discover(ctx, wanted.Issuer)
	if err != nil {
		return Created{}, err
	}
	if !metadata.offers(wanted.Delivery) {
		return Created{}, core.Invalid("delivery", "the transmitter does not deliver by %s", wanted.Delivery)
	}
	if wanted.Access.oauth() && wanted.Access.TokenEndpoint == "" {
		issuer := connection.Issuer
		if issuer == "" {
			issuer = wanted.Issuer
		}
		if wanted.Access.TokenEndpoint, err = s.tokenEndpoint(ctx, issuer); err != nil {
			return Created{}, err
		}
	}
	stream := Stream{
		ID: core.NewID(), Workspace: workspace, Connection: connection.ID, Profile: wanted.Profile, Delivery: wanted.Delivery, Issuer: metadata.Issuer,
		RemoteID: wanted.RemoteID, Audiences: wanted.Audiences, Metadata: metadata, Access: wanted.Access, Description: wanted.Description,
		Requested: wanted.Events, Status: Creating, Created: s.now(),
	}
	authorization := seal.Secret{}
	if wanted.Delivery == Push && !(wanted.Profile.traits().noAuthorization && wanted.Access.Method == MethodNone) {
		authorization = seal.NewSecret("Bearer " + seal.NewToken("pst_ssf").Reveal())
		stream.PushHashes = [][]byte{seal.HashToken(authorization.Reveal())}
	}
	// First the row: a transmitter may push its first token before it answers us.
	if err := s.begin(ctx, &stream, wanted.Secret); err != nil {
		return Created{}, err
	}
	err = s.join(ctx, &stream, wanted, authorization)
	if err != nil {
		return Created{}, s.giveUp(ctx, stream, err)
	}
	if err := s.finish(ctx, cause, connection, stream, wanted.Adopt); err != nil {
		return Created{}, err
	}
	made := Created{Stream: stream}
	if wanted.Access.Method == MethodNone {
		made.Authorization = authorization
	} else if stream.Metadata.Verification != "" {
		// What does not work is on the row; the stream is there all the same.
		_ = s.Verify(ctx, workspace, stream.ID)
	}
	made.Stream, err = s.Stream(ctx, s.DB, workspace, stream.ID)
	return made, err
}

// check refuses what cannot work, and fills in what was left out.
func (n *NewStream) check(connection *directory.Connection) error {
	if n.Profile == "" {
		n.Profile = Standard
	}
	if n.Issuer == "" {
		n.Issuer = connection.Issuer
	}
	if len(n.Events) == 0 && !n.Adopt {
		n.Events = n.Profile.asksFor()
	}
	if n.Access.Method == "" {
		n.Access.Method = MethodNone
	}
	if n.Access.oauth() && len(n.Access.Scopes) == 0 {
		n.Access.Scopes = slices.Clone(DefaultScopes)
	}
	has := !n.Secret.IsZero() || n.Access.SecretReference != ""
	switch {
	case !n.Profile.known():
		return core.Invalid("profile", "a profile is one of %v", Profiles)
	case n.Delivery != Push && n.Delivery != Poll:
		return core.Invalid("delivery", "a stream comes by push or by poll")
	case n.Issuer == "":
		return core.Invalid("issuer", "the transmitter's issuer is needed: the connection has none")
	case len(n.Description) > 200:
		return core.Invalid("description", "at most 200 characters")
	case len(n.Events) > 64 || len(n.Audiences) > 16 || len(n.RemoteID) > 255 || len(n.Issuer) > 1000:
		return core.Invalid("", "this is longer than any transmitter needs")
	}
	switch n.Access.Method {
	case MethodNone:
		if !n.Adopt {
			return core.Invalid("access.method", "a credential is needed to create a stream: bearer, client_secret_basic, client_secret_post or private_key_jwt")
		}
		if len(n.Audiences) == 0 {
			return core.Invalid("audiences", "without a credential nobody tells Postern what aud the stream's tokens have: give it")
		}
		if n.Delivery == Poll {
			return core.Invalid("access.method", "polling needs a credential")
		}
	case MethodBearer, MethodClientSecretBasic, MethodClientSecretPost, MethodPrivateKeyJWT:
		if n.Access.needsSecret() != has {
			return core.Invalid("access.secret", "bearer and client secrets need the secret; private_key_jwt needs none")
		}
		if n.Access.oauth() && n.Access.ClientID == "" {
			return core.Invalid("access.client_id", "the client id is needed")
		}
		if n.Access.TokenEndpoint != "" {
			if err := checkAddress("access.token_endpoint", n.Access.TokenEndpoint, n.Issuer); err != nil {
				return err
			}
		}
	default:
		return core.Invalid("access.method", "a credential is none, bearer, client_secret_basic, client_secret_post or private_key_jwt")
	}
	for _, uri := range n.Events {
		if uri == "" || len(uri) > 300 {
			return core.Invalid("events", "an event is named by its URI")
		}
	}
	return nil
}

const countStreams = `select count(*) from streams where workspace_id = @workspace and connection_id = @connection`

// begin writes the row and seals the secret.
func (s *Service) begin(ctx context.Context, stream *Stream, secret seal.Secret) error {
	return s.DB.Tx(ctx, func(tx pgx.Tx) error {
		var there int
		if err := tx.QueryRow(ctx, countStreams, pgx.StrictNamedArgs{"workspace": stream.Workspace, "connection": stream.Connection}).Scan(&there); err != nil {
			return err
		}
		if there >= maxStreams {
			return core.Conflict("connection", "a connection has at most %d streams", maxStreams)
		}
		if !secret.IsZero() {
			vault, err := s.Vault.Prepare(ctx, tx, stream.Workspace)
			if err != nil {
				return err
			}
			stream.SecretVersion = 1
			if err := s.Vault.Put(ctx, tx, stream.Workspace, vault, stream.ID, secretField, stream.SecretVersion, secret); err != nil {
				return err
			}
		}
		return insert(ctx, tx, *stream)
	})
}

// join makes or adopts the stream at the transmitter and takes over what it says.
func (s *Service) join(ctx context.Context, stream *Stream, wanted NewStream, authorization seal.Secret) error {
	if stream.Access.Method == MethodNone {
		stream.Status = Enabled
		return nil
	}
	ours := configuration{Requested: stream.Requested, Description: stream.Description, Delivery: s.delivery(*stream, authorization)}
	if !wanted.Adopt {
		made, err := s.remoteCreate(ctx, *stream, ours)
		if err != nil {
			if core.KindOf(err) == core.KindConflict {
				return core.AsError(err).WithCode("stream_exists")
			}
			return err
		}
		if err := stream.take(made); err != nil {
			if made.ID != "" { // ours, and of no use
				stream.RemoteID = made.ID
				_ = s.remoteDelete(ctx, *stream)
			}
			return err
		}
	} else {
		found, err := s.choose(ctx, *stream, wanted.RemoteID)
		if err != nil {
			return err
		}
		if err := s.adopt(ctx, stream, found, ours); err != nil {
			return err
		}
	}
	stream.Status = Enabled
	if stream.Metadata.Status != "" {
		if found, err := s.remoteStatus(ctx, *stream); err == nil {
			stream.follow(found)
		}
	}
	return nil
}

// adopt points a stream that is there at us, and has it tell what was asked for. One that is polled as it is
// stays as it is.
func (s *Service) adopt(ctx context.Context, stream *Stream, found, ours configuration) error {
	stream.RemoteID = found.ID
	changed := configuration{Requested: ours.Requested}
	if len(ours.Requested) == 0 {
		ours.Requested = found.Requested
	}
	if stream.Delivery == Push || found.Delivery == nil || found.Delivery.Method != ours.Delivery.Method {
		changed.Delivery = ours.Delivery
	}
	if changed.Delivery != nil || len(changed.Requested) > 0 {
		said, _, err := s.remoteUpdate(ctx, *stream, changed, ours)
		if err != nil {
			return err
		}
		if found = said; found.ID == "" {
			if found, err = s.remoteRead(ctx, *stream); err != nil {
				return err
			}
		}
	}
	return stream.take(found)
}

// choose finds the stream to adopt.
func (s *Service) choose(ctx context.Context, stream Stream, id string) (configuration, error) {
	all, err := s.remoteStreams(ctx, stream)
	if err != nil {
		return configuration{}, err
	}
	var ids []string
	for _, one := range all {
		if one.ID == id && id != "" || id == "" && len(all) == 1 {
			return one, nil
		}
		ids = append(ids, cut(one.ID, 100))
	}
	if len(all) == 0 {
		return configuration{}, core.Conflict("stream_id", "the transmitter has no stream for this credential: create one")
	}
	return configuration{}, core.Invalid("stream_id", "say which stream to adopt: %v", ids)
}

// delivery is what a transmitter is told of how to reach us.
func (s *Service) delivery(stream Stream, authorization seal.Secret) *delivery {
	told := &delivery{Method: stream.Metadata.method(stream.Delivery)}
	if stream.Delivery == Push {
		told.URL, told.Authorization = s.PushURL(stream.Connection, stream.ID), authorization.Reveal()
	}
	return told
}

// take keeps what a transmitter says of a stream, after checking that it is the one that was meant.
func (s *Stream) take(said configuration) error {
	wrong := func(format string, args ...any) error {
		return core.Conflict("", "the transmitter's answer does not fit: "+format, args...).WithCode("transmitter")
	}
	switch {
	case said.ID == "" || len(said.ID) > 255:
		return wrong("it names no stream")
	case s.RemoteID != "" && said.ID != s.RemoteID:
		return wrong("it is about another stream")
	case said.Issuer != "" && said.Issuer != s.Issuer:
		return wrong("its iss is %q, not the issuer %q", cut(said.Issuer, 200), s.Issuer)
	case len(said.Audience) == 0 && len(s.Audiences) == 0:
		return wrong("it has no aud")
	case len(said.Audience) > 16 || len(said.Delivered) > 200 || len(said.Requested) > 200:
		return wrong("it is too long")
	case s.Delivery == Poll && (said.Delivery == nil || said.Delivery.URL == ""):
		return wrong("it does not say where to poll")
	}
	if s.Delivery == Poll {
		if err := checkAddress("endpoint_url", said.Delivery.URL, s.Issuer); err != nil {
			return wrong("%s", err.Error())
		}
		s.PollURL = said.Delivery.URL
	}
	s.RemoteID = said.ID
	if len(said.Audience) > 0 {
		s.Audiences = said.Audience
	}
	if len(said.Requested) > 0 {
		s.Requested = said.Requested
	}
	s.Delivered, s.VerifyInterval = said.Delivered, max(0, min(said.Interval, 1<<30))
	return nil
}

// follow takes over a status; one that is none of the framework's is passed over.
func (s *Stream) follow(said statement) {
	switch said.Status {
	case Enabled, Paused, Disabled:
		s.Status, s.Reason = said.Status, cut(said.Reason, 500)
	}
}

// giveUp forgets a stream that could not be made. One that may have been made, because no answer came, stays to
// be deleted or adopted.
func (s *Service) giveUp(ctx context.Context, stream Stream, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if transient(cause) && core.AsError(cause).Code != "token" {
		s.failed(ctx, stream, "create", cause, 0)
		return cause
	}
	if err := s.DB.Tx(ctx, func(tx pgx.Tx) error { return s.drop(ctx, tx, stream) }); err != nil {
		s.log().WarnContext(ctx, "a stream that could not be made was not forgotten", "stream", stream.ID.String(), "error", err)
	}
	return cause
}

// finish makes a stream's beginning durable.
func (s *Service) finish(ctx context.Context, cause core.Cause, connection directory.Connection, stream Stream, adopted bool) error {
	event := core.NewEvent(core.StreamCreated, stream.Workspace, cause, s.now(), stream.Target(), connection.Target()).
		With("delivery", string(stream.Delivery)).With("profile", string(stream.Profile)).With("status", string(stream.Status))
	if adopted {
		event = event.With("adopted", "true")
	}
	err := s.DB.Tx(ctx, func(tx pgx.Tx) error {
		if err := s.save(ctx, tx, stream); err != nil {
			return err
		}
		return audit.Append(ctx, tx, event)
	})
	if err == nil {
		s.wake()
	}
	return err
}
