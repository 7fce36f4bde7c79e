package main

import (
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// scramClient is what the library leaves to a library for SCRAM.
type scramClient struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

func newScramSHA256() sarama.SCRAMClient { return &scramClient{hash: scram.SHA256} }
func newScramSHA512() sarama.SCRAMClient { return &scramClient{hash: scram.SHA512} }

func (client *scramClient) Begin(username, password, authzID string) error {
	secrets, err := client.hash.NewClient(username, password, authzID)
	if err != nil {
		return err
	}
	client.conversation = secrets.NewConversation()
	return nil
}

func (client *scramClient) Step(challenge string) (string, error) {
	return client.conversation.Step(challenge)
}
func (client *scramClient) Done() bool { return client.conversation.Done() }
