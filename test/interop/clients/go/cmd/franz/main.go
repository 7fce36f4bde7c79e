// The driver of franz-go.
package main

import (
	"fmt"
	"strings"

	"drivers/protocol"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func main() {
	protocol.Serve(protocol.Commands{
		About:         about,
		Produce:       produce,
		Consume:       consume,
		SeekTimestamp: seekTimestamp,
		Member:        runMember,
		Admin:         administer,
	})
}

func about(*protocol.Arguments) (protocol.Line, error) {
	return protocol.Line{
		"client":     "franz-go",
		"version":    protocol.VersionOf("github.com/twmb/franz-go"),
		"codecs":     protocol.Codecs,
		"mechanisms": protocol.Mechanisms,
		"without":    map[string]string{},
	}, nil
}

// open makes a client with these options besides those of the connection.
func open(args *protocol.Arguments, options ...kgo.Opt) (*kgo.Client, error) {
	base, err := connection(args)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(base, options...)...)
}

func connection(args *protocol.Arguments) ([]kgo.Opt, error) {
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(args.Bootstrap, ",")...), kgo.ClientID("driver")}
	secured, err := args.TLSConfig()
	if err != nil {
		return nil, err
	}
	if secured != nil {
		options = append(options, kgo.DialTLSConfig(secured))
	}
	if args.SASL != nil {
		mechanism, err := mechanismOf(args.SASL)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	if args.ClientVersion != "" {
		versions := kversion.FromString("v" + args.ClientVersion)
		if versions == nil {
			return nil, fmt.Errorf("franz-go knows no version %s", args.ClientVersion)
		}
		options = append(options, kgo.MaxVersions(versions))
	}
	return options, nil
}

func mechanismOf(login *protocol.SASL) (sasl.Mechanism, error) {
	secret := scram.Auth{User: login.Username, Pass: login.Password}
	switch login.Mechanism {
	case "PLAIN":
		return plain.Auth{User: login.Username, Pass: login.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return secret.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return secret.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("there is no mechanism %s", login.Mechanism)
	}
}
