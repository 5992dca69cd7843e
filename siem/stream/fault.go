package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"postern/core"
)

// unavailable classifies an error of the brokers: what to do about it, where that can be told.
func unavailable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if known, ok := errors.AsType[*core.Error](err); ok {
		return known
	}
	return core.Unavailable(5*time.Second, "%s", words(err)).Because(err)
}

// lacking names the right on the topic that a login lacks, if that is what an error says, and what for.
func (c Cluster) lacking(right, purpose string, err error) error {
	if !errors.Is(err, kafka.TopicAuthorizationFailed) && !errors.Is(err, kafka.ClusterAuthorizationFailed) {
		return err
	}
	return core.Unavailable(5*time.Second, "Kafka's login may not %s: it needs %s on the topic %s", purpose, right, c.topic()).Because(err)
}

// words say what is wrong in the way of a person who can mend it. They hold nothing secret.
func words(err error) string {
	if message := certificate(err); message != "" {
		return message
	}
	for _, one := range []struct {
		is   error
		says string
	}{
		{kafka.SASLAuthenticationFailed, "Kafka refuses the login: check --kafka-user, --kafka-password and that the user exists for the mechanism of --kafka-sasl"},
		{kafka.UnsupportedSASLMechanism, "Kafka does not take the mechanism of --kafka-sasl on this listener: use one that its sasl.enabled.mechanisms lists"},
		{kafka.IllegalSASLState, "Kafka asks for no login on this listener: leave --kafka-sasl out, or use the port of its SASL_SSL listener"},
		{kafka.TopicAuthorizationFailed, "Kafka's login may not do this with the topic: it needs Describe, DescribeConfigs, Read and Write on it, and Create unless somebody else makes it"},
		{kafka.GroupAuthorizationFailed, "Kafka's login may not read as this group: it needs Read on the groups whose names begin with postern-"},
		{kafka.NotEnoughReplicas, "fewer brokers are in sync than the topic's min.insync.replicas: bring the others back"},
		{kafka.NotEnoughReplicasAfterAppend, "fewer brokers are in sync than the topic's min.insync.replicas: bring the others back"},
		{kafka.InvalidReplicationFactor, "there are fewer brokers than the replicas that are asked for: bring the others back, or ask for fewer by --kafka-replication"},
	} {
		if errors.Is(err, one.is) {
			return one.says
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "Kafka closes the connection: it is being restarted, or its listener expects something else as to TLS (--kafka-tls) and login (--kafka-sasl)"
	}
	if _, network := errors.AsType[net.Error](err); network {
		return "Kafka cannot be reached"
	}
	return "Kafka does not do what it is asked"
}

// certificate says what is wrong with TLS, if that is what is wrong.
func certificate(err error) string {
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("Kafka's certificate is not for %s: use the name that is in it, or give that by --kafka-server-name", host.Host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "Kafka's certificate has expired, or is not valid yet: renew it, and compare the clocks"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "nobody trusted has signed Kafka's certificate: give the certificate of its authority by --kafka-ca"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "Kafka's certificate is not trusted"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "Kafka does not speak TLS there: use the port of its SSL or SASL_SSL listener, or leave --kafka-tls out"
	}
	if text := err.Error(); strings.Contains(text, "remote error: tls:") {
		return "Kafka does not take the certificate it is shown, or wants one: give one that its authority has signed by --kafka-certificate and --kafka-key"
	}
	return ""
}
