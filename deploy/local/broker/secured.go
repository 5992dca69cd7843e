package broker

import (
	"context"
	"fmt"
	"strings"
)

// Doors are the two ways into a secured broker: Login takes a user's password (SCRAM-SHA-256,
// SCRAM-SHA-512 or PLAIN), Mutual a certificate signed by an authority. Both speak TLS alone, and who comes
// in by them may do what access control lists say. Address, without either, is the superuser's.
type Doors struct {
	Certificate, Key string // the broker's, in PEM (PKCS #8)
	Authority        string // what signs clients' certificates, in PEM
	User, Password   string // letters, digits, "-" and "_" alone
}

// Secured is Kafka with two doors more.
func Secured(ctx context.Context, folder, jars string, doors Doors) (*Broker, error) {
	all, err := start(ctx, folder, jars, 1, 0, &doors)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (d *Doors) settings() string {
	line := func(pem string) string { return strings.ReplaceAll(strings.TrimSpace(pem), "\n", `\n`) }
	return fmt.Sprintf(`authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.certificate.chain=%s
ssl.keystore.key=%s
ssl.truststore.type=PEM
ssl.truststore.certificates=%s
`, d.User, d.Password, line(d.Certificate), line(d.Key), line(d.Authority))
}

// users are arguments to the tool that formats a folder.
func (d *Doors) users() []string {
	var all []string
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		all = append(all, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, d.User, d.Password))
	}
	return all
}
