package main

import (
	"maps"
	"slices"
	"time"

	"drivers/protocol"

	"github.com/IBM/sarama"
)

const adminRecords = 10

// calls of the protocol's list, in its order.
type calls struct {
	args    *protocol.Arguments
	version sarama.KafkaVersion
	admin   sarama.ClusterAdmin
	topic   string
	group   string
}

// since which version, as it is told, the library has a call. Told an older one it has none, or asks in a way that
// Kafka 4 does not understand any more, and neither does the hub.
var since = map[string]sarama.KafkaVersion{
	"listTopics":         sarama.V1_1_0_0,
	"describeConfigs":    sarama.V1_1_0_0,
	"alterConfigs":       sarama.V1_1_0_0,
	"deleteGroups":       sarama.V1_1_0_0,
	"describeAcls":       sarama.V2_0_0_0,
	"createAcls":         sarama.V2_0_0_0,
	"deleteGroupOffsets": sarama.V2_4_0_0,
}

func administer(args *protocol.Arguments) error {
	config, err := settings(args)
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdmin(brokers(args), config)
	if err != nil {
		return err
	}
	defer admin.Close()
	calls := &calls{args: args, version: config.Version, admin: admin, topic: args.Topic, group: args.Group}
	calls.aboutTopic()
	calls.aboutRecords()
	calls.aboutGroup()
	calls.aboutCluster()
	calls.tell("deleteTopics", func() (any, error) { return nil, admin.DeleteTopic(calls.topic) })
	return nil
}

func (calls *calls) tell(call string, work func() (any, error)) {
	if needed, isLater := since[call]; !isLater || calls.version.IsAtLeast(needed) {
		protocol.TellCall(call, work)
	}
}

func (calls *calls) aboutTopic() {
	admin, topic := calls.admin, calls.topic
	calls.tell("createTopics", func() (any, error) {
		retention := "3600000"
		detail := &sarama.TopicDetail{
			NumPartitions:     3,
			ReplicationFactor: 1,
			ConfigEntries:     map[string]*string{"retention.ms": &retention},
		}
		return nil, admin.CreateTopic(topic, detail, false)
	})
	calls.tell("listTopics", func() (any, error) {
		topics, err := admin.ListTopics()
		return slices.Sorted(maps.Keys(topics)), err
	})
	calls.tell("describeTopics", func() (any, error) {
		found, err := admin.DescribeTopics([]string{topic})
		if err != nil {
			return nil, err
		}
		if found[0].Err != sarama.ErrNoError {
			return nil, found[0].Err
		}
		return map[string]int{"partitions": len(found[0].Partitions)}, nil
	})
	calls.tell("describeConfigs", func() (any, error) { return calls.config("retention.ms") })
	calls.tell("alterConfigs", func() (any, error) {
		if err := calls.alterConfig("max.message.bytes", "2000000"); err != nil {
			return nil, err
		}
		return calls.config("max.message.bytes")
	})
	calls.tell("createPartitions", func() (any, error) {
		return nil, admin.CreatePartitions(topic, 5, nil, false)
	})
}

func (calls *calls) alterConfig(name, value string) error {
	if !calls.version.IsAtLeast(sarama.V2_3_0_0) {
		return calls.admin.AlterConfig(sarama.TopicResource, calls.topic, map[string]*string{name: &value}, false)
	}
	change := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	changes := map[string]sarama.IncrementalAlterConfigsEntry{name: change}
	return calls.admin.IncrementalAlterConfig(sarama.TopicResource, calls.topic, changes, false)
}

func (calls *calls) config(name string) (any, error) {
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: calls.topic, ConfigNames: []string{name}}
	entries, err := calls.admin.DescribeConfig(resource)
	values := map[string]string{}
	for _, entry := range entries {
		values[entry.Name] = entry.Value
	}
	return values, err
}

func (calls *calls) aboutRecords() {
	calls.tell("produce", func() (any, error) { return adminRecords, calls.produce() })
	calls.tell("listOffsets", func() (any, error) {
		earliest, err := calls.offsetAt(sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		latest, err := calls.offsetAt(sarama.OffsetNewest)
		return map[string]int64{"earliest": earliest, "latest": latest}, err
	})
	calls.tell("deleteRecords", func() (any, error) {
		if err := calls.admin.DeleteRecords(calls.topic, map[int32]int64{0: 4}); err != nil {
			return nil, err
		}
		return calls.offsetAt(sarama.OffsetOldest)
	})
}

// produce sends records whose times are a millisecond apart, so that one of them is the latest.
func (calls *calls) produce() error {
	config, err := settings(calls.args)
	if err != nil {
		return err
	}
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(brokers(calls.args), config)
	if err != nil {
		return err
	}
	defer producer.Close()
	now := time.Now()
	for i := range adminRecords {
		content := protocol.RecordOf("admin", i)
		message := &sarama.ProducerMessage{
			Topic:     calls.topic,
			Key:       sarama.StringEncoder(content.Key),
			Value:     sarama.StringEncoder(content.Value),
			Timestamp: now.Add(time.Duration(i) * time.Millisecond),
		}
		if _, _, err := producer.SendMessage(message); err != nil {
			return err
		}
	}
	return nil
}

func (calls *calls) offsetAt(time int64) (int64, error) {
	found, err := calls.admin.ListOffsets(map[string]map[int32]int64{calls.topic: {0: time}}, nil)
	if err != nil {
		return 0, err
	}
	at := found[calls.topic][0]
	if at.Err != nil && at.Err != sarama.ErrNoError {
		return 0, at.Err
	}
	return at.Offset, nil
}

func (calls *calls) aboutGroup() {
	admin, group, topic := calls.admin, calls.group, calls.topic
	calls.tell("commitOffsets", func() (any, error) {
		offsets := map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: 7, LeaderEpoch: -1}}}
		answer, err := admin.AlterConsumerGroupOffsets(group, offsets, nil)
		if err != nil {
			return nil, err
		}
		if failure := answer.Errors[topic][0]; failure != sarama.ErrNoError {
			return nil, failure
		}
		return nil, nil
	})
	calls.tell("listGroups", func() (any, error) {
		found, err := admin.ListConsumerGroups()
		_, isListed := found[group]
		return isListed, err
	})
	calls.tell("describeGroups", func() (any, error) {
		found, err := admin.DescribeConsumerGroups([]string{group})
		if err != nil {
			return nil, err
		}
		if found[0].Err != sarama.ErrNoError {
			return nil, found[0].Err
		}
		return map[string]any{"state": found[0].State, "members": len(found[0].Members)}, nil
	})
	calls.tell("listGroupOffsets", func() (any, error) {
		found, err := admin.ListConsumerGroupOffsets(group, nil)
		if err != nil {
			return nil, err
		}
		offsets := map[int32]int64{}
		for partition, at := range found.Blocks[topic] {
			offsets[partition] = at.Offset
		}
		return offsets, nil
	})
	calls.tell("deleteGroupOffsets", func() (any, error) {
		return nil, admin.DeleteConsumerGroupOffset(group, topic, 0)
	})
	calls.tell("deleteGroups", func() (any, error) { return nil, admin.DeleteConsumerGroup(group) })
}

func (calls *calls) aboutCluster() {
	admin := calls.admin
	calls.tell("describeCluster", func() (any, error) {
		found, _, err := admin.DescribeCluster()
		return map[string]int{"brokers": len(found)}, err
	})
	calls.tell("describeAcls", func() (any, error) {
		found, err := admin.ListAcls(sarama.AclFilter{
			ResourceType:              sarama.AclResourceAny,
			ResourcePatternTypeFilter: sarama.AclPatternAny,
			Operation:                 sarama.AclOperationAny,
			PermissionType:            sarama.AclPermissionAny,
		})
		return len(found), err
	})
	calls.tell("createAcls", func() (any, error) {
		resource := sarama.Resource{
			ResourceType:        sarama.AclResourceTopic,
			ResourceName:        calls.topic,
			ResourcePatternType: sarama.AclPatternLiteral,
		}
		rule := sarama.Acl{
			Principal:      "User:someone",
			Host:           "*",
			Operation:      sarama.AclOperationRead,
			PermissionType: sarama.AclPermissionAllow,
		}
		return nil, admin.CreateACL(resource, rule)
	})
}
