package main

import (
	"context"
	"errors"
	"time"

	"drivers/protocol"

	"github.com/IBM/sarama"
)

// commitAgain is how long a commit that failed waits for the next one, if nothing more comes.
const commitAgain = 500 * time.Millisecond

// member of a group, until its input ends. The library does not tell whether a commit succeeded.
type member struct {
	topic      string
	assignment protocol.Assignment
}

func runMember(untilInputEnds context.Context, args *protocol.Arguments) error {
	config, err := settings(args)
	if err != nil {
		return err
	}
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Return.Errors = true
	config.Consumer.Group.InstanceId = args.InstanceID
	if session := args.SessionTimeout(); session > 0 {
		config.Consumer.Group.Session.Timeout = session
		config.Consumer.Group.Heartbeat.Interval = session / protocol.HeartbeatsPerSession
	}
	group, err := sarama.NewConsumerGroup(brokers(args), args.Group, config)
	if err != nil {
		return err
	}
	go func() {
		for err := range group.Errors() {
			protocol.Log("group: %v", err)
		}
	}()
	member := &member{topic: args.Topic}
	for untilInputEnds.Err() == nil {
		// Each call is a session: the library asks for the loop, and for as long as it cannot reach the hub too.
		err := group.Consume(untilInputEnds, []string{args.Topic}, member)
		if err != nil && !errors.Is(err, context.Canceled) {
			protocol.Log("consume: %v", err)
			time.Sleep(args.Backoff())
		}
	}
	return group.Close()
}

// Setup begins a session.
func (member *member) Setup(session sarama.ConsumerGroupSession) error {
	member.assignment.Set(session.Claims()[member.topic])
	return nil
}

// Cleanup ends it; the library commits what is marked afterwards.
func (member *member) Cleanup(sarama.ConsumerGroupSession) error {
	member.assignment.Set(nil)
	return nil
}

// ConsumeClaim reads a partition.
func (member *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	tick := time.NewTicker(commitAgain)
	defer tick.Stop()
	for {
		select {
		case message, isOpen := <-claim.Messages():
			if !isOpen {
				return nil
			}
			take(session, message)
			for range len(claim.Messages()) {
				if message, isOpen := <-claim.Messages(); isOpen {
					take(session, message)
				}
			}
			session.Commit()
		case <-tick.C:
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
}

func take(session sarama.ConsumerGroupSession, message *sarama.ConsumerMessage) {
	protocol.TellRead(message.Partition, message.Offset, message.Value)
	session.MarkMessage(message, "")
}
