"""Every administrative call of the protocol's list that librdkafka has, in its order."""

import time

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

import protocol
from librdkafka_settings import connection

RECORDS = 10


def administer(args):
    admin, topic = AdminClient(connection(args)), args["topic"]
    about_topic(admin, topic)
    about_records(admin, args, TopicPartition(topic, 0))
    about_group(admin, args["group"], topic)
    about_cluster(admin, topic)
    protocol.tell_call("deleteTopics", lambda: only(admin.delete_topics([topic])))


def only(futures):
    """The result of a call about one thing."""
    (future,) = futures.values()
    return future.result()


def about_topic(admin, topic):
    def alter():
        entry = ConfigEntry("max.message.bytes", "2000000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        only(admin.incremental_alter_configs([resource]))
        return config("max.message.bytes")

    def config(name):
        found = only(admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))
        return {name: found[name].value}

    wanted = NewTopic(topic, num_partitions=3, replication_factor=1, config={"retention.ms": "3600000"})
    protocol.tell_call("createTopics", lambda: only(admin.create_topics([wanted])))
    protocol.tell_call("listTopics", lambda: sorted(admin.list_topics(timeout=10).topics))
    protocol.tell_call(
        "describeTopics",
        lambda: {"partitions": len(only(admin.describe_topics(TopicCollection([topic]))).partitions)},
    )
    protocol.tell_call("describeConfigs", lambda: config("retention.ms"))
    protocol.tell_call("alterConfigs", alter)
    protocol.tell_call("createPartitions", lambda: only(admin.create_partitions([NewPartitions(topic, 5)])))


def about_records(admin, args, partition):
    def offset_at(spec):
        return only(admin.list_offsets({partition: spec})).offset

    def delete():
        only(admin.delete_records([TopicPartition(partition.topic, partition.partition, 4)]))
        return offset_at(OffsetSpec.earliest())

    protocol.tell_call("produce", lambda: produce(args, partition))
    protocol.tell_call(
        "listOffsets",
        lambda: {"earliest": offset_at(OffsetSpec.earliest()), "latest": offset_at(OffsetSpec.latest())},
    )
    protocol.tell_call("listMaxTimestamp", lambda: offset_at(OffsetSpec.max_timestamp()))
    protocol.tell_call("deleteRecords", delete)


def produce(args, partition):
    """Sends records whose times are a millisecond apart, so that one of them is the latest."""
    producer = Producer({**connection(args), "enable.idempotence": True})
    delivered, now_ms = [], int(time.time() * 1000)
    for i in range(RECORDS):
        producer.produce(
            partition.topic,
            partition=partition.partition,
            key=f"admin-{i}",
            value="value",
            timestamp=now_ms + i,
            on_delivery=lambda error, message: delivered.append(message) if error is None else protocol.log(error),
        )
    producer.flush()
    return len(delivered)


def about_group(admin, group, topic):
    def commit():
        offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7)])
        only(admin.alter_consumer_group_offsets([offsets]))

    def list_groups():
        return any(found.group_id == group for found in admin.list_consumer_groups().result().valid)

    def describe():
        found = only(admin.describe_consumer_groups([group]))
        return {"state": found.state.name.capitalize(), "members": len(found.members)}

    def list_offsets():
        found = only(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {str(at.partition): at.offset for at in found.topic_partitions}

    protocol.tell_call("commitOffsets", commit)
    protocol.tell_call("listGroups", list_groups)
    protocol.tell_call("describeGroups", describe)
    protocol.tell_call("listGroupOffsets", list_offsets)
    protocol.tell_call("deleteGroups", lambda: only(admin.delete_consumer_groups([group])))


def about_cluster(admin, topic):
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    rule = AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:someone",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    protocol.tell_call("describeCluster", lambda: {"brokers": len(admin.describe_cluster().result().nodes)})
    protocol.tell_call("describeAcls", lambda: len(admin.describe_acls(everything).result()))
    protocol.tell_call("createAcls", lambda: only(admin.create_acls([rule])))
