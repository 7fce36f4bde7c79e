package driver;

import com.eclipsesource.json.JsonObject;
import com.eclipsesource.json.JsonValue;
import java.util.Properties;

/** The one JSON argument of a command. */
final class Arguments {
    private final JsonObject json;

    Arguments(JsonObject json) {
        this.json = json;
    }

    boolean has(String name) {
        return json.get(name) != null;
    }

    String string(String name) {
        return required(name).asString();
    }

    String string(String name, String otherwise) {
        return json.getString(name, otherwise);
    }

    int number(String name) {
        return required(name).asInt();
    }

    int number(String name, int otherwise) {
        return json.getInt(name, otherwise);
    }

    long wide(String name) {
        return required(name).asLong();
    }

    boolean flag(String name) {
        return required(name).asBoolean();
    }

    private JsonValue required(String name) {
        JsonValue value = json.get(name);
        if (value == null) throw new IllegalArgumentException("the argument " + name + " is missing");
        return value;
    }

    /** How to reach the hub: what every client of the library is configured with. */
    Properties connection() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", string("bootstrap"));
        settings.put("security.protocol", (has("sasl") ? "SASL_" : "") + (has("tls") ? "SSL" : "PLAINTEXT"));
        if (has("tls")) {
            settings.put("ssl.truststore.type", "PEM");
            settings.put("ssl.truststore.location", json.get("tls").asObject().getString("caFile", ""));
        }
        if (has("sasl")) addSasl(settings, new Arguments(json.get("sasl").asObject()));
        return settings;
    }

    private static void addSasl(Properties settings, Arguments sasl) {
        String mechanism = sasl.string("mechanism");
        String module = mechanism.equals("PLAIN") ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
        settings.put("sasl.mechanism", mechanism);
        settings.put("sasl.jaas.config", "org.apache.kafka.common.security." + module + " required"
            + " username=" + quoted(sasl.string("username")) + " password=" + quoted(sasl.string("password")) + ";");
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
