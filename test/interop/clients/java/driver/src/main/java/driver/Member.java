package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonArray;
import com.eclipsesource.json.JsonObject;
import java.io.IOException;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.WakeupException;

/** A member of a group, until stdin ends. */
final class Member implements ConsumerRebalanceListener {
    private final Arguments args;
    private final KafkaConsumer<String, String> consumer;
    /** Written out and not committed yet. */
    private final Map<TopicPartition, OffsetAndMetadata> pending = new HashMap<>();
    private Set<TopicPartition> assigned = Set.of();
    private volatile boolean isStopped = false;

    Member(Arguments args) {
        this.args = args;
        this.consumer = Consume.open(settings(args));
    }

    private static Properties settings(Arguments args) {
        Properties settings = args.connection();
        settings.put("group.id", args.string("group"));
        settings.put("auto.offset.reset", "earliest");
        if (args.has("instanceId")) settings.put("group.instance.id", args.string("instanceId"));
        if (args.string("protocol", "classic").equals("consumer")) {
            // Timeouts and heartbeats are the broker's to decide.
            settings.put("group.protocol", "consumer");
        } else if (args.has("sessionTimeoutMs")) {
            settings.put("session.timeout.ms", args.number("sessionTimeoutMs"));
            settings.put("heartbeat.interval.ms", args.number("sessionTimeoutMs") / 10);
        }
        return settings;
    }

    void run() {
        Thread input = new Thread(this::waitForInputEnd, "stdin");
        input.setDaemon(true);
        input.start();
        try (consumer) {
            consumer.subscribe(List.of(args.string("topic")), this);
            work();
        }
        Answers.tell(new JsonObject().add("left", true));
    }

    private void work() {
        try {
            while (!isStopped) {
                for (ConsumerRecord<String, String> record : consumer.poll(Consume.POLL)) take(record);
                commit();
            }
        } catch (WakeupException stopped) {
            // The documented way out of poll; closing commits nothing by itself.
            commit();
        }
    }

    private void take(ConsumerRecord<String, String> record) {
        JsonArray line = new JsonArray().add(record.partition()).add(record.offset()).add(Json.value(record.value()));
        Answers.tell(new JsonObject().add("record", line));
        TopicPartition partition = new TopicPartition(record.topic(), record.partition());
        pending.put(partition, new OffsetAndMetadata(record.offset() + 1, record.leaderEpoch(), ""));
    }

    private void commit() {
        if (pending.isEmpty()) return;
        try {
            consumer.commitSync(pending);
        } catch (CommitFailedException | RebalanceInProgressException | RetriableException error) {
            // The next poll joins again, or another commit follows.
            System.err.println("commit: " + error);
            return;
        }
        JsonObject committed = new JsonObject();
        pending.forEach((partition, next) -> committed.add(Integer.toString(partition.partition()), next.offset()));
        Answers.tell(new JsonObject().add("committed", committed));
        pending.clear();
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        tellAssignment(consumer.assignment());
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        onPartitionsLost(partitions);
    }

    /** They are another member's already: there is nothing to commit. */
    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        partitions.forEach(pending::remove);
        Set<TopicPartition> kept = new HashSet<>(consumer.assignment());
        kept.removeAll(partitions);
        tellAssignment(kept);
    }

    private void tellAssignment(Set<TopicPartition> now) {
        if (now.equals(assigned)) return;
        assigned = new HashSet<>(now);
        Answers.tell(new JsonObject().add("assigned", Answers.numbersOf(assigned)));
    }

    private void waitForInputEnd() {
        try {
            while (System.in.read() >= 0) continue;
        } catch (IOException error) {
            System.err.println("stdin: " + error);
        }
        isStopped = true;
        consumer.wakeup();
    }
}
