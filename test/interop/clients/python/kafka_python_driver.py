"""The driver of kafka-python."""

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition, __version__
from kafka.errors import RetriableError
from kafka.structs import OffsetAndMetadata

import protocol
from kafka_python_admin import administer
from kafka_python_settings import connection


def about(_args):
    protocol.tell(
        {
            "client": "kafka-python",
            "version": __version__,
            "codecs": protocol.CODECS,
            "mechanisms": protocol.MECHANISMS,
            "without": {"next-generation-group": "classic protocol only"},
        }
    )


def produce(args):
    settings = {
        "acks": args["acks"],
        "enable_idempotence": args["idempotent"],
        "compression_type": None if args["codec"] == "none" else args["codec"],
        "delivery_timeout_ms": protocol.GIVE_UP_MS,
        "max_block_ms": protocol.GIVE_UP_MS,
    }
    if "perRequest" in args:
        # Its limit is in bytes; 0 is the documented way to have no batching at all.
        size = protocol.BATCH_HEADER_BYTES + args["perRequest"] * protocol.RECORD_BYTES
        settings["batch_size"] = 0 if args["perRequest"] == 1 else size
        settings["linger_ms"] = 0 if args["perRequest"] == 1 else 5
    if "backoffMs" in args:
        for name in ["retry_backoff_ms", "reconnect_backoff_ms", "reconnect_backoff_max_ms"]:
            settings[name] = args["backoffMs"]
    producer = KafkaProducer(**connection(args), **settings)
    sent = []
    for i in range(args["count"]):
        key, value, headers = protocol.record_of(args["prefix"], i)
        partition = args.get("partition")
        sent.append(producer.send(args["topic"], key=key, value=value, headers=headers, partition=partition))
    producer.flush(timeout=protocol.GIVE_UP_MS / 1000)
    delivered = 0
    for each in sent:
        if each.succeeded():
            delivered += 1
        else:
            protocol.log(f"not delivered: {each.exception!r}")
    producer.close(timeout=1)
    protocol.tell({"delivered": delivered})


def open_consumer(args, **settings):
    return KafkaConsumer(**connection(args), enable_auto_commit=False, **settings)


def partitions_of(consumer, topic):
    return [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic) or [])]


def poll(consumer):
    """What one poll gives, one record after the other."""
    for records in consumer.poll(timeout_ms=int(protocol.POLL_SECONDS * 1000)).values():
        yield from records


def consume(args):
    consumer = open_consumer(args)
    partitions = partitions_of(consumer, args["topic"])
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    left = args["count"]
    while left > 0:
        for record in poll(consumer):
            if left <= 0:
                break
            protocol.tell_consumed(
                record.partition, record.offset, record.timestamp, record.key, record.value, record.headers
            )
            left -= 1
    consumer.close()


def seek_timestamp(args):
    consumer = open_consumer(args)
    partitions = partitions_of(consumer, args["topic"])
    found = consumer.offsets_for_times({partition: args["timestamp"] for partition in partitions})
    hits = {partition: at.offset for partition, at in found.items() if at is not None}
    firsts = {}
    if hits:
        consumer.assign(list(hits))
        for partition, offset in hits.items():
            consumer.seek(partition, offset)
    while len(firsts) < len(hits):
        for record in poll(consumer):
            firsts.setdefault(record.partition, (record.offset, record.timestamp))
    for partition in partitions:
        protocol.tell_sought(partition.partition, hits.get(partition), firsts.get(partition.partition))
    consumer.close()


class Listener(ConsumerRebalanceListener):
    """Told within poll. It may not wait for a commit here; all that was read is committed before the next poll."""

    def __init__(self, report):
        self._report = report

    def on_partitions_revoked(self, revoked):
        self._report.remove(each.partition for each in revoked)

    def on_partitions_assigned(self, assigned):
        self._report.add(each.partition for each in assigned)


def member_settings(args):
    settings = {"group_id": args["group"], "auto_offset_reset": "earliest"}
    if "instanceId" in args:
        settings["group_instance_id"] = args["instanceId"]
    if "sessionTimeoutMs" in args:
        settings["session_timeout_ms"] = args["sessionTimeoutMs"]
        settings["heartbeat_interval_ms"] = args["sessionTimeoutMs"] // protocol.HEARTBEATS_PER_SESSION
    return settings


def member(args, ended):
    topic = args["topic"]
    consumer = open_consumer(args, **member_settings(args))
    report = protocol.MemberReport()

    def commit_pending(pending):
        consumer.commit({TopicPartition(topic, at): OffsetAndMetadata(next_, "", -1) for at, next_ in pending.items()})

    consumer.subscribe([topic], listener=Listener(report))
    while not ended.is_set():
        try:
            for record in poll(consumer):
                report.take(record.partition, record.offset, record.value)
        except RetriableError as error:
            # Thrown now and then while no broker can be reached; a program that is to outlive it calls again.
            protocol.log(f"poll: {protocol.message_of(error)}")
        report.commit(commit_pending)
    consumer.close()


if __name__ == "__main__":
    protocol.serve(
        {
            "about": about,
            "produce": produce,
            "consume": consume,
            "seek-timestamp": seek_timestamp,
            "member": member,
            "admin": administer,
        }
    )
