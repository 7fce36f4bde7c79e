package driver;

import com.eclipsesource.json.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends numbered records, in order. */
final class Produce {
    private static final int GIVE_UP_MS = 60_000;
    private static final int REQUEST_TIMEOUT_MS = 30_000;
    /** A batch's header, and what one of our records takes at the most: the library's limit is in bytes. */
    private static final int BATCH_HEADER_BYTES = 61;
    private static final int RECORD_BYTES = 120;

    private final Arguments args;

    Produce(Arguments args) {
        this.args = args;
    }

    void run() {
        int count = args.number("count");
        AtomicInteger delivered = new AtomicInteger();
        try (KafkaProducer<String, String> producer = open(settings())) {
            for (int i = 0; i < count; i++) {
                producer.send(record(args, i), (metadata, error) -> {
                    if (error == null) delivered.incrementAndGet();
                    else System.err.println("not delivered: " + error);
                });
            }
        }
        Answers.tell(new JsonObject().add("delivered", delivered.get()));
    }

    static KafkaProducer<String, String> open(Properties settings) {
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static ProducerRecord<String, String> record(Arguments args, int i) {
        Integer partition = args.has("partition") ? args.number("partition") : null;
        return record(args.string("topic"), partition, args.string("prefix"), i);
    }

    static ProducerRecord<String, String> record(String topic, Integer partition, String prefix, int i) {
        String key = prefix + "-" + i;
        ProducerRecord<String, String> record =
            new ProducerRecord<>(topic, partition, key, key + "-" + "x".repeat(80));
        record.headers().add("n", Integer.toString(i).getBytes(StandardCharsets.UTF_8));
        return record;
    }

    private Properties settings() {
        Properties settings = args.connection();
        settings.put("acks", Integer.toString(args.number("acks")));
        settings.put("enable.idempotence", args.flag("idempotent"));
        settings.put("compression.type", args.string("codec"));
        settings.put("request.timeout.ms", REQUEST_TIMEOUT_MS);
        settings.put("delivery.timeout.ms", GIVE_UP_MS);
        settings.put("max.block.ms", GIVE_UP_MS);
        if (args.has("perRequest")) limitBatches(settings, args.number("perRequest"));
        if (args.has("backoffMs")) {
            for (String name : new String[] {"reconnect.backoff", "retry.backoff"}) {
                settings.put(name + ".ms", args.number("backoffMs"));
                settings.put(name + ".max.ms", args.number("backoffMs"));
            }
        }
        return settings;
    }

    private static void limitBatches(Properties settings, int records) {
        // 0 is the documented way to have no batching at all.
        settings.put("batch.size", records == 1 ? 0 : BATCH_HEADER_BYTES + records * RECORD_BYTES);
        settings.put("linger.ms", records == 1 ? 0 : 5);
    }
}
