package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/scim"
	"postern/siem/sink"
)

// Roles a process can play.
const (
	RoleGateway = "gateway"
	RoleWorker  = "worker"
	RoleRelay   = "relay"
	RoleSink    = "sink"
)

// Config is everything a process is told. The tags are its one definition: flag, variable, default
// and help. A field named as a reference takes "file:PATH" or "env:NAME", never the secret itself.
type Config struct {
	Roles     []string `help:"What this process does: gateway, worker, relay, sink." default:"gateway,worker,relay,sink" env:"POSTERN_ROLES" placeholder:"ROLE"`
	Database  string   `help:"PostgreSQL URL. One that holds a password must come as a reference." env:"POSTERN_DATABASE" placeholder:"URL|REF"`
	Listen    string   `help:"Address to listen on. Without the role gateway, health and metrics alone are served there; nothing when empty." default:"127.0.0.1:8080" env:"POSTERN_LISTEN" placeholder:"HOST:PORT"`
	PublicURL string   `help:"Address people and IdPs reach Postern at, without path." env:"POSTERN_PUBLIC_URL" placeholder:"URL"`

	Key      string `help:"Reference to the key that wraps every workspace key: 32 bytes, raw, hex or base64. Make one with 'postern key'." env:"POSTERN_KEY" placeholder:"REF"`
	AuditKey string `help:"Reference to the Ed25519 seed that signs audit checkpoints: 32 bytes, raw, hex or base64." env:"POSTERN_AUDIT_KEY" placeholder:"REF"`

	AuditStream `embed:""`

	Destinations `embed:""`

	SMTPAddress  string `help:"Mail server, for example smtp.example.com:587: STARTTLS, on port 465 TLS at once. Without one there are no links, no guests and no reminders." env:"POSTERN_SMTP_ADDRESS" placeholder:"HOST:PORT"`
	SMTPUser     string `help:"User at the mail server; none when empty." env:"POSTERN_SMTP_USER" placeholder:"NAME"`
	SMTPPassword string `help:"Reference to the password there." env:"POSTERN_SMTP_PASSWORD" placeholder:"REF"`
	MailFrom     string `help:"Who mails are from, for example 'Postern <postern@example.com>'." env:"POSTERN_MAIL_FROM" placeholder:"ADDRESS"`
	MailKeep     bool   `help:"For development: keep mails for the console's page Mail instead of sending them. Administrators then read everybody's codes." env:"POSTERN_MAIL_KEEP"`

	MailboxDomain      string        `help:"Domain of accounts' own e-mail addresses, whose MX record leads to this machine. Without one accounts have none." env:"POSTERN_MAILBOX_DOMAIN" placeholder:"DOMAIN"`
	MailboxListen      string        `help:"Address mails for them are received at (SMTP), with the role gateway." default:"127.0.0.1:2525" env:"POSTERN_MAILBOX_LISTEN" placeholder:"HOST:PORT"`
	MailboxCertificate string        `help:"Reference to the certificate chain for STARTTLS (PEM), read again for each connection; not offered when empty." env:"POSTERN_MAILBOX_CERTIFICATE" placeholder:"REF"`
	MailboxKey         string        `help:"Reference to its private key (PEM)." env:"POSTERN_MAILBOX_KEY" placeholder:"REF"`
	MailboxRetention   time.Duration `help:"How long messages to accounts are kept." default:"720h" env:"POSTERN_MAILBOX_RETENTION" placeholder:"TIME"`

	Browser        string   `help:"Headless browser; found on the machine when empty." env:"POSTERN_BROWSER" placeholder:"PATH"`
	Plugins        []string `help:"Connectors in programs of their own, which workers start if they have this checksum. See connectors/README.md." env:"POSTERN_PLUGINS" placeholder:"NAME=sha256:SUM:PATH"`
	Concurrency    int      `help:"Rotations at a time in this process; one app has one less than that at most." default:"4" env:"POSTERN_CONCURRENCY"`
	TrustedProxies []string `help:"Addresses or networks of proxies whose X-Forwarded-For is believed." env:"POSTERN_TRUSTED_PROXIES" placeholder:"CIDR"`

	SCIMTokenLife time.Duration `help:"How long an access token for SCIM is good that a client is given: 1h to 6h." default:"1h" env:"POSTERN_SCIM_TOKEN_LIFE" placeholder:"TIME"`

	APIRate int `help:"Requests a second a service account may send to the API of this process." default:"50" env:"POSTERN_API_RATE" placeholder:"N"`

	AllowPrivate bool `help:"Let connectors, sinks and IdP look-ups reach private and loopback addresses." env:"POSTERN_ALLOW_PRIVATE"`

	LockoutObjective time.Duration `help:"How soon a leaver's passwords should be proven dead (default 1m): postern_lockout_burn_rate tells how often they are not." placeholder:"TIME" env:"POSTERN_LOCKOUT_OBJECTIVE"`
	LockoutTarget    float64       `help:"The share of them that should be (default 0.99)." placeholder:"SHARE" env:"POSTERN_LOCKOUT_TARGET"`

	AuditRetention time.Duration `help:"How long the log keeps records; whole calendar months are dropped once all of them is older and every sink has it. For ever by default." placeholder:"TIME" env:"POSTERN_AUDIT_RETENTION"`

	MetricsToken string        `help:"Reference to a bearer token that /metrics asks for; open when empty." env:"POSTERN_METRICS_TOKEN" placeholder:"REF"`
	Grace        time.Duration `help:"How long requests, jobs and deliveries under way may finish at a stop: less than what stops the process waits, and for sinks as long as a receiver may take for an answer." default:"20s" env:"POSTERN_GRACE"`
	Drain        time.Duration `help:"How long /readyz says 503 at a stop before the listener closes: longer than a load balancer takes to notice." default:"0s" env:"POSTERN_DRAIN"`
	LogLevel     string        `help:"debug, info, warn or error." default:"info" env:"POSTERN_LOG_LEVEL" enum:"debug,info,warn,error"`
	LogFormat    string        `help:"json or text." default:"json" env:"POSTERN_LOG_FORMAT" enum:"json,text"`

	Rotation Pace `embed:"" prefix:"rotation-" envprefix:"POSTERN_ROTATION_"`
}

// Pace sets how patiently apps are treated; zero keeps the engine's default. The defaults protect
// accounts from being locked out: shorten them for development and tests alone.
type Pace struct {
	Lease         time.Duration `help:"How long a worker may be silent before another takes over (default 15s)." env:"LEASE" placeholder:"TIME"`
	FirstRetry    time.Duration `help:"Wait before an app that is down is tried again; doubles (default 10s)." env:"FIRST_RETRY" placeholder:"TIME"`
	LastRetry     time.Duration `help:"Longest such wait (default 30m)." env:"LAST_RETRY" placeholder:"TIME"`
	Quiet         time.Duration `help:"How long an app may take to apply a change late (default 10m)." env:"QUIET" placeholder:"TIME"`
	Settle        time.Duration `help:"Pause before everything is tried a second time (default 1m)." env:"SETTLE" placeholder:"TIME"`
	FailedSignIns int           `help:"Failed sign-ins Postern allows itself per account and window (default 2)." env:"FAILED_SIGN_INS" placeholder:"N"`
	FailedWindow  time.Duration `help:"That window (default 15m)." env:"FAILED_WINDOW" placeholder:"TIME"`
	PerApp        int           `help:"Rotations of one app at a time, over all processes, where 'postern app pace' says nothing (default: one less than --concurrency). Raise it with the number of workers, to less than what they do together: an app that hangs then still leaves places to the others." env:"PER_APP" placeholder:"N"`
}

// options are the engine's, in a process with so many places.
func (p Pace) options(places int) rotation.Options {
	return rotation.Options{
		PerApp: cmp.Or(p.PerApp, max(1, places-1)),
		Lease:  p.Lease, FirstRetry: p.FirstRetry, LastRetry: p.LastRetry, Quiet: p.Quiet, Settle: p.Settle,
		FailedSignIns: p.FailedSignIns, FailedWindow: p.FailedWindow,
	}
}

// deliveries is how long deliveries may finish within the grace period, before sinks take their last seconds.
func (c Config) deliveries() time.Duration { return max(0, c.Grace-sink.LastWait) }

// Validate reports every fault at once, each naming its flag, as one Invalid error; nil when the
// configuration can be started.
func (c Config) Validate() error {
	var faults flagFaults
	fault := faults.add
	known := []string{RoleGateway, RoleWorker, RoleRelay, RoleSink}
	if len(c.Roles) == 0 {
		fault("roles", "at least one of %s is needed", strings.Join(known, ", "))
	}
	for _, role := range c.Roles {
		if !slices.Contains(known, role) {
			fault("roles", "%q is none of %s", role, strings.Join(known, ", "))
		}
	}
	if _, err := DatabaseURL(c.Database); err != nil {
		fault("database", "%s", core.AsError(err).Message)
	}
	c.key(fault, "key", c.Key)
	if slices.Contains(c.Roles, RoleRelay) || slices.Contains(c.Roles, RoleGateway) {
		c.key(fault, "audit-key", c.AuditKey)
	}
	if c.Listen != "" || slices.Contains(c.Roles, RoleGateway) {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			fault("listen", "HOST:PORT is needed, for example 0.0.0.0:8080")
		}
	}
	if slices.Contains(c.Roles, RoleGateway) {
		if err := CheckPublicURL(c.PublicURL); err != nil {
			fault("public-url", "%s", core.AsError(err).Message)
		}
	}
	for _, proxy := range c.TrustedProxies {
		_, prefix := netip.ParsePrefix(proxy)
		if _, address := netip.ParseAddr(proxy); prefix != nil && address != nil {
			fault("trusted-proxies", "%q is no address and no network, such as 10.0.0.0/8", proxy)
		}
	}
	if c.AuditRetention != 0 && c.AuditRetention < 24*time.Hour {
		fault("audit-retention", "a day (24h) at least, or nothing to keep records for ever")
	}
	if slices.Contains(c.Roles, RoleRelay) || slices.Contains(c.Roles, RoleSink) {
		if len(c.Kafka) == 0 {
			fault("kafka", "at least one broker is needed, for example kafka.example.com:9092")
		}
		c.AuditStream.validate(fault)
	}
	c.Destinations.check(fault, c.AllowPrivate)
	c.reference(fault, "metrics-token", c.MetricsToken, c.MetricsToken == "")
	names := map[string]bool{}
	for _, text := range c.Plugins {
		given, err := parsePlugin(text)
		if err != nil {
			fault("plugins", "%s", core.AsError(err).Message)
		} else if names[given.Name] {
			fault("plugins", "%q is listed twice", given.Name)
		}
		names[given.Name] = true
	}
	c.mail(fault)
	c.mailbox(fault)
	if c.Concurrency < 1 || c.Concurrency > 64 {
		fault("concurrency", "1 to 64")
	}
	if c.Rotation.PerApp < 0 {
		fault("rotation-per-app", "1 or more")
	}
	if c.SCIMTokenLife != 0 && (c.SCIMTokenLife < scim.MinAccessTokenLife || c.SCIMTokenLife > scim.MaxAccessTokenLife) {
		fault("scim-token-life", "1h to 6h")
	}
	if c.LockoutObjective != 0 && c.LockoutObjective < time.Second {
		fault("lockout-objective", "1s or more")
	}
	if !(c.LockoutTarget >= 0 && c.LockoutTarget < 1) {
		fault("lockout-target", "more than 0 and less than 1, for example 0.99")
	}
	if c.Grace < 0 || c.Grace > 10*time.Minute {
		fault("grace", "0s to 10m")
	}
	if c.Drain < 0 || c.Drain > time.Minute {
		fault("drain", "0s to 1m")
	}
	return faults.err()
}

// flagFaults collects what is wrong with flags.
type flagFaults []error

func (f *flagFaults) add(flag, format string, args ...any) {
	*f = append(*f, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
}

// err is all of it as one Invalid error; nil when there is nothing.
func (f flagFaults) err() error {
	if len(f) == 0 {
		return nil
	}
	return core.Invalid("configuration", "%s", errors.Join(f...))
}

// reference checks that a reference can be resolved, unless optional.
func (c Config) reference(fault func(string, string, ...any), flag, value string, optional bool) {
	if optional {
		return
	}
	if value == "" {
		fault(flag, "a reference is needed: file:PATH or env:NAME")
		return
	}
	if _, err := OpenReference(value); err != nil {
		fault(flag, "%s", core.AsError(err).Message)
	}
}

// key checks that a reference leads to a key.
func (c Config) key(fault func(string, string, ...any), flag, value string) {
	if value == "" {
		fault(flag, "a reference is needed: file:PATH or env:NAME. 'postern key' makes a key")
		return
	}
	if _, err := openKey(value); err != nil {
		fault(flag, "%s", core.AsError(err).Message)
	}
}

// CheckPublicURL refuses, as Invalid, what cannot be the address people and IdPs reach Postern at.
func CheckPublicURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" || parsed.User != nil ||
		strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return core.Invalid("public-url", "the address IdPs reach is needed, without path, for example https://postern.example.com")
	}
	if parsed.Scheme == "http" && !core.Loopback(parsed.Hostname()) {
		return core.Invalid("public-url", "https is needed: sessions and tokens must not travel in clear")
	}
	return nil
}
