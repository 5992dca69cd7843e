package stream_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"postern/conformance/partstest"
	"postern/core"
	"postern/core/seal"
	"postern/deploy/local/broker"
	"postern/siem/stream"
	"postern/siem/transporttest"
)

const canary = "canary-kafka-password"

func pool(authority *transporttest.Authority) *x509.CertPool {
	found := x509.NewCertPool()
	found.AppendCertsFromPEM([]byte(authority.PEM))
	return found
}

func password(text string) func() (seal.Secret, error) {
	return func() (seal.Secret, error) { return seal.NewSecret(text), nil }
}

// TestTheDoorsOfApacheKafka comes in through each, is refused at each for a stated reason, and never tells a password.
func TestTheDoorsOfApacheKafka(t *testing.T) {
	partstest.Long(t, "Apache Kafka")
	jars, err := broker.Jars(t.Context())
	partstest.Need(t, "Apache Kafka", err)
	ours, strangers := transporttest.NewAuthority(t), transporttest.NewAuthority(t)
	chain, key := ours.Sign(t, "localhost")
	running, err := broker.Secured(t.Context(), t.TempDir(), jars, broker.Doors{Certificate: chain, Key: key, Authority: ours.PEM, User: "postern", Password: canary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Stop() })
	login := func(mechanism, user, word string) stream.Cluster {
		return stream.Cluster{Brokers: []string{running.Login}, Topic: "audit", Partitions: 3, TLS: &tls.Config{RootCAs: pool(ours)},
			Login: stream.Login{Mechanism: mechanism, User: user, Password: password(word)}}
	}
	mutual := stream.Cluster{Brokers: []string{running.Mutual}, Topic: "audit", Partitions: 3,
		TLS: &tls.Config{RootCAs: pool(ours), Certificates: []tls.Certificate{ours.Pair(t, "postern")}}}

	allowed := rights{t: t, brokers: running.Address}
	t.Run("what the login may do", func(t *testing.T) {
		climbing := login("scram-sha-512", "postern", canary)
		climbing.Topic = "climbed"
		rights{t: t, brokers: running.Address}.climb(climbing)
	})
	for _, one := range []string{"User:postern", "User:CN=postern"} {
		allowed.grant(one, kmsg.ACLResourceTypeTopic, "audit", kmsg.ACLOperationAll)
		allowed.grant(one, kmsg.ACLResourceTypeGroup, "by ", kmsg.ACLOperationAll)
	}
	eventually(t, "both may do everything", func() bool { return mutual.Ensure(t.Context()) == nil })
	acme := core.NewID()
	sequence := int64(0)
	for _, cluster := range []stream.Cluster{
		login("scram-sha-256", "postern", canary), login("scram-sha-512", "postern", canary), login("plain", "postern", canary), mutual,
	} {
		producer, err := stream.NewProducer(cluster)
		if err != nil {
			t.Fatal(err)
		}
		sequence++
		publish(t, producer, event(acme, sequence))
		producer.Close()
	}
	for name, cluster := range map[string]stream.Cluster{"a password": login("scram-sha-512", "postern", canary), "a certificate": mutual} {
		read := &collector{}
		leave := joinAs(t, cluster, "by "+name, read.handle)
		eventually(t, "all is read with "+name, func() bool { return read.count() == int(sequence) })
		leave()
		if lag, err := cluster.Lag(t.Context(), "by "+name); err != nil || lag != 0 {
			t.Errorf("%s: the lag is %d, %v", name, lag, err)
		}
	}

	plain := login("", "", "")
	plain.TLS = nil
	plainLogin := login("plain", "postern", canary)
	plainLogin.Brokers, plainLogin.TLS = []string{running.Address}, nil
	clear := login("", "", "")
	clear.Brokers = []string{running.Address}
	unknown := login("scram-sha-512", "postern", canary)
	unknown.TLS = &tls.Config{RootCAs: pool(strangers)}
	named := login("scram-sha-512", "postern", canary)
	named.TLS = &tls.Config{RootCAs: pool(ours), ServerName: "kafka.example.com"}
	nobody, stranger := mutual, mutual
	nobody.TLS = &tls.Config{RootCAs: pool(ours)}
	stranger.TLS = &tls.Config{RootCAs: pool(ours), Certificates: []tls.Certificate{strangers.Pair(t, "postern")}}
	empty := login("plain", "postern", "")
	empty.Login.Password = func() (seal.Secret, error) {
		return seal.Secret{}, core.Invalid("reference", "the file kafka-password cannot be read")
	}
	for name, test := range map[string]struct {
		cluster stream.Cluster
		says    string
	}{
		"a wrong password, SCRAM":        {login("scram-sha-256", "postern", canary+"-not"), "Kafka refuses the login: check --kafka-user"},
		"a wrong password, PLAIN":        {login("plain", "postern", canary+"-not"), "Kafka refuses the login: check --kafka-user"},
		"an unknown user":                {login("scram-sha-512", "nobody", canary), "Kafka refuses the login: check --kafka-user"},
		"a password that is not there":   {empty, "the file kafka-password cannot be read"},
		"no login where one is asked":    {login("", "", ""), "expects something else as to TLS (--kafka-tls) and login (--kafka-sasl)"},
		"neither login nor TLS":          {plain, "expects something else as to TLS (--kafka-tls) and login (--kafka-sasl)"},
		"a login where none is asked":    {plainLogin, "asks for no login on this listener: leave --kafka-sasl out"},
		"TLS where there is none":        {clear, "expects something else as to TLS (--kafka-tls) and login (--kafka-sasl)"},
		"an unknown authority":           {unknown, "nobody trusted has signed Kafka's certificate: give the certificate of its authority by --kafka-ca"},
		"another name":                   {named, "not for kafka.example.com"},
		"no certificate where one is":    {nobody, "wants one: give one that its authority has signed by --kafka-certificate"},
		"a certificate of somebody else": {stranger, "wants one: give one that its authority has signed by --kafka-certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.cluster.Describe(t.Context())
			if err == nil || !strings.Contains(core.AsError(err).Message, test.says) {
				t.Errorf("it says %v", err)
			}
			producer, failed := stream.NewProducer(test.cluster)
			if failed != nil {
				t.Fatal(failed)
			}
			defer producer.Close()
			published := producer.Publish(t.Context(), []stream.Event{event(acme, sequence+1)})
			if published == nil || !strings.Contains(core.AsError(published).Message, test.says) {
				t.Errorf("the producer says %v", published)
			}
			for _, text := range []string{err.Error(), published.Error()} {
				if strings.Contains(text, canary) {
					t.Errorf("it tells the password: %s", text)
				}
			}
		})
	}
	if _, err := stream.NewProducer(login("kerberos", "postern", canary)); core.KindOf(err) != core.KindInvalid || errors.Is(err, kafka.SASLAuthenticationFailed) {
		t.Errorf("an unknown mechanism: %v", err)
	}

	// A password that is replaced holds from the next connection on.
	given := "of yesterday"
	replaced := login("scram-sha-512", "postern", "")
	replaced.Login.Password = func() (seal.Secret, error) { return seal.NewSecret(given), nil }
	producer, err := stream.NewProducer(replaced)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Publish(t.Context(), []stream.Event{event(acme, sequence+1)}); core.KindOf(err) != core.KindUnavailable {
		t.Fatalf("got %v", err)
	}
	given = canary
	publish(t, producer, event(acme, sequence+1))
}
