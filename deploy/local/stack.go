package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"postern/core/directory"
	"postern/core/seal"
	"postern/deploy/local/broker"
	"postern/deploy/local/postgresql"
	"postern/deploy/local/receiver"
	"postern/deploy/local/sampleapp"
	"postern/oidc/devidp"
	"postern/oidc/devidp/push"
)

// Ports are those asked for; 0 keeps the one a part had before, or takes a free one.
type Ports struct {
	Gateway, Database, Kafka, IdP, App, HEC, Mailbox int
}

// Stack is everything around the gateway, running.
type Stack struct {
	Database string // URL
	Kafka    string // host:port
	IdP      string // URL
	App      string // URL
	HEC      string // URL
	HECToken string // reference
	SumoURL  string // reference
	Gateway  int    // the port reserved for the gateway
	Mailbox  string // host:port reserved for what receives mails

	People    *devidp.Server
	Harbour   *sampleapp.App
	Receiver  *receiver.Receiver
	Server    *postgresql.Server
	Broker    *broker.Broker
	folder    *Folder
	log       *slog.Logger
	sites     []*site
	shutdowns []func() error
}

// Shared logins of the sample app, as a fresh folder has them.
var sharedLogins = []string{"operations", "billing"}

// Start brings everything up, in order, telling each part as it is ready. What was started is
// stopped again when a later part fails.
func Start(ctx context.Context, folder *Folder, ports Ports, log *slog.Logger, tell func(part, address string)) (*Stack, error) {
	s := &Stack{folder: folder, log: log}
	for _, part := range []struct {
		name  string
		start func(context.Context, Ports) (string, error)
	}{
		{"database", s.startDatabase}, {"kafka", s.startKafka}, {"app", s.startApp}, {"idp", s.startIdP}, {"receiver", s.startReceiver},
	} {
		address, err := part.start(ctx, ports)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", part.name, err), s.Stop())
		}
		tell(part.name, address)
	}
	port, err := folder.Port("gateway", ports.Gateway)
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.Gateway = port
	if port, err = folder.Port("mailbox", ports.Mailbox); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.Mailbox = fmt.Sprintf("127.0.0.1:%d", port)
	return s, nil
}

// Stop ends everything, last started first.
func (s *Stack) Stop() error {
	var faults []error
	for i := len(s.shutdowns) - 1; i >= 0; i-- {
		faults = append(faults, s.shutdowns[i]())
	}
	s.shutdowns = nil
	return errors.Join(faults...)
}

// Failed gives the first error of a part that stopped by itself.
func (s *Stack) Failed(ctx context.Context) error {
	failed := make(chan error, len(s.sites))
	for _, one := range s.sites {
		go func() {
			select {
			case err := <-one.failed:
				failed <- err
			case <-ctx.Done():
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *Stack) startDatabase(ctx context.Context, ports Ports) (string, error) {
	port, err := s.folder.Port("database", ports.Database)
	if err != nil {
		return "", err
	}
	home, err := clusterFolder(s.folder.In("postgresql"))
	if err != nil {
		return "", err
	}
	s.Server, err = postgresql.Start(ctx, postgresql.Options{Folder: home, Port: port, Settings: map[string]string{
		"max_connections": "200", "shared_buffers": "128MB",
	}})
	if err != nil {
		return "", err
	}
	s.shutdowns = append(s.shutdowns, s.Server.Stop)
	s.Database, err = s.Server.Database(ctx, "postern")
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

func (s *Stack) startKafka(ctx context.Context, ports Ports) (string, error) {
	port, err := s.folder.Port("kafka", ports.Kafka)
	if err != nil {
		return "", err
	}
	s.Broker, err = broker.Embedded(ctx, s.folder.In("kafka"), port)
	if err != nil {
		return "", err
	}
	s.shutdowns = append(s.shutdowns, s.Broker.Stop)
	s.Kafka = s.Broker.Address
	return s.Kafka, nil
}

func (s *Stack) startApp(_ context.Context, ports Ports) (string, error) {
	port, err := s.folder.Port("app", ports.App)
	if err != nil {
		return "", err
	}
	if s.Harbour, err = sampleapp.New(s.folder.In("app")); err != nil {
		return "", err
	}
	for _, name := range sharedLogins {
		secret, err := s.LoginPassword(name)
		if err != nil {
			return "", err
		}
		if !s.Harbour.Has(name) {
			if err := s.Harbour.SetPassword(name, secret.Reveal()); err != nil {
				return "", err
			}
		}
	}
	s.App, err = s.open("app", port, s.Harbour)
	return s.App, err
}

// SharedLogins names the shared logins of the sample app.
func SharedLogins() []string { return append([]string{}, sharedLogins...) }

// LoginPassword is the password a shared login of the sample app had at first.
func (s *Stack) LoginPassword(name string) (seal.Secret, error) {
	return s.folder.Secret("app-"+name, func() (seal.Secret, error) { return seal.GeneratePassword(seal.PasswordPolicy{}), nil })
}

func (s *Stack) startIdP(_ context.Context, ports Ports) (string, error) {
	port, err := s.folder.Port("idp", ports.IdP)
	if err != nil {
		return "", err
	}
	s.IdP = fmt.Sprintf("http://127.0.0.1:%d", port)
	if s.People, err = devidp.New(devidp.Options{Issuer: s.IdP, Folder: s.folder.In("idp"), Log: s.log}); err != nil {
		return "", err
	}
	_, err = s.open("idp", port, s.People)
	return s.IdP, err
}

func (s *Stack) startReceiver(_ context.Context, ports Ports) (string, error) {
	port, err := s.folder.Port("hec", ports.HEC)
	if err != nil {
		return "", err
	}
	token, err := s.folder.Secret("hec", newToken("pst_hec"))
	if err != nil {
		return "", err
	}
	code, err := s.folder.Secret("sumo", newToken("pst_sumo"))
	if err != nil {
		return "", err
	}
	if s.Receiver, err = receiver.New(receiver.Options{Folder: s.folder.In("receiver"), Token: token, SumoCode: code}); err != nil {
		return "", err
	}
	s.shutdowns = append(s.shutdowns, s.Receiver.Close)
	if s.HEC, err = s.open("receiver", port, s.Receiver); err != nil {
		return "", err
	}
	s.HECToken, s.SumoURL = "file:"+s.folder.In("secrets", "hec"), "file:"+s.folder.In("secrets", "sumo-url")
	return s.HEC, s.folder.Write("secrets/sumo-url", []byte(s.HEC+"/receiver/v1/http/"+code.Reveal()))
}

func newToken(prefix string) func() (seal.Secret, error) {
	return func() (seal.Secret, error) { return seal.NewToken(prefix), nil }
}

// open serves a site and has it stopped with the stack.
func (s *Stack) open(name string, port int, handler http.Handler) (string, error) {
	opened, err := serveSite(name, port, handler)
	if err != nil {
		return "", err
	}
	s.sites = append(s.sites, opened)
	s.shutdowns = append(s.shutdowns, opened.stop)
	return opened.address, nil
}

// Introduce tells an IdP of the connections that were planted: their clients sign people in there,
// and people are pushed to them.
func Introduce(folder *Folder, people *devidp.Server, descriptor Descriptor) error {
	for _, kind := range connectionKinds {
		name := string(kind)
		secret, err := folder.Secret(clientSecretName(kind), newToken("pst_client"))
		if err != nil {
			return err
		}
		style := map[directory.ConnectionKind]push.Style{directory.Okta: push.Okta, directory.Entra: push.Entra}[kind]
		if err := people.AddClient(devidp.Client{
			ID: ClientID(kind), Secret: secret, Style: style,
			RedirectURIs:  []string{strings.TrimSuffix(descriptor.SignIn[name], "/start") + "/callback"},
			SignedOutURIs: []string{descriptor.Gateway + "/sso/signed-out"},
		}); err != nil {
			return err
		}
		if err := people.AddTarget(devidp.Target{
			Name: name, Style: style, SCIMURL: descriptor.SCIM[name].URL, SCIMToken: seal.NewSecret(descriptor.SCIM[name].Token),
			LogoutEndpoint: descriptor.Logout[name], Client: ClientID(kind),
		}); err != nil {
			return err
		}
	}
	return nil
}

// OwnerName is the person at the IdP who owns the development workspace.
const OwnerName = "dana.reyes@acme.example"

// clusterFolder is where PostgreSQL keeps its data: in the wanted folder, or, when we are root and
// PostgreSQL's own user cannot pass through one of its parents, in a folder of the system that the
// wanted one links to.
func clusterFolder(wanted string) (string, error) {
	if os.Geteuid() != 0 {
		return wanted, nil
	}
	if linked, err := filepath.EvalSymlinks(wanted); err == nil && linked != wanted {
		return linked, nil
	}
	for parent := filepath.Dir(wanted); parent != "/"; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o001 == 0 {
			elsewhere, err := os.MkdirTemp("/var/lib", "postern-postgresql-")
			if err != nil {
				return "", err
			}
			if err := os.Chmod(elsewhere, 0o711); err != nil {
				return "", err
			}
			return elsewhere, os.Symlink(elsewhere, wanted)
		}
	}
	return wanted, nil
}
