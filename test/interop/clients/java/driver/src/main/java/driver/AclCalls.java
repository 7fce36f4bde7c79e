package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonValue;
import java.util.List;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Calls about who may do what. */
final class AclCalls {
    private AclCalls() {}

    static JsonValue describe(Admin admin) throws Exception {
        return Json.value(admin.describeAcls(AclBindingFilter.ANY).values().get().size());
    }

    static JsonValue create(Admin admin, String topic) throws Exception {
        ResourcePattern pattern = new ResourcePattern(ResourceType.TOPIC, topic, PatternType.LITERAL);
        AccessControlEntry entry =
            new AccessControlEntry("User:someone", "*", AclOperation.READ, AclPermissionType.ALLOW);
        admin.createAcls(List.of(new AclBinding(pattern, entry))).all().get();
        return Json.NULL;
    }
}
