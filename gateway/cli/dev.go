package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/core"
	"postern/core/directory"
	"postern/core/lifecycle"
	"postern/core/postgres"
	"postern/core/seal"
	"postern/deploy/local"
	"postern/deploy/local/demo"
	"postern/gateway"
	"postern/gateway/api"
)

// dev runs a whole stack on this machine.
type dev struct {
	Data     string `help:"Folder that keeps everything." default:"${data}" env:"POSTERN_DATA" type:"path"`
	Play     bool   `help:"Play the main job once everything is up, then stay."`
	LogLevel string `help:"debug, info, warn or error. The log is in the data folder." default:"info" env:"POSTERN_LOG_LEVEL" enum:"debug,info,warn,error"`

	GatewayPort  int `help:"Port of Postern. Ports not given are free ones, kept from run to run." placeholder:"PORT"`
	IdpPort      int `help:"Port of the development IdP." placeholder:"PORT"`
	AppPort      int `help:"Port of the sample app." placeholder:"PORT"`
	HecPort      int `help:"Port of the event receiver." placeholder:"PORT"`
	KafkaPort    int `help:"Port of the embedded Kafka." placeholder:"PORT"`
	DatabasePort int `help:"Port of PostgreSQL." placeholder:"PORT"`
	MailboxPort  int `help:"Port of the SMTP receiver for accounts' own addresses." placeholder:"PORT"`
}

// Help is shown by 'postern dev --help'.
func (dev) Help() string {
	return `Everything listens on 127.0.0.1 and keeps its state in one folder, so the next start finds it again. Where everything is, with tokens for scripts, is written to dev.json in that folder once all of it is ready. Ctrl-C stops all of it.`
}

// defaultData is the folder of 'postern dev' unless one is given.
func defaultData() string {
	if os.Geteuid() == 0 {
		return "/var/lib/postern"
	}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "postern")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "postern-data"
	}
	return filepath.Join(home, ".local", "share", "postern")
}

func (d dev) Run(ctx context.Context, terminal terminal) (err error) {
	if err := withoutCore(); err != nil {
		return err
	}
	screen := screen{terminal.out}
	folder, err := local.OpenFolder(d.Data)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	if err := folder.Withdraw(); err != nil {
		return err
	}
	logFile, err := os.OpenFile(folder.In("postern.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	log := newLogger(logFile, d.LogLevel, "json")

	screen.title("Postern, on this machine")
	stack, err := local.Start(ctx, folder, local.Ports{
		Gateway: d.GatewayPort, Database: d.DatabasePort, Kafka: d.KafkaPort, IdP: d.IdpPort, App: d.AppPort, HEC: d.HecPort, Mailbox: d.MailboxPort,
	}, log, screen.started)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	config, descriptor, err := d.prepare(ctx, folder, stack)
	if err != nil {
		return err
	}
	built, err := gateway.New(ctx, config, log)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return built.Run(ctx) })
	group.Go(func() error { return stack.Failed(ctx) })
	group.Go(func() error { return d.open(ctx, screen, folder, stack, config, descriptor) })
	err = group.Wait()
	screen.say("\nstopping …")
	return errors.Join(err, folder.Withdraw())
}

// prepare brings the database up to date, plants the workspace and says how the gateway is to run.
func (d dev) prepare(ctx context.Context, folder *local.Folder, stack *local.Stack) (gateway.Config, local.Descriptor, error) {
	address := fmt.Sprintf("http://127.0.0.1:%d", stack.Gateway)
	config := gateway.Config{
		Roles:     []string{gateway.RoleGateway, gateway.RoleWorker, gateway.RoleRelay, gateway.RoleSink},
		Database:  "file:" + folder.In("secrets", "database"),
		Listen:    fmt.Sprintf("127.0.0.1:%d", stack.Gateway),
		PublicURL: address, Key: "file:" + folder.In("secrets", "key"), AuditKey: "file:" + folder.In("secrets", "audit-key"),
		AuditStream:  gateway.AuditStream{Kafka: []string{stack.Kafka}, KafkaTopic: "postern.audit"},
		Destinations: gateway.Destinations{SplunkURL: stack.HEC, SplunkToken: stack.HECToken, SumoURL: stack.SumoURL},
		Browser:      os.Getenv("POSTERN_BROWSER"), Concurrency: 4, AllowPrivate: true, MailKeep: true, APIRate: 1000, Grace: 10 * time.Second,
		MailboxDomain: mailDomain, MailboxListen: stack.Mailbox, Rotation: devPace,
	}
	if err := folder.Write("secrets/database", []byte(stack.Database)); err != nil {
		return config, local.Descriptor{}, err
	}
	generate := func() (seal.Secret, error) { return seal.GenerateLocalKey(), nil }
	key, err := folder.Secret("key", generate)
	if err != nil {
		return config, local.Descriptor{}, err
	}
	if _, err := folder.Secret("audit-key", generate); err != nil {
		return config, local.Descriptor{}, err
	}
	if err := config.Validate(); err != nil {
		return config, local.Descriptor{}, err
	}
	if _, err := gateway.Migrate(ctx, config.Database); err != nil {
		return config, local.Descriptor{}, err
	}
	keys, err := seal.NewLocalKey([]byte(key.Reveal()))
	if err != nil {
		return config, local.Descriptor{}, err
	}
	db, err := postgres.Open(ctx, stack.Database, postgres.Options{MaxConnections: 2})
	if err != nil {
		return config, local.Descriptor{}, err
	}
	defer db.Close()
	seed := local.Seed{DB: db, Keys: keys, GatewayURL: address, Issuer: stack.IdP, Scopes: api.Scopes()}
	descriptor, err := seed.Plant(ctx, folder)
	if err != nil {
		return config, descriptor, err
	}
	descriptor.IdP, descriptor.App, descriptor.HEC = stack.IdP, stack.App, stack.HEC
	descriptor.Mailbox = stack.Mailbox
	descriptor.Kafka, descriptor.Database, descriptor.Owner = stack.Kafka, stack.Database, local.OwnerName
	return config, descriptor, local.Introduce(folder, stack.People, descriptor)
}

// mailDomain is the domain of accounts' addresses on a developer's machine. Nobody looks it up: mails are brought to the
// port of the receiver.
const mailDomain = "mail.postern.localhost"

// devPace lets a developer see in seconds what production does in minutes.
var devPace = gateway.Pace{
	Lease: 5 * time.Second, FirstRetry: 2 * time.Second, LastRetry: 30 * time.Second, Quiet: 5 * time.Second, Settle: 3 * time.Second,
	FailedSignIns: 6, FailedWindow: time.Minute,
}

// open waits until Postern is ready, furnishes the workspace, announces it, and plays if asked.
func (d dev) open(ctx context.Context, screen screen, folder *local.Folder, stack *local.Stack, config gateway.Config, descriptor local.Descriptor) error {
	if err := demo.Ready(ctx, descriptor.Gateway); err != nil {
		return err
	}
	screen.started("postern", descriptor.Gateway)
	var logins []demo.Login
	for _, name := range local.SharedLogins() {
		password, err := stack.LoginPassword(name)
		if err != nil {
			return err
		}
		logins = append(logins, demo.Login{Username: name, Password: password.Reveal()})
	}
	db, err := postgres.Open(ctx, stack.Database, postgres.Options{MaxConnections: 1})
	if err != nil {
		return err
	}
	err = demo.Furnish(ctx, descriptor, func(ctx context.Context, id core.ID) error { return own(ctx, db, id) }, logins)
	db.Close()
	if err != nil {
		return err
	}
	if err := folder.Announce(descriptor); err != nil {
		return err
	}
	if d.Play {
		if err := play(ctx, screen, descriptor); err != nil {
			screen.say("\n%v", err)
		}
	}
	screen.addresses(descriptor, folder.Path)
	<-ctx.Done()
	return nil
}

// own makes a user the owner of their workspace.
func own(ctx context.Context, db *postgres.DB, id core.ID) error {
	people := &directory.Directory{DB: db}
	workspaces, err := people.Workspaces(ctx, db)
	if err != nil {
		return err
	}
	_, err = (&lifecycle.Lifecycle{DB: db, Directory: people}).Change(ctx, core.NewCause(operator(), time.Now()), workspaces[0].ID, id,
		func(user *directory.User) error {
			user.Role = directory.RoleOwner
			return nil
		})
	return err
}
