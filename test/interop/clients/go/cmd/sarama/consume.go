package main

import (
	"drivers/protocol"

	"github.com/IBM/sarama"
)

func consume(args *protocol.Arguments) error {
	client, err := openClient(args)
	if err != nil {
		return err
	}
	defer client.Close()
	partitions, err := client.Partitions(args.Topic)
	if err != nil {
		return err
	}
	starts := map[int32]int64{}
	for _, partition := range partitions {
		starts[partition] = sarama.OffsetOldest
	}
	left := args.Count
	return read(client, args.Topic, starts, func(message *sarama.ConsumerMessage) bool {
		tellConsumed(message)
		left--
		return left > 0
	})
}

func openClient(args *protocol.Arguments) (sarama.Client, error) {
	config, err := settings(args)
	if err != nil {
		return nil, err
	}
	return sarama.NewClient(brokers(args), config)
}

// read reads partitions from where each is to start, for as long as `take` wants more.
func read(client sarama.Client, topic string, starts map[int32]int64, take func(*sarama.ConsumerMessage) bool) error {
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	messages := make(chan *sarama.ConsumerMessage)
	isDone := make(chan struct{})
	for partition, start := range starts {
		reader, err := consumer.ConsumePartition(topic, partition, start)
		if err != nil {
			return err
		}
		defer reader.AsyncClose()
		go func() {
			for message := range reader.Messages() {
				select {
				case messages <- message:
				case <-isDone:
				}
			}
		}()
	}
	defer close(isDone)
	for take(<-messages) {
	}
	return nil
}

func tellConsumed(message *sarama.ConsumerMessage) {
	headers := map[string]string{}
	for _, header := range message.Headers {
		headers[string(header.Key)] = string(header.Value)
	}
	protocol.TellConsumed(protocol.Consumed{
		Partition: message.Partition,
		Offset:    message.Offset,
		Time:      message.Timestamp,
		Key:       message.Key,
		Value:     message.Value,
		Headers:   headers,
	})
}

func seekTimestamp(args *protocol.Arguments) error {
	client, err := openClient(args)
	if err != nil {
		return err
	}
	defer client.Close()
	partitions, err := client.Partitions(args.Topic)
	if err != nil {
		return err
	}
	hits := map[int32]int64{}
	for _, partition := range partitions {
		offset, err := client.GetOffset(args.Topic, partition, args.Timestamp)
		if err != nil {
			return err
		}
		// Below 0 where no record is as late.
		if offset >= 0 {
			hits[partition] = offset
		}
	}
	firsts, err := readFirsts(client, args.Topic, hits)
	if err != nil {
		return err
	}
	for _, partition := range partitions {
		if offset, isHit := hits[partition]; isHit {
			protocol.TellSought(partition, &offset, firsts[partition])
		} else {
			protocol.TellSought(partition, nil, nil)
		}
	}
	return nil
}

func readFirsts(client sarama.Client, topic string, hits map[int32]int64) (map[int32]*protocol.First, error) {
	firsts := map[int32]*protocol.First{}
	if len(hits) == 0 {
		return firsts, nil
	}
	err := read(client, topic, hits, func(message *sarama.ConsumerMessage) bool {
		if firsts[message.Partition] == nil {
			firsts[message.Partition] = &protocol.First{Offset: message.Offset, Timestamp: message.Timestamp.UnixMilli()}
		}
		return len(firsts) < len(hits)
	})
	return firsts, err
}
