package main

import (
	"context"
	"time"

	"drivers/protocol"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const adminRecords = 10

// calls of the protocol's list, in its order.
type calls struct {
	ctx    context.Context
	args   *protocol.Arguments
	admin  *kadm.Client
	topic  string
	group  string
	first  kadm.TopicsSet
	offset func(int64) kadm.Offsets
}

func administer(args *protocol.Arguments) error {
	client, err := open(args)
	if err != nil {
		return err
	}
	defer client.Close()
	first := kadm.TopicsSet{}
	first.Add(args.Topic, 0)
	calls := &calls{
		ctx:   context.Background(),
		args:  args,
		admin: kadm.NewClient(client),
		topic: args.Topic,
		group: args.Group,
		first: first,
		offset: func(at int64) kadm.Offsets {
			offsets := kadm.Offsets{}
			offsets.AddOffset(args.Topic, 0, at, -1)
			return offsets
		},
	}
	calls.aboutTopic()
	calls.aboutRecords()
	calls.aboutGroup()
	calls.aboutCluster()
	protocol.TellCall("deleteTopics", func() (any, error) {
		_, err := calls.admin.DeleteTopic(calls.ctx, calls.topic)
		return nil, err
	})
	return nil
}

func (calls *calls) aboutTopic() {
	ctx, admin, topic := calls.ctx, calls.admin, calls.topic
	protocol.TellCall("createTopics", func() (any, error) {
		_, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("3600000")}, topic)
		return nil, err
	})
	protocol.TellCall("listTopics", func() (any, error) {
		topics, err := admin.ListTopics(ctx)
		return topics.Names(), err
	})
	protocol.TellCall("describeTopics", func() (any, error) {
		topics, err := admin.ListTopics(ctx, topic)
		if err == nil {
			err = topics.Error()
		}
		return map[string]int{"partitions": len(topics[topic].Partitions)}, err
	})
	protocol.TellCall("describeConfigs", func() (any, error) { return calls.config("retention.ms") })
	protocol.TellCall("alterConfigs", func() (any, error) {
		change := kadm.AlterConfig{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("2000000")}
		answers, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
		if err == nil {
			_, err = answers.On(topic, failed)
		}
		if err != nil {
			return nil, err
		}
		return calls.config("max.message.bytes")
	})
	protocol.TellCall("createPartitions", func() (any, error) {
		answers, err := admin.UpdatePartitions(ctx, 5, topic)
		if err == nil {
			err = answers.Error()
		}
		return nil, err
	})
}

func failed(answer *kadm.AlterConfigsResponse) error { return answer.Err }

func (calls *calls) config(name string) (any, error) {
	answers, err := calls.admin.DescribeTopicConfigs(calls.ctx, calls.topic)
	if err != nil {
		return nil, err
	}
	found, err := answers.On(calls.topic, func(resource *kadm.ResourceConfig) error { return resource.Err })
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, config := range found.Configs {
		if config.Key == name {
			values[name] = config.MaybeValue()
		}
	}
	return values, nil
}

func (calls *calls) aboutRecords() {
	ctx, admin, topic := calls.ctx, calls.admin, calls.topic
	protocol.TellCall("produce", func() (any, error) { return adminRecords, calls.produce() })
	protocol.TellCall("listOffsets", func() (any, error) {
		earliest, err := calls.firstOffset(admin.ListStartOffsets(ctx, topic))
		if err != nil {
			return nil, err
		}
		latest, err := calls.firstOffset(admin.ListEndOffsets(ctx, topic))
		return map[string]int64{"earliest": earliest, "latest": latest}, err
	})
	protocol.TellCall("listMaxTimestamp", func() (any, error) {
		return calls.firstOffset(admin.ListMaxTimestampOffsets(ctx, topic))
	})
	protocol.TellCall("describeProducers", func() (any, error) {
		found, err := admin.DescribeProducers(ctx, calls.first)
		count := 0
		found.EachPartition(func(partition kadm.DescribedProducersPartition) {
			count += len(partition.ActiveProducers)
			if err == nil {
				err = partition.Err
			}
		})
		return count, err
	})
	protocol.TellCall("deleteRecords", func() (any, error) {
		answers, err := admin.DeleteRecords(ctx, calls.offset(4))
		if err == nil {
			err = answers.Error()
		}
		if err != nil {
			return nil, err
		}
		return calls.firstOffset(admin.ListStartOffsets(ctx, topic))
	})
}

// produce sends records whose times are a millisecond apart, so that one of them is the latest.
func (calls *calls) produce() error {
	producer, err := open(calls.args, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer producer.Close()
	now := time.Now()
	for i := range adminRecords {
		content := protocol.RecordOf("admin", i)
		record := &kgo.Record{
			Topic:     calls.topic,
			Key:       []byte(content.Key),
			Value:     []byte(content.Value),
			Timestamp: now.Add(time.Duration(i) * time.Millisecond),
		}
		if err := producer.ProduceSync(calls.ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func (calls *calls) firstOffset(listed kadm.ListedOffsets, err error) (int64, error) {
	if err == nil {
		err = listed.Error()
	}
	at, _ := listed.Lookup(calls.topic, 0)
	return at.Offset, err
}

func (calls *calls) aboutGroup() {
	ctx, admin, group := calls.ctx, calls.admin, calls.group
	protocol.TellCall("commitOffsets", func() (any, error) {
		return nil, admin.CommitAllOffsets(ctx, group, calls.offset(7))
	})
	protocol.TellCall("listGroups", func() (any, error) {
		found, err := admin.ListGroups(ctx)
		_, isListed := found[group]
		return isListed, err
	})
	protocol.TellCall("describeGroups", func() (any, error) {
		found, err := admin.DescribeGroups(ctx, group)
		if err == nil {
			err = found.Error()
		}
		return map[string]any{"state": found[group].State, "members": len(found[group].Members)}, err
	})
	protocol.TellCall("listGroupOffsets", func() (any, error) {
		found, err := admin.FetchOffsets(ctx, group)
		offsets := map[int32]int64{}
		found.Each(func(at kadm.OffsetResponse) { offsets[at.Partition] = at.At })
		return offsets, err
	})
	protocol.TellCall("deleteGroupOffsets", func() (any, error) {
		answers, err := admin.DeleteOffsets(ctx, group, calls.first)
		if err == nil {
			err = answers.Error()
		}
		return nil, err
	})
	protocol.TellCall("deleteGroups", func() (any, error) {
		_, err := admin.DeleteGroup(ctx, group)
		return nil, err
	})
}

func (calls *calls) aboutCluster() {
	ctx, admin := calls.ctx, calls.admin
	protocol.TellCall("describeCluster", func() (any, error) {
		brokers, err := admin.ListBrokers(ctx)
		return map[string]int{"brokers": len(brokers)}, err
	})
	protocol.TellCall("describeAcls", func() (any, error) {
		all := kadm.NewACLs().AnyResource().Allow().AllowHosts().Deny().DenyHosts().Operations()
		results, err := admin.DescribeACLs(ctx, all.ResourcePatternType(kadm.ACLPatternAny))
		count := 0
		for _, result := range results {
			count += len(result.Described)
			if err == nil {
				err = result.Err
			}
		}
		return count, err
	})
	protocol.TellCall("createAcls", func() (any, error) {
		rule := kadm.NewACLs().Topics(calls.topic).Allow("User:someone").Operations(kadm.OpRead)
		results, err := admin.CreateACLs(ctx, rule)
		for _, result := range results {
			if err == nil {
				err = result.Err
			}
		}
		return nil, err
	})
}
