"""The driver of librdkafka, by its Python binding confluent-kafka."""

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition, libversion

import protocol
from librdkafka_admin import administer
from librdkafka_settings import connection


def about(_args):
    protocol.tell(
        {
            "client": "librdkafka",
            "version": libversion()[0],
            "codecs": protocol.CODECS,
            "mechanisms": protocol.MECHANISMS,
            "without": {},
        }
    )


def produce(args):
    settings = {
        **connection(args),
        "acks": args["acks"],
        "enable.idempotence": args["idempotent"],
        "compression.type": args["codec"],
        "message.timeout.ms": protocol.GIVE_UP_MS,
        "retries": 2147483647,
    }
    if "perRequest" in args:
        settings["batch.num.messages"] = args["perRequest"]
    if args.get("perRequest") == 1:
        settings["linger.ms"] = 0
    if "backoffMs" in args:
        for name in ["retry.backoff.ms", "retry.backoff.max.ms", "reconnect.backoff.ms", "reconnect.backoff.max.ms"]:
            settings[name] = args["backoffMs"]
    producer = Producer(settings)
    delivered = 0

    def count(error, _message):
        nonlocal delivered
        if error is None:
            delivered += 1
        else:
            protocol.log(f"not delivered: {error}")

    to = {"partition": args["partition"]} if "partition" in args else {}
    for i in range(args["count"]):
        key, value, headers = protocol.record_of(args["prefix"], i)
        producer.produce(args["topic"], key=key, value=value, headers=headers, on_delivery=count, **to)
        producer.poll(0)
    producer.flush()
    protocol.tell({"delivered": delivered})


def open_consumer(args, **settings):
    # A group must be named, though nothing of one is used without subscribe and commit.
    return Consumer({"group.id": "unused", "enable.auto.commit": False, **connection(args), **settings})


def partitions_of(consumer, topic):
    found = consumer.list_topics(topic, timeout=10).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def poll(consumer):
    """A record, or None. Errors that the library does not recover from are thrown."""
    message = consumer.poll(protocol.POLL_SECONDS)
    if message is None or message.error() is None:
        return message
    error = message.error()
    if error.fatal() or error.code() == KafkaError._AUTHENTICATION:
        raise KafkaException(error)
    protocol.log(f"poll: {error}")
    return None


def consume(args):
    consumer = open_consumer(args)
    topic = args["topic"]
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions_of(consumer, topic)])
    left = args["count"]
    while left > 0:
        message = poll(consumer)
        if message is None:
            continue
        protocol.tell_consumed(
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            message.headers(),
        )
        left -= 1
    consumer.close()


def seek_timestamp(args):
    consumer = open_consumer(args)
    topic = args["topic"]
    wanted = [TopicPartition(topic, each, args["timestamp"]) for each in partitions_of(consumer, topic)]
    found = consumer.offsets_for_times(wanted, timeout=10)
    # Below 0 (the symbol for the end) where no record is as late.
    hits = [at for at in found if at.offset >= 0]
    firsts = {}
    if hits:
        consumer.assign(hits)
    while len(firsts) < len(hits):
        message = poll(consumer)
        if message is not None:
            firsts.setdefault(message.partition(), (message.offset(), message.timestamp()[1]))
    for at in found:
        if at.error is not None:
            raise KafkaException(at.error)
        protocol.tell_sought(at.partition, at.offset if at.offset >= 0 else None, firsts.get(at.partition))
    consumer.close()


def member_settings(args):
    settings = {"group.id": args["group"], "auto.offset.reset": "earliest"}
    if "instanceId" in args:
        settings["group.instance.id"] = args["instanceId"]
    if args.get("protocol") == "consumer":
        # Timeouts and heartbeats are the broker's to decide.
        settings["group.protocol"] = "consumer"
    elif "sessionTimeoutMs" in args:
        settings["session.timeout.ms"] = args["sessionTimeoutMs"]
        settings["heartbeat.interval.ms"] = args["sessionTimeoutMs"] // protocol.HEARTBEATS_PER_SESSION
    return settings


def member(args, ended):
    topic = args["topic"]
    consumer = open_consumer(args, **member_settings(args))
    report = protocol.MemberReport()

    def commit():
        report.commit(commit_pending)

    def commit_pending(pending):
        offsets = [TopicPartition(topic, partition, next_) for partition, next_ in pending.items()]
        for committed in consumer.commit(offsets=offsets, asynchronous=False):
            if committed.error is not None:
                raise KafkaException(committed.error)

    def revoke(_consumer, partitions):
        commit()
        lose(_consumer, partitions)

    def lose(_consumer, partitions):
        report.remove(each.partition for each in partitions)

    def assign(_consumer, partitions):
        report.add(each.partition for each in partitions)

    consumer.subscribe([topic], on_assign=assign, on_revoke=revoke, on_lost=lose)
    while not ended.is_set():
        message = poll(consumer)
        # All that is here already is a batch.
        while message is not None:
            report.take(message.partition(), message.offset(), message.value())
            message = consumer.poll(0)
            if message is not None and message.error() is not None:
                protocol.log(f"poll: {message.error()}")
                message = None
        commit()
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
