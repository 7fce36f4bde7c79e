package main

import (
	"context"

	"drivers/protocol"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func consume(args *protocol.Arguments) error {
	client, err := open(args, kgo.ConsumeTopics(args.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for left := args.Count; left > 0; {
		fetches := client.PollRecords(context.Background(), left)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(tellConsumed)
		left -= fetches.NumRecords()
	}
	return nil
}

func tellConsumed(record *kgo.Record) {
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	protocol.TellConsumed(protocol.Consumed{
		Partition: record.Partition,
		Offset:    record.Offset,
		Time:      record.Timestamp,
		Key:       record.Key,
		Value:     record.Value,
		Headers:   headers,
	})
}

func seekTimestamp(args *protocol.Arguments) error {
	client, err := open(args)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	found, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, args.Timestamp, args.Topic)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return err
	}
	hits := kadm.ListedOffsets{args.Topic: map[int32]kadm.ListedOffset{}}
	found.Each(func(at kadm.ListedOffset) {
		// The library answers the end where no record is as late.
		if at.Timestamp >= 0 {
			hits[args.Topic][at.Partition] = at
		}
	})
	firsts, err := readFirsts(ctx, args, hits)
	if err != nil {
		return err
	}
	found.Each(func(at kadm.ListedOffset) {
		if _, isHit := hits.Lookup(args.Topic, at.Partition); isHit {
			protocol.TellSought(at.Partition, &at.Offset, firsts[at.Partition])
		} else {
			protocol.TellSought(at.Partition, nil, nil)
		}
	})
	return nil
}

func readFirsts(ctx context.Context, args *protocol.Arguments, hits kadm.ListedOffsets) (map[int32]*protocol.First, error) {
	firsts := map[int32]*protocol.First{}
	if len(hits[args.Topic]) == 0 {
		return firsts, nil
	}
	client, err := open(args, kgo.ConsumePartitions(hits.KOffsets()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for len(firsts) < len(hits[args.Topic]) {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if firsts[record.Partition] == nil {
				firsts[record.Partition] = &protocol.First{Offset: record.Offset, Timestamp: record.Timestamp.UnixMilli()}
			}
		})
	}
	return firsts, nil
}
