package main

import (
	"fmt"

	"drivers/protocol"

	"github.com/IBM/sarama"
)

func produce(args *protocol.Arguments) error {
	config, err := producerSettings(args)
	if err != nil {
		return err
	}
	producer, err := sarama.NewAsyncProducer(brokers(args), config)
	if err != nil {
		return err
	}
	go func() {
		for i := range args.Count {
			producer.Input() <- messageOf(args, i)
		}
	}()
	delivered := 0
	// Closing gives up what is to be tried again, so it comes when every message has its outcome.
	for range args.Count {
		select {
		case <-producer.Successes():
			delivered++
		case failure := <-producer.Errors():
			protocol.Log("not delivered: %v", failure)
		}
	}
	protocol.Tell(protocol.Line{"delivered": delivered})
	return producer.Close()
}

func producerSettings(args *protocol.Arguments) (*sarama.Config, error) {
	config, err := settings(args)
	if err != nil {
		return nil, err
	}
	codecs := map[string]sarama.CompressionCodec{
		"none":   sarama.CompressionNone,
		"gzip":   sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy,
		"lz4":    sarama.CompressionLZ4,
		"zstd":   sarama.CompressionZSTD,
	}
	codec, isKnown := codecs[args.Codec]
	if !isKnown {
		return nil, fmt.Errorf("there is no codec %s", args.Codec)
	}
	config.Producer.Compression = codec
	config.Producer.RequiredAcks = sarama.RequiredAcks(args.Acks)
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Producer.Idempotent = args.Idempotent
	if args.Idempotent {
		// As the library demands.
		config.Net.MaxOpenRequests = 1
	}
	if args.Partition != nil {
		config.Producer.Partitioner = sarama.NewManualPartitioner
	}
	config.Producer.Flush.MaxMessages = args.PerRequest
	// It counts tries, where others have a time.
	tries := int(protocol.GiveUp / args.Backoff())
	config.Producer.Retry.Backoff, config.Producer.Retry.Max = args.Backoff(), tries
	config.Metadata.Retry.Backoff, config.Metadata.Retry.Max = args.Backoff(), tries
	return config, nil
}

func messageOf(args *protocol.Arguments, i int) *sarama.ProducerMessage {
	content := protocol.RecordOf(args.Prefix, i)
	message := &sarama.ProducerMessage{
		Topic:   args.Topic,
		Key:     sarama.StringEncoder(content.Key),
		Value:   sarama.StringEncoder(content.Value),
		Headers: []sarama.RecordHeader{{Key: []byte(content.HeaderName), Value: []byte(content.HeaderValue)}},
	}
	if args.Partition != nil {
		message.Partition = *args.Partition
	}
	return message
}
