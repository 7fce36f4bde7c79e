package main

import (
	"context"
	"time"

	"drivers/protocol"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pollAtMost is how long a poll waits, so that what was not committed is committed even if nothing more comes.
const pollAtMost = 500 * time.Millisecond

// leaveAtMost bounds the last commit.
const leaveAtMost = 10 * time.Second

// member of a group, until its input ends.
type member struct {
	topic      string
	assignment protocol.Assignment
}

func runMember(untilInputEnds context.Context, args *protocol.Arguments) error {
	member := &member{topic: args.Topic}
	client, err := open(args, member.options(args)...)
	if err != nil {
		return err
	}
	for untilInputEnds.Err() == nil {
		member.work(untilInputEnds, client)
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveAtMost)
	defer cancel()
	member.commit(ctx, client)
	client.CloseAllowingRebalance()
	return nil
}

func (member *member) options(args *protocol.Arguments) []kgo.Opt {
	lose := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		member.assignment.Remove(lost[member.topic])
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(args.Group),
		kgo.ConsumeTopics(args.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			member.assignment.Add(added[member.topic])
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
			member.commit(ctx, client)
			lose(ctx, client, revoked)
		}),
		kgo.OnPartitionsLost(lose),
	}
	if args.InstanceID != "" {
		options = append(options, kgo.InstanceID(args.InstanceID))
	}
	if args.Protocol == "consumer" {
		// The library's default balancer works at the client only. Timeouts and heartbeats are the broker's to decide.
		return append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	if session := args.SessionTimeout(); session > 0 {
		options = append(options,
			kgo.SessionTimeout(session),
			kgo.HeartbeatInterval(session/protocol.HeartbeatsPerSession),
		)
	}
	return options
}

// work takes what one poll gives. Partitions are not taken away between poll and commit.
func (member *member) work(ctx context.Context, client *kgo.Client) {
	defer client.AllowRebalance()
	polling, cancel := context.WithTimeout(ctx, pollAtMost)
	defer cancel()
	fetches := client.PollFetches(polling)
	fetches.EachError(func(topic string, partition int32, err error) {
		if polling.Err() == nil {
			protocol.Log("poll %s/%d: %v", topic, partition, err)
		}
	})
	fetches.EachRecord(func(record *kgo.Record) {
		protocol.TellRead(record.Partition, record.Offset, record.Value)
	})
	member.commit(ctx, client)
}

// commit commits all that was polled, and hence told.
func (member *member) commit(ctx context.Context, client *kgo.Client) {
	offsets := map[int32]int64{}
	for partition, next := range client.UncommittedOffsets()[member.topic] {
		offsets[partition] = next.Offset
	}
	if len(offsets) == 0 {
		return
	}
	if err := client.CommitUncommittedOffsets(ctx); err != nil {
		// Another commit follows after the next poll, or the group has given the partitions away.
		protocol.Log("commit: %v", err)
		return
	}
	protocol.TellCommitted(offsets)
}
