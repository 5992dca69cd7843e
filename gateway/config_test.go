package gateway_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/gateway"
)

// secretFile writes a file and gives the reference to it.
func secretFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// goodConfig can be started.
func goodConfig(t testing.TB) gateway.Config {
	t.Helper()
	return gateway.Config{
		Roles:    []string{gateway.RoleGateway, gateway.RoleWorker, gateway.RoleRelay, gateway.RoleSink},
		Database: "postgres://postern@127.0.0.1:5432/postern", Listen: "127.0.0.1:0", PublicURL: "https://postern.example.com",
		Key: secretFile(t, seal.GenerateLocalKey().Reveal()), AuditKey: secretFile(t, seal.GenerateLocalKey().Reveal()),
		AuditStream: gateway.AuditStream{Kafka: []string{"kafka-1:9092"}, KafkaTopic: "postern.audit"}, Concurrency: 3, Grace: 20 * time.Second,
	}
}

func TestAConfigurationThatCanBeStarted(t *testing.T) {
	for name, change := range map[string]func(c *gateway.Config){
		"as it is":                         func(*gateway.Config) {},
		"loopback without TLS":             func(c *gateway.Config) { c.PublicURL = "http://127.0.0.1:8080/" },
		"database by reference":            func(c *gateway.Config) { c.Database = secretFile(t, "postgres://u:canary@db/x\n") },
		"a proxy and a network":            func(c *gateway.Config) { c.TrustedProxies = []string{"10.0.0.1", "10.1.0.0/16", "fd00::/8"} },
		"a worker that listens on nothing": func(c *gateway.Config) { c.Roles, c.Listen, c.PublicURL, c.Kafka = []string{"worker"}, "", "", nil },
		"a worker without an audit key":    func(c *gateway.Config) { c.Roles, c.AuditKey = []string{"worker"}, "" },
		"a login over TLS": func(c *gateway.Config) {
			c.KafkaTLS, c.KafkaSASL, c.KafkaUser, c.KafkaPassword = true, "scram-sha-512", "postern", secretFile(t, "canary")
		},
		"a login in clear on this machine": func(c *gateway.Config) {
			c.Kafka, c.KafkaSASL, c.KafkaUser, c.KafkaPassword = []string{"127.0.0.1:9092", "localhost:9092"}, "plain", "postern", secretFile(t, "canary")
		},
		"a mail server": func(c *gateway.Config) {
			c.SMTPAddress, c.MailFrom, c.SMTPUser, c.SMTPPassword = "smtp.example.com:587", "Postern <postern@example.com>", "postern", secretFile(t, "canary")
		},
		"mails for accounts": func(c *gateway.Config) {
			c.MailboxDomain, c.MailboxListen, c.MailboxRetention = "in.example.com", "0.0.0.0:25", 24*time.Hour
		},
		"mails kept on this machine": func(c *gateway.Config) { c.PublicURL, c.MailKeep = "http://127.0.0.1:8080", true },
		"a raw key that ends in a line break": func(c *gateway.Config) {
			c.Key = secretFile(t, "\x80\x81\x82\x83456789abcdef0123456789abcde\n")
		},
	} {
		config := goodConfig(t)
		change(&config)
		if err := config.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryFaultNamesItsFlag(t *testing.T) {
	t.Setenv("POSTERN_TEST_EMPTY", "")
	for _, test := range []struct {
		flag, says string
		change     func(c *gateway.Config)
	}{
		{"roles", "at least one", func(c *gateway.Config) { c.Roles = nil }},
		{"roles", `"king" is none of`, func(c *gateway.Config) { c.Roles = append(c.Roles, "king") }},
		{"database", "is needed", func(c *gateway.Config) { c.Database = "" }},
		{"database", "not a PostgreSQL URL", func(c *gateway.Config) { c.Database = "mysql://db/x" }},
		{"database", "not a PostgreSQL URL", func(c *gateway.Config) { c.Database = "host=db password=canary" }},
		{"database", "holds a password", func(c *gateway.Config) { c.Database = "postgres://u:canary@db/x" }},
		{"database", "holds a password", func(c *gateway.Config) { c.Database = "postgres://u@db/x?password=canary" }},
		{"database", "not a PostgreSQL URL", func(c *gateway.Config) { c.Database = secretFile(t, "canary") }},
		{"database", "is not set", func(c *gateway.Config) { c.Database = "env:POSTERN_TEST_NOT_THERE" }},
		{"listen", "HOST:PORT", func(c *gateway.Config) { c.Listen = "8080" }},
		{"listen", "HOST:PORT", func(c *gateway.Config) { c.Listen = "" }},
		{"public-url", "is needed", func(c *gateway.Config) { c.PublicURL = "" }},
		{"public-url", "without path", func(c *gateway.Config) { c.PublicURL = "https://postern.example.com/x" }},
		{"public-url", "without path", func(c *gateway.Config) { c.PublicURL = "https://u:canary@postern.example.com" }},
		{"public-url", "https is needed", func(c *gateway.Config) { c.PublicURL = "http://postern.example.com" }},
		{"key", "'postern key'", func(c *gateway.Config) { c.Key = "" }},
		{"key", "never itself", func(c *gateway.Config) { c.Key = strings.Repeat("canary0123456789", 4) }},
		{"key", "cannot be read", func(c *gateway.Config) { c.Key = "file:/nowhere/at/all" }},
		{"key", "32 random bytes", func(c *gateway.Config) { c.Key = secretFile(t, "canary") }},
		{"audit-key", "'postern key'", func(c *gateway.Config) { c.AuditKey = "" }},
		{"audit-retention", "a day (24h) at least", func(c *gateway.Config) { c.AuditRetention = time.Hour }},
		{"kafka", "at least one broker", func(c *gateway.Config) { c.Kafka = nil }},
		{"kafka", "HOST:PORT", func(c *gateway.Config) { c.Kafka = []string{"kafka"} }},
		{"kafka-ca", "with TLS alone (kafka-tls)", func(c *gateway.Config) { c.KafkaCA = c.Key }},
		{"kafka-server-name", "with TLS alone (kafka-tls)", func(c *gateway.Config) { c.KafkaServerName = "kafka.example.com" }},
		{"kafka-certificate", "with TLS alone (kafka-tls)", func(c *gateway.Config) { c.KafkaCertificate = c.Key }},
		{"kafka-ca", "cannot be read", func(c *gateway.Config) { c.KafkaTLS, c.KafkaCA = true, "file:/nowhere/at/all" }},
		{"kafka-ca", "in PEM are needed", func(c *gateway.Config) { c.KafkaTLS, c.KafkaCA = true, secretFile(t, "canary") }},
		{"kafka-server-name", "without a port", func(c *gateway.Config) { c.KafkaTLS, c.KafkaServerName = true, "kafka:9093" }},
		{"kafka-key", "go together", func(c *gateway.Config) { c.KafkaTLS, c.KafkaCertificate = true, c.Key }},
		{"kafka-certificate", "in PEM", func(c *gateway.Config) {
			c.KafkaTLS, c.KafkaCertificate, c.KafkaKey = true, secretFile(t, "canary"), secretFile(t, "canary")
		}},
		{"kafka-sasl", "not how to log in", func(c *gateway.Config) { c.KafkaUser = "postern" }},
		{"kafka-sasl", `"gssapi" is none of plain, scram-sha-256, scram-sha-512`, func(c *gateway.Config) { c.KafkaSASL = "gssapi" }},
		{"kafka-sasl", "would travel in clear", func(c *gateway.Config) {
			c.Kafka, c.KafkaSASL, c.KafkaUser, c.KafkaPassword = []string{"127.0.0.1:9092", "kafka-1:9092"}, "scram-sha-512", "postern", secretFile(t, "canary")
		}},
		{"kafka-user", "is needed", func(c *gateway.Config) {
			c.KafkaTLS, c.KafkaSASL, c.KafkaPassword = true, "plain", secretFile(t, "canary")
		}},
		{"kafka-password", "a reference is needed", func(c *gateway.Config) { c.KafkaTLS, c.KafkaSASL, c.KafkaUser = true, "plain", "postern" }},
		{"kafka-password", "never itself", func(c *gateway.Config) {
			c.KafkaTLS, c.KafkaSASL, c.KafkaUser, c.KafkaPassword = true, "plain", "postern", "canary"
		}},
		{"kafka-replication", "1 or more", func(c *gateway.Config) { c.KafkaReplication = -1 }},
		{"kafka-retention", "an hour or more", func(c *gateway.Config) { c.KafkaRetention = time.Minute }},
		{"splunk-url", "a URL is needed", func(c *gateway.Config) { c.SplunkURL, c.SplunkToken = "splunk", c.Key }},
		{"splunk-url", "leave user name", func(c *gateway.Config) { c.SplunkURL, c.SplunkToken = "https://u:canary@splunk:8088", c.Key }},
		{"splunk-url", "no URL", func(c *gateway.Config) { c.SplunkToken = c.Key }},
		{"splunk-token", "a reference is needed", func(c *gateway.Config) { c.SplunkURL = "https://splunk:8088" }},
		{"splunk-token", "never itself", func(c *gateway.Config) { c.SplunkURL, c.SplunkToken = "https://splunk:8088", "canary" }},
		{"events-folder", "an absolute path", func(c *gateway.Config) { c.EventsFolder = "events" }},
		{"sumo-url", "never itself", func(c *gateway.Config) { c.SumoURL = "https://collectors.sumologic.com/receiver/v1/http/canary" }},
		{"metrics-token", "never itself", func(c *gateway.Config) { c.MetricsToken = "canary" }},
		{"metrics-token", "holds nothing", func(c *gateway.Config) { c.MetricsToken = "env:POSTERN_TEST_EMPTY" }},
		{"smtp-address", "HOST:PORT", func(c *gateway.Config) { c.SMTPAddress, c.MailFrom = "smtp.example.com", "postern@example.com" }},
		{"mail-from", "an e-mail address is needed", func(c *gateway.Config) { c.SMTPAddress = "smtp.example.com:587" }},
		{"smtp-password", "go together", func(c *gateway.Config) {
			c.SMTPAddress, c.MailFrom, c.SMTPUser = "smtp.example.com:587", "postern@example.com", "postern"
		}},
		{"smtp-password", "never itself", func(c *gateway.Config) {
			c.SMTPAddress, c.MailFrom, c.SMTPUser, c.SMTPPassword = "smtp.example.com:587", "postern@example.com", "postern", "canary"
		}},
		{"smtp-user", "no mail server", func(c *gateway.Config) { c.SMTPUser = "postern" }},
		{"mail-keep", "this machine alone", func(c *gateway.Config) { c.MailKeep = true }},
		{"mail-keep", "either kept or sent", func(c *gateway.Config) {
			c.PublicURL, c.MailKeep, c.SMTPAddress, c.MailFrom = "http://127.0.0.1:8080", true, "smtp.example.com:587", "postern@example.com"
		}},
		{"mailbox-domain", "a domain name", func(c *gateway.Config) { c.MailboxDomain, c.MailboxListen = "example", "0.0.0.0:25" }},
		{"mailbox-domain", "a domain name", func(c *gateway.Config) { c.MailboxDomain, c.MailboxListen = "a@example.com", "0.0.0.0:25" }},
		{"mailbox-listen", "HOST:PORT", func(c *gateway.Config) { c.MailboxDomain, c.MailboxListen = "in.example.com", "25" }},
		{"mailbox-key", "go together", func(c *gateway.Config) {
			c.MailboxDomain, c.MailboxListen, c.MailboxCertificate = "in.example.com", ":25", c.Key
		}},
		{"mailbox-certificate", "no domain", func(c *gateway.Config) { c.MailboxCertificate, c.MailboxKey = c.Key, c.Key }},
		{"mailbox-certificate", "in PEM", func(c *gateway.Config) {
			c.MailboxDomain, c.MailboxListen, c.MailboxCertificate, c.MailboxKey = "in.example.com", ":25", secretFile(t, "canary"), secretFile(t, "canary")
		}},
		{"mailbox-certificate", "never itself", func(c *gateway.Config) {
			c.MailboxDomain, c.MailboxListen, c.MailboxCertificate, c.MailboxKey = "in.example.com", ":25", "canary", "canary"
		}},
		{"mailbox-retention", "an hour or more", func(c *gateway.Config) { c.MailboxRetention = time.Minute }},
		{"trusted-proxies", `"everybody"`, func(c *gateway.Config) { c.TrustedProxies = []string{"everybody"} }},
		{"concurrency", "1 to 64", func(c *gateway.Config) { c.Concurrency = 0 }},
		{"scim-token-life", "1h to 6h", func(c *gateway.Config) { c.SCIMTokenLife = 7 * time.Hour }},
		{"grace", "0s to 10m", func(c *gateway.Config) { c.Grace = time.Hour }},
		{"drain", "0s to 1m", func(c *gateway.Config) { c.Drain = time.Hour }},
	} {
		config := goodConfig(t)
		test.change(&config)
		err := config.Validate()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if core.KindOf(err) != core.KindInvalid || strings.Count(strings.ReplaceAll(text, "-----", ""), "--") != 1 || !strings.Contains(text, "--"+test.flag+": ") || !strings.Contains(text, test.says) {
			t.Errorf("%s: %q, want %q", test.flag, text, test.says)
		}
		if strings.Contains(text, "canary") {
			t.Errorf("%s: the secret is told again: %s", test.flag, text)
		}
	}
}

func TestAllFaultsAreToldTogether(t *testing.T) {
	err := gateway.Config{Roles: []string{"gateway", "sink"}, Database: "postgres://u:canary@db/x", PublicURL: "http://x.example", Concurrency: 100}.Validate()
	if core.KindOf(err) != core.KindInvalid {
		t.Fatal(err)
	}
	var flags []string
	for line := range strings.Lines(core.AsError(err).Message) {
		flag, _, _ := strings.Cut(strings.TrimPrefix(line, "--"), ":")
		flags = append(flags, flag)
	}
	slices.Sort(flags)
	want := []string{"audit-key", "concurrency", "database", "kafka", "key", "listen", "public-url"}
	if !slices.Equal(flags, want) {
		t.Errorf("told of %v, want %v", flags, want)
	}
}

func TestReferences(t *testing.T) {
	t.Setenv("POSTERN_TEST_SECRET", "of the variable")
	for reference, want := range map[string]string{
		secretFile(t, "of the file\n"): "of the file", secretFile(t, " kept \r\n"): " kept ", "env:POSTERN_TEST_SECRET": "of the variable",
	} {
		got, err := gateway.OpenReference(reference)
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v", reference, got.Reveal(), err)
		}
	}
	for _, reference := range []string{"", "canary", "file:", "env:", "https://canary", secretFile(t, "\n")} {
		if got, err := gateway.OpenReference(reference); core.KindOf(err) != core.KindInvalid || !got.IsZero() || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", reference, err)
		}
	}
}
