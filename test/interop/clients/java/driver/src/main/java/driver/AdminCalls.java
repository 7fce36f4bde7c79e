package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonObject;
import com.eclipsesource.json.JsonValue;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Every administrative call of the protocol's list, in its order. */
final class AdminCalls {
    private static final int RECORDS = 10;

    private final Arguments args;
    private final String topic;
    private final TopicPartition partition;
    private final ConfigResource resource;

    AdminCalls(Arguments args) {
        this.args = args;
        this.topic = args.string("topic");
        this.partition = new TopicPartition(topic, 0);
        this.resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    void run() {
        try (Admin admin = Admin.create(args.connection())) {
            topicCalls(admin);
            recordCalls(admin);
            new GroupCalls(admin, args.string("group"), partition).run();
            clusterCalls(admin);
        }
    }

    interface Call {
        JsonValue run() throws Exception;
    }

    static void tell(String call, Call work) {
        JsonObject line = new JsonObject().add("call", call);
        try {
            Answers.tell(line.add("result", work.run()));
        } catch (Exception error) {
            error.printStackTrace();
            Answers.tell(line.add("error", Answers.messageOf(error)));
        }
    }

    private void topicCalls(Admin admin) {
        tell("createTopics", () -> {
            NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("retention.ms", "3600000"));
            admin.createTopics(List.of(wanted)).all().get();
            return Json.NULL;
        });
        tell("listTopics", () -> Answers.strings(new TreeSet<>(admin.listTopics().names().get())));
        tell("describeTopics", () -> {
            int partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
            return new JsonObject().add("partitions", partitions);
        });
        tell("describeConfigs", () -> config(admin, "retention.ms"));
        tell("alterConfigs", () -> {
            ConfigEntry entry = new ConfigEntry("max.message.bytes", "2000000");
            AlterConfigOp set = new AlterConfigOp(entry, AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
            return config(admin, "max.message.bytes");
        });
        tell("createPartitions", () -> {
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            return Json.NULL;
        });
    }

    private JsonObject config(Admin admin, String name) throws Exception {
        ConfigEntry entry = admin.describeConfigs(Set.of(resource)).all().get().get(resource).get(name);
        return new JsonObject().add(name, entry.value());
    }

    private void recordCalls(Admin admin) {
        tell("produce", () -> {
            produce();
            return Json.value(RECORDS);
        });
        tell("listOffsets", () -> new JsonObject()
            .add("earliest", offsetAt(admin, OffsetSpec.earliest()))
            .add("latest", offsetAt(admin, OffsetSpec.latest())));
        tell("listMaxTimestamp", () -> Json.value(offsetAt(admin, OffsetSpec.maxTimestamp())));
        tell("describeProducers", () -> Json.value(admin.describeProducers(List.of(partition))
            .partitionResult(partition).get().activeProducers().size()));
        tell("deleteRecords", () -> {
            RecordsToDelete before = RecordsToDelete.beforeOffset(4);
            admin.deleteRecords(Map.of(partition, before)).all().get();
            return Json.value(offsetAt(admin, OffsetSpec.earliest()));
        });
    }

    /** A millisecond apart, so that one of them is the latest. */
    private void produce() throws Exception {
        long now = System.currentTimeMillis();
        try (KafkaProducer<String, String> producer = Produce.open(args.connection())) {
            for (int i = 0; i < RECORDS; i++) {
                producer.send(new ProducerRecord<>(topic, 0, now + i, "admin-" + i, "value")).get();
            }
        }
    }

    private long offsetAt(Admin admin, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }

    private void clusterCalls(Admin admin) {
        tell("describeCluster", () -> new JsonObject().add("brokers", admin.describeCluster().nodes().get().size()));
        tell("describeAcls", () -> AclCalls.describe(admin));
        tell("createAcls", () -> AclCalls.create(admin, topic));
        tell("deleteTopics", () -> {
            admin.deleteTopics(List.of(topic)).all().get();
            return Json.NULL;
        });
    }
}
