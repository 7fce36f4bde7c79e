package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;

/** All partitions from the beginning, without a group. */
final class Consume {
    static final Duration POLL = Duration.ofMillis(200);

    private final Arguments args;

    Consume(Arguments args) {
        this.args = args;
    }

    void run() {
        int left = args.number("count");
        try (KafkaConsumer<String, String> consumer = open(args.connection())) {
            List<TopicPartition> partitions = partitionsOf(consumer, args.string("topic"));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (left > 0) {
                for (ConsumerRecord<String, String> record : consumer.poll(POLL)) {
                    if (left-- > 0) Answers.tell(describe(record));
                }
            }
        }
    }

    static KafkaConsumer<String, String> open(Properties settings) {
        settings.putIfAbsent("enable.auto.commit", "false");
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static List<TopicPartition> partitionsOf(KafkaConsumer<String, String> consumer, String topic) {
        return consumer.partitionsFor(topic).stream().map(info -> new TopicPartition(topic, info.partition())).toList();
    }

    private static JsonObject describe(ConsumerRecord<String, String> record) {
        JsonObject headers = new JsonObject();
        for (Header header : record.headers()) {
            headers.add(header.key(), new String(header.value(), StandardCharsets.UTF_8));
        }
        return new JsonObject()
            .add("partition", record.partition())
            .add("offset", record.offset())
            .add("timestamp", record.timestamp())
            .add("key", Json.value(record.key()))
            .add("value", Json.value(record.value()))
            .add("headers", headers);
    }
}
