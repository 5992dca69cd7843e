package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"time"

	"postern/core"
	"postern/core/seal"
	"postern/siem/stream"
	"postern/siem/transport"
)

// AuditStream says where the audit stream is and how to get in: flags of 'postern serve', 'postern
// migrate' and 'postern doctor audit'.
type AuditStream struct {
	Kafka      []string `help:"Kafka brokers." env:"POSTERN_KAFKA" placeholder:"HOST:PORT"`
	KafkaTopic string   `help:"Topic of the audit stream." default:"postern.audit" env:"POSTERN_KAFKA_TOPIC" placeholder:"TOPIC"`

	KafkaTLS         bool   `name:"kafka-tls" help:"Speak TLS to the brokers." env:"POSTERN_KAFKA_TLS"`
	KafkaCA          string `name:"kafka-ca" help:"Reference to the authorities that sign the brokers' certificates (PEM); the system's when empty." env:"POSTERN_KAFKA_CA" placeholder:"REF"`
	KafkaServerName  string `help:"Name in the brokers' certificates, if it is not the host." env:"POSTERN_KAFKA_SERVER_NAME" placeholder:"NAME"`
	KafkaCertificate string `help:"Reference to the certificate chain brokers are shown (PEM), read again for each connection." env:"POSTERN_KAFKA_CERTIFICATE" placeholder:"REF"`
	KafkaKey         string `help:"Reference to its private key (PEM)." env:"POSTERN_KAFKA_KEY" placeholder:"REF"`

	KafkaSASL     string `name:"kafka-sasl" help:"How to log in to the brokers: plain, scram-sha-256 or scram-sha-512; not at all when empty." env:"POSTERN_KAFKA_SASL" placeholder:"MECHANISM"`
	KafkaUser     string `help:"User at the brokers." env:"POSTERN_KAFKA_USER" placeholder:"NAME"`
	KafkaPassword string `help:"Reference to the password there, read again for each connection." env:"POSTERN_KAFKA_PASSWORD" placeholder:"REF"`

	KafkaReplication int           `help:"How many brokers keep each event (default: 3, or as many as there are)." env:"POSTERN_KAFKA_REPLICATION" placeholder:"N"`
	KafkaRetention   time.Duration `help:"How long Kafka should keep events (default 168h)." env:"POSTERN_KAFKA_RETENTION" placeholder:"TIME"`
}

// validate reports every fault, each with its flag.
func (s AuditStream) validate(fault func(flag, format string, args ...any)) {
	loopback := true
	for _, broker := range s.Kafka {
		host, _, err := net.SplitHostPort(broker)
		if err != nil {
			fault("kafka", "%q is not HOST:PORT", broker)
		}
		loopback = loopback && core.Loopback(host)
	}
	if !s.KafkaTLS {
		for _, one := range [][2]string{{"kafka-ca", s.KafkaCA}, {"kafka-server-name", s.KafkaServerName}, {"kafka-certificate", s.KafkaCertificate}, {"kafka-key", s.KafkaKey}} {
			if one[1] != "" {
				fault(one[0], "this is of use with TLS alone (kafka-tls)")
			}
		}
	} else if _, err := s.tls(); err != nil {
		known := core.AsError(err)
		fault(known.Field, "%s", known.Message)
	}
	switch {
	case s.KafkaSASL == "" && (s.KafkaUser != "" || s.KafkaPassword != ""):
		fault("kafka-sasl", "a user or a password was given, but not how to log in: one of %s", strings.Join(stream.Mechanisms, ", "))
	case s.KafkaSASL == "":
	case !slices.Contains(stream.Mechanisms, s.KafkaSASL):
		fault("kafka-sasl", "%q is none of %s", s.KafkaSASL, strings.Join(stream.Mechanisms, ", "))
	default:
		if !s.KafkaTLS && !loopback {
			fault("kafka-sasl", "the password, or what it can be guessed from, would travel in clear: speak TLS (kafka-tls)")
		}
		if s.KafkaUser == "" {
			fault("kafka-user", "a user is needed to log in")
		}
		if s.KafkaPassword == "" {
			fault("kafka-password", "a reference is needed: file:PATH or env:NAME")
		} else if _, err := OpenReference(s.KafkaPassword); err != nil {
			fault("kafka-password", "%s", core.AsError(err).Message)
		}
	}
	if s.KafkaReplication < 0 || s.KafkaReplication > 100 {
		fault("kafka-replication", "1 or more; nothing for 3, or as many brokers as there are")
	}
	if s.KafkaRetention != 0 && s.KafkaRetention < time.Hour {
		fault("kafka-retention", "an hour or more, for example 168h")
	}
}

// tls is what connections are made with; an error names the flag as its field.
func (s AuditStream) tls() (*tls.Config, error) {
	settings := transport.TLS{ServerName: s.KafkaServerName}
	if s.KafkaCA != "" {
		authorities, err := OpenReference(s.KafkaCA)
		if err != nil {
			return nil, core.Invalid("kafka-ca", "%s", core.AsError(err).Message)
		}
		settings.CA = authorities.Reveal()
	}
	if err := settings.Validate("kafka"); err != nil {
		known := core.AsError(err)
		return nil, core.Invalid(strings.NewReplacer(".", "-", "_", "-").Replace(known.Field), "%s", known.Message)
	}
	config, err := settings.Config(nil)
	if err != nil {
		return nil, err
	}
	if (s.KafkaCertificate == "") != (s.KafkaKey == "") {
		return nil, core.Invalid("kafka-key", "a certificate and its private key go together")
	}
	if s.KafkaCertificate != "" {
		if _, err := s.certificate(); err != nil {
			return nil, core.Invalid("kafka-certificate", "%s", core.AsError(err).Message)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate() }
	}
	return config, nil
}

func (s AuditStream) certificate() (*tls.Certificate, error) {
	chain, err := resolve(s.KafkaCertificate)
	if err != nil {
		return nil, err
	}
	key, err := resolve(s.KafkaKey)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, core.Invalid("certificate", "these are no certificate chain and its private key in PEM")
	}
	return &pair, nil
}

// Cluster is the stream as it is told; an error is Invalid and names the flags.
func (s AuditStream) Cluster() (stream.Cluster, error) {
	var faults flagFaults
	s.validate(faults.add)
	if err := faults.err(); err != nil {
		return stream.Cluster{}, err
	}
	cluster := stream.Cluster{Brokers: s.Kafka, Topic: s.KafkaTopic, Replication: s.KafkaReplication, Retention: s.KafkaRetention}
	if s.KafkaTLS {
		config, err := s.tls()
		if err != nil {
			return cluster, err
		}
		cluster.TLS = config
	}
	if s.KafkaSASL != "" {
		cluster.Login = stream.Login{Mechanism: s.KafkaSASL, User: s.KafkaUser, Password: func() (seal.Secret, error) { return OpenReference(s.KafkaPassword) }}
	}
	return cluster, nil
}

// MigrateStream makes the topic if it is absent, and tells what it is like, whether it was made and
// what differs from what it should be.
func MigrateStream(ctx context.Context, at AuditStream) (stream.Topic, bool, []stream.Difference, error) {
	cluster, err := at.Cluster()
	if err != nil {
		return stream.Topic{}, false, nil, err
	}
	topic, made, err := cluster.Make(ctx)
	if err != nil {
		return topic, made, nil, err
	}
	return topic, made, cluster.Compare(topic), nil
}

// ensureTopic waits for Kafka: a cluster that is away at the start comes back, a topic that loses
// events does not get better. What is merely not as it should be is told.
func (g *Gateway) ensureTopic(ctx context.Context) error {
	for ctx.Err() == nil {
		topic, made, err := g.cluster.Make(ctx)
		if err == nil {
			if made {
				g.log.InfoContext(ctx, "the Kafka topic was absent and has been made", "topic", topic.Name, "partitions", topic.Partitions, "replication", topic.Replication)
			}
			for _, one := range g.cluster.Compare(topic) {
				if one.Grave {
					return core.Conflict("topic", "the Kafka topic %s cannot be used: %s", topic.Name, one)
				}
				g.log.WarnContext(ctx, "the Kafka topic is not as it should be", "topic", topic.Name, "setting", one.Setting, "is", one.Is, "should_be", one.Should, "means", one.Means, "advice", one.Advice)
			}
			return nil
		}
		g.log.WarnContext(ctx, "Kafka is not ready", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
	return nil
}
