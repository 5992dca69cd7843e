package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/rotation"
	"postern/core/seal"
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
	Roles     []string `help:"What this process does: gateway, worker, relay, sink." default:"gateway,worker,relay,sink" env:"POSTERN_ROLES" placeholder:"ROLE,…"`
	Database  string   `help:"PostgreSQL URL. One that holds a password must come as a reference." env:"POSTERN_DATABASE" placeholder:"URL|REF"`
	Listen    string   `help:"Address to listen on." default:"127.0.0.1:8080" env:"POSTERN_LISTEN" placeholder:"HOST:PORT"`
	PublicURL string   `help:"Address people and IdPs reach Postern at, without path." env:"POSTERN_PUBLIC_URL" placeholder:"URL"`

	Key      string `help:"Reference to the key that wraps every workspace key: 32 bytes, raw, hex or base64. Make one with 'postern key'." env:"POSTERN_KEY" placeholder:"REF"`
	AuditKey string `help:"Reference to the Ed25519 seed that signs audit checkpoints: 32 bytes, raw, hex or base64." env:"POSTERN_AUDIT_KEY" placeholder:"REF"`

	Kafka      []string `help:"Kafka brokers." env:"POSTERN_KAFKA" placeholder:"HOST:PORT,…"`
	KafkaTopic string   `help:"Topic of the audit stream." default:"postern.audit" env:"POSTERN_KAFKA_TOPIC" placeholder:"TOPIC"`

	SplunkURL   string `help:"Splunk HTTP Event Collector, for example https://splunk.example.com:8088." env:"POSTERN_SPLUNK_URL" placeholder:"URL"`
	SplunkToken string `help:"Reference to the HEC token." env:"POSTERN_SPLUNK_TOKEN" placeholder:"REF"`
	SplunkIndex string `help:"Splunk index; the token's default when empty." env:"POSTERN_SPLUNK_INDEX" placeholder:"INDEX"`
	SumoURL     string `help:"Reference to the Sumo Logic HTTP source URL, which is itself the secret." env:"POSTERN_SUMO_URL" placeholder:"REF"`

	Browser        string   `help:"Headless browser; found on the machine when empty." env:"POSTERN_BROWSER" placeholder:"PATH"`
	Concurrency    int      `help:"Rotations at a time in this process." default:"3" env:"POSTERN_CONCURRENCY"`
	TrustedProxies []string `help:"Addresses or networks of proxies whose X-Forwarded-For is believed." env:"POSTERN_TRUSTED_PROXIES" placeholder:"CIDR,…"`

	AllowPrivate bool `help:"Let connectors, sinks and IdP look-ups reach private and loopback addresses." env:"POSTERN_ALLOW_PRIVATE"`

	MetricsToken string        `help:"Reference to a bearer token that /metrics asks for; open when empty." env:"POSTERN_METRICS_TOKEN" placeholder:"REF"`
	Grace        time.Duration `help:"How long requests and jobs under way may finish at a stop." default:"20s" env:"POSTERN_GRACE"`
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
}

func (p Pace) options() rotation.Options {
	return rotation.Options{
		Lease: p.Lease, FirstRetry: p.FirstRetry, LastRetry: p.LastRetry, Quiet: p.Quiet, Settle: p.Settle,
		FailedSignIns: p.FailedSignIns, FailedWindow: p.FailedWindow,
	}
}

// Validate reports every fault at once, each naming its flag, as one Invalid error; nil when the
// configuration can be started.
func (c Config) Validate() error {
	var faults []error
	fault := func(flag, format string, args ...any) {
		faults = append(faults, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
	}
	known := []string{RoleGateway, RoleWorker, RoleRelay, RoleSink}
	if len(c.Roles) == 0 {
		fault("roles", "at least one of %s is needed", strings.Join(known, ", "))
	}
	for _, role := range c.Roles {
		if !slices.Contains(known, role) {
			fault("roles", "%q is none of %s", role, strings.Join(known, ", "))
		}
	}
	if c.Database == "" {
		fault("database", "a PostgreSQL URL is needed, for example postgres://postern@127.0.0.1:5432/postern")
	} else if !isReference(c.Database) {
		if parsed, err := url.Parse(c.Database); err != nil || !strings.HasPrefix(parsed.Scheme, "postgres") {
			fault("database", "this is not a PostgreSQL URL")
		} else if _, has := parsed.User.Password(); has {
			fault("database", "the URL holds a password: put it in a file and give file:PATH, or in a variable and give env:NAME")
		}
	}
	c.reference(fault, "database", c.Database, !isReference(c.Database))
	c.reference(fault, "key", c.Key, false)
	if slices.Contains(c.Roles, RoleRelay) || slices.Contains(c.Roles, RoleGateway) {
		c.reference(fault, "audit-key", c.AuditKey, false)
	}
	if slices.Contains(c.Roles, RoleGateway) {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			fault("listen", "HOST:PORT is needed, for example 0.0.0.0:8080")
		}
		parsed, err := url.Parse(c.PublicURL)
		if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" {
			fault("public-url", "the address IdPs reach is needed, for example https://postern.example.com")
		} else if parsed.Scheme == "http" && !loopback(parsed.Hostname()) {
			fault("public-url", "https is needed: sessions and tokens must not travel in clear")
		}
	}
	if slices.Contains(c.Roles, RoleRelay) || slices.Contains(c.Roles, RoleSink) {
		if len(c.Kafka) == 0 {
			fault("kafka", "at least one broker is needed, for example kafka.example.com:9092")
		}
		for _, broker := range c.Kafka {
			if _, _, err := net.SplitHostPort(broker); err != nil {
				fault("kafka", "%q is not HOST:PORT", broker)
			}
		}
	}
	if c.SplunkURL != "" {
		if parsed, err := url.Parse(c.SplunkURL); err != nil || parsed.Host == "" {
			fault("splunk-url", "a URL is needed, for example https://splunk.example.com:8088")
		}
		c.reference(fault, "splunk-token", c.SplunkToken, false)
	} else if c.SplunkToken != "" {
		fault("splunk-url", "a token was given but no URL")
	}
	c.reference(fault, "sumo-url", c.SumoURL, c.SumoURL == "")
	c.reference(fault, "metrics-token", c.MetricsToken, c.MetricsToken == "")
	if c.Concurrency < 1 || c.Concurrency > 64 {
		fault("concurrency", "1 to 64")
	}
	if c.Grace < 0 || c.Grace > 10*time.Minute {
		fault("grace", "0s to 10m")
	}
	if len(faults) == 0 {
		return nil
	}
	return core.Invalid("configuration", "%s", errors.Join(faults...))
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

func isReference(value string) bool {
	return strings.HasPrefix(value, "file:") || strings.HasPrefix(value, "env:")
}

func loopback(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || (address != nil && address.IsLoopback())
}

// OpenReference resolves "file:PATH" (trailing line break cut) or "env:NAME" to the secret.
func OpenReference(reference string) (seal.Secret, error) {
	kind, name, _ := strings.Cut(reference, ":")
	switch kind {
	case "file":
		text, err := os.ReadFile(name)
		if err != nil {
			return seal.Secret{}, core.Invalid("reference", "the file %s cannot be read", name).Because(err)
		}
		return seal.NewSecret(strings.TrimRight(string(text), "\r\n")), nil
	case "env":
		value, set := os.LookupEnv(name)
		if !set {
			return seal.Secret{}, core.Invalid("reference", "the variable %s is not set", name)
		}
		return seal.NewSecret(value), nil
	}
	return seal.Secret{}, core.Invalid("reference", "a secret is given as file:PATH or env:NAME, never itself")
}
