package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonObject;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Calls about a consumer group without members. */
final class GroupCalls {
    private final Admin admin;
    private final String group;
    private final TopicPartition partition;

    GroupCalls(Admin admin, String group, TopicPartition partition) {
        this.admin = admin;
        this.group = group;
        this.partition = partition;
    }

    void run() {
        AdminCalls.tell("commitOffsets", () -> {
            admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(7))).all().get();
            return Json.NULL;
        });
        AdminCalls.tell("listGroups", () -> Json.value(
            admin.listConsumerGroups().all().get().stream().anyMatch(found -> found.groupId().equals(group))));
        AdminCalls.tell("describeGroups", () -> {
            ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            return new JsonObject().add("state", found.state().toString()).add("members", found.members().size());
        });
        AdminCalls.tell("listGroupOffsets", () -> {
            JsonObject offsets = new JsonObject();
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
                .forEach((of, at) -> offsets.add(Integer.toString(of.partition()), at.offset()));
            return offsets;
        });
        AdminCalls.tell("deleteGroupOffsets", () -> {
            admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
            return Json.NULL;
        });
        AdminCalls.tell("deleteGroups", () -> {
            admin.deleteConsumerGroups(List.of(group)).all().get();
            return Json.NULL;
        });
    }
}
