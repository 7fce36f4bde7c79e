package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonObject;
import com.eclipsesource.json.JsonValue;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.common.TopicPartition;

/** Where the library finds a time, and what it reads from there. */
final class SeekTimestamp {
    private final Arguments args;

    SeekTimestamp(Arguments args) {
        this.args = args;
    }

    void run() {
        long timestamp = args.wide("timestamp");
        try (KafkaConsumer<String, String> consumer = Consume.open(args.connection())) {
            List<TopicPartition> partitions = Consume.partitionsOf(consumer, args.string("topic"));
            Map<TopicPartition, OffsetAndTimestamp> found = consumer.offsetsForTimes(
                partitions.stream().collect(Collectors.toMap(partition -> partition, partition -> timestamp)));
            Map<TopicPartition, ConsumerRecord<String, String>> firsts = readFirsts(consumer, found);
            for (TopicPartition partition : partitions) tell(partition, found.get(partition), firsts.get(partition));
        }
    }

    private static Map<TopicPartition, ConsumerRecord<String, String>> readFirsts(
            KafkaConsumer<String, String> consumer, Map<TopicPartition, OffsetAndTimestamp> found) {
        List<TopicPartition> hits = found.keySet().stream().filter(partition -> found.get(partition) != null).toList();
        Map<TopicPartition, ConsumerRecord<String, String>> firsts = new HashMap<>();
        consumer.assign(hits);
        for (TopicPartition partition : hits) consumer.seek(partition, found.get(partition).offset());
        while (firsts.size() < hits.size()) {
            for (ConsumerRecord<String, String> record : consumer.poll(Consume.POLL)) {
                firsts.putIfAbsent(new TopicPartition(record.topic(), record.partition()), record);
            }
        }
        return firsts;
    }

    private static void tell(TopicPartition partition, OffsetAndTimestamp at, ConsumerRecord<String, String> first) {
        JsonValue read = first == null
            ? Json.NULL
            : new JsonObject().add("offset", first.offset()).add("timestamp", first.timestamp());
        Answers.tell(new JsonObject()
            .add("partition", partition.partition())
            .add("offset", at == null ? Json.NULL : Json.value(at.offset()))
            .add("first", read));
    }
}
