package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"drivers/protocol"

	"github.com/twmb/franz-go/pkg/kgo"
)

func produce(args *protocol.Arguments) error {
	options, err := producerOptions(args)
	if err != nil {
		return err
	}
	client, err := open(args, options...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), protocol.GiveUp)
	defer cancel()

	var delivered atomic.Int64
	for i := range args.Count {
		client.Produce(ctx, recordOf(args, i), func(_ *kgo.Record, err error) {
			if err != nil {
				protocol.Log("not delivered: %v", err)
				return
			}
			delivered.Add(1)
		})
	}
	if err := client.Flush(ctx); err != nil {
		protocol.Log("flush: %v", err)
	}
	protocol.Tell(protocol.Line{"delivered": delivered.Load()})
	return nil
}

func producerOptions(args *protocol.Arguments) ([]kgo.Opt, error) {
	acks, err := acksOf(args.Acks)
	if err != nil {
		return nil, err
	}
	codec, err := codecOf(args.Codec)
	if err != nil {
		return nil, err
	}
	options := []kgo.Opt{
		kgo.RequiredAcks(acks),
		kgo.ProducerBatchCompression(codec),
		kgo.RecordDeliveryTimeout(protocol.GiveUp),
	}
	if !args.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if args.Partition != nil {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	if args.PerRequest > 0 {
		// The library limits a batch by bytes only; a batch never holds more than what waits to be sent.
		options = append(options, kgo.MaxBufferedRecords(args.PerRequest), kgo.ProducerLinger(0))
	}
	if args.BackoffMs > 0 {
		backoff := args.Backoff()
		options = append(options,
			kgo.RetryBackoffFn(func(int) time.Duration { return backoff }),
			kgo.MetadataMinAge(backoff),
		)
	}
	return options, nil
}

func recordOf(args *protocol.Arguments, i int) *kgo.Record {
	content := protocol.RecordOf(args.Prefix, i)
	record := &kgo.Record{
		Topic:   args.Topic,
		Key:     []byte(content.Key),
		Value:   []byte(content.Value),
		Headers: []kgo.RecordHeader{{Key: content.HeaderName, Value: []byte(content.HeaderValue)}},
	}
	if args.Partition != nil {
		record.Partition = *args.Partition
	}
	return record
}

func acksOf(acks int) (kgo.Acks, error) {
	switch acks {
	case 0:
		return kgo.NoAck(), nil
	case 1:
		return kgo.LeaderAck(), nil
	case -1:
		return kgo.AllISRAcks(), nil
	default:
		return kgo.Acks{}, fmt.Errorf("there is no acks %d", acks)
	}
}

func codecOf(name string) (kgo.CompressionCodec, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	codec, isKnown := codecs[name]
	if !isKnown {
		return codec, fmt.Errorf("there is no codec %s", name)
	}
	return codec, nil
}
