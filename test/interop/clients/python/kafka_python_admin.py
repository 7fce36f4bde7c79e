"""Every administrative call of the protocol's list that kafka-python has, in its order."""

import time

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    OffsetSpec,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata

import protocol
from kafka_python_settings import connection

RECORDS = 10


def administer(args):
    admin, topic = KafkaAdminClient(**connection(args)), args["topic"]
    about_topic(admin, topic)
    about_records(admin, args, TopicPartition(topic, 0))
    about_group(admin, args["group"], TopicPartition(topic, 0))
    about_cluster(admin, topic)
    protocol.tell_call("deleteTopics", lambda: nothing(admin.delete_topics([topic])))
    admin.close()


def nothing(_answer):
    """For calls that throw what goes wrong."""


def expect(results):
    """For calls that answer with an error class, or its name, for each thing that they were asked about."""
    for error in results.values():
        if error not in (NoError, "OK"):
            raise error if isinstance(error, type) else RuntimeError(error)


def about_topic(admin, topic):
    def config(name):
        resource = ConfigResource("topic", topic)
        return {name: admin.describe_configs([resource], config_filter="all")["topic"][topic][name]["value"]}

    def alter():
        admin.alter_configs([ConfigResource("topic", topic, {"max.message.bytes": "2000000"})])
        return config("max.message.bytes")

    wanted = {topic: {"num_partitions": 3, "replication_factor": 1, "configs": {"retention.ms": "3600000"}}}
    protocol.tell_call("createTopics", lambda: nothing(admin.create_topics(wanted)))
    protocol.tell_call("listTopics", lambda: sorted(admin.list_topics()))
    protocol.tell_call(
        "describeTopics", lambda: {"partitions": len(admin.describe_topics([topic])[0]["partitions"])}
    )
    protocol.tell_call("describeConfigs", lambda: config("retention.ms"))
    protocol.tell_call("alterConfigs", alter)
    protocol.tell_call("createPartitions", lambda: nothing(admin.create_partitions({topic: 5})))


def about_records(admin, args, partition):
    def offset_at(spec):
        return admin.list_partition_offsets({partition: spec})[partition].offset

    def delete():
        admin.delete_records({partition: 4})
        return offset_at(OffsetSpec.EARLIEST)

    protocol.tell_call("produce", lambda: produce(args, partition))
    protocol.tell_call(
        "listOffsets",
        lambda: {"earliest": offset_at(OffsetSpec.EARLIEST), "latest": offset_at(OffsetSpec.LATEST)},
    )
    protocol.tell_call("listMaxTimestamp", lambda: offset_at(OffsetSpec.MAX_TIMESTAMP))
    protocol.tell_call(
        "describeProducers", lambda: len(admin.describe_producers([partition])[partition].active_producers)
    )
    protocol.tell_call("deleteRecords", delete)


def produce(args, partition):
    """Sends records whose times are a millisecond apart, so that one of them is the latest."""
    producer = KafkaProducer(**connection(args))
    now_ms = int(time.time() * 1000)
    sent = [
        producer.send(
            partition.topic,
            partition=partition.partition,
            key=f"admin-{i}".encode(),
            value=b"value",
            timestamp_ms=now_ms + i,
        )
        for i in range(RECORDS)
    ]
    delivered = [each.get(timeout=30) for each in sent]
    producer.close()
    return len(delivered)


def about_group(admin, group, partition):
    def describe():
        found = admin.describe_groups([group])[group]
        return {"state": found["group_state"], "members": len(found["members"])}

    def list_offsets():
        found = admin.list_group_offsets(group)[group]
        return {str(at.partition): committed.offset for at, committed in found.items()}

    committed = {partition: OffsetAndMetadata(7, "", -1)}
    protocol.tell_call("commitOffsets", lambda: expect(admin.alter_group_offsets(group, committed)))
    protocol.tell_call("listGroups", lambda: any(found["group_id"] == group for found in admin.list_groups()))
    protocol.tell_call("describeGroups", describe)
    protocol.tell_call("listGroupOffsets", list_offsets)
    protocol.tell_call("deleteGroupOffsets", lambda: expect(admin.delete_group_offsets(group, [partition])))
    protocol.tell_call("deleteGroups", lambda: expect(admin.delete_groups([group])))


def about_cluster(admin, topic):
    def describe_acls():
        everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
        wanted = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
        found, error = admin.describe_acls(wanted)
        expect({"acls": error})
        return len(found)

    def create_acls():
        resource = ResourcePattern(ResourceType.TOPIC, topic)
        rule = ACL("User:someone", "*", ACLOperation.READ, ACLPermissionType.ALLOW, resource)
        for failed in admin.create_acls([rule])["failed"]:
            expect({"acl": failed})

    protocol.tell_call("describeCluster", lambda: {"brokers": len(admin.describe_cluster()["brokers"])})
    protocol.tell_call("describeAcls", describe_acls)
    protocol.tell_call("createAcls", create_acls)
