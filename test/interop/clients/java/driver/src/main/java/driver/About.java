package driver;

import com.eclipsesource.json.JsonObject;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Properties;

/** What the library is and has. */
final class About {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final List<String> MECHANISMS = List.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512");

    private About() {}

    static void run() throws IOException {
        String version = version();
        Answers.tell(new JsonObject()
            .add("client", "Java kafka-clients " + version.replaceFirst("\\..*", ""))
            .add("version", version)
            .add("codecs", Answers.strings(CODECS))
            .add("mechanisms", Answers.strings(MECHANISMS))
            .add("without", new JsonObject()));
    }

    /** As the library's jar has it. */
    private static String version() throws IOException {
        Properties found = new Properties();
        try (InputStream file = About.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            found.load(file);
        }
        return found.getProperty("version");
    }
}
