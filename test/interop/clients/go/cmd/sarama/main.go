// The driver of Sarama.
package main

import (
	"fmt"
	"strings"

	"drivers/protocol"

	"github.com/IBM/sarama"
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

func about(args *protocol.Arguments) (protocol.Line, error) {
	version, err := versionOf(args)
	if err != nil {
		return nil, err
	}
	name, codecs := "Sarama", protocol.Codecs
	without := map[string]string{"next-generation-group": "classic protocol only"}
	if version != sarama.MaxVersion {
		name = "Sarama told Kafka " + args.ClientVersion
	}
	// Limits of its own, by the version that it is told.
	if !version.IsAtLeast(sarama.V2_1_0_0) {
		codecs = codecs[:len(codecs)-1]
	}
	if !version.IsAtLeast(sarama.V2_3_0_0) {
		without["static-member"] = "only when told Kafka 2.3.0 or newer"
	}
	return protocol.Line{
		"client":     name,
		"version":    protocol.VersionOf("github.com/IBM/sarama"),
		"codecs":     codecs,
		"mechanisms": protocol.Mechanisms,
		"without":    without,
	}, nil
}

func versionOf(args *protocol.Arguments) (sarama.KafkaVersion, error) {
	if args.ClientVersion == "" {
		return sarama.MaxVersion, nil
	}
	return sarama.ParseKafkaVersion(args.ClientVersion)
}

func brokers(args *protocol.Arguments) []string { return strings.Split(args.Bootstrap, ",") }

// settings of the connection.
func settings(args *protocol.Arguments) (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.ClientID = "driver"
	config.Metadata.AllowAutoTopicCreation = false
	var err error
	if config.Version, err = versionOf(args); err != nil {
		return nil, err
	}
	if config.Net.TLS.Config, err = args.TLSConfig(); err != nil {
		return nil, err
	}
	config.Net.TLS.Enable = config.Net.TLS.Config != nil
	if args.SASL != nil {
		err = logIn(config, args.SASL)
	}
	return config, err
}

func logIn(config *sarama.Config, login *protocol.SASL) error {
	sasl := &config.Net.SASL
	sasl.Enable, sasl.User, sasl.Password = true, login.Username, login.Password
	switch login.Mechanism {
	case "PLAIN":
		sasl.Mechanism = sarama.SASLTypePlaintext
	case "SCRAM-SHA-256":
		sasl.Mechanism, sasl.SCRAMClientGeneratorFunc = sarama.SASLTypeSCRAMSHA256, newScramSHA256
	case "SCRAM-SHA-512":
		sasl.Mechanism, sasl.SCRAMClientGeneratorFunc = sarama.SASLTypeSCRAMSHA512, newScramSHA512
	default:
		return fmt.Errorf("there is no mechanism %s", login.Mechanism)
	}
	return nil
}
