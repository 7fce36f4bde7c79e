package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonArray;
import com.eclipsesource.json.JsonObject;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.CompletionException;
import org.apache.kafka.common.TopicPartition;

/** stdout: one JSON object a line. */
final class Answers {
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);

    private Answers() {}

    /** One write a line: a reader, or a kill, never sees half of one. */
    static synchronized void tell(JsonObject line) {
        byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
        OUT.write(bytes, 0, bytes.length);
        OUT.flush();
    }

    /** Futures wrap what really happened. */
    static String messageOf(Throwable error) {
        Throwable cause = error;
        while ((cause instanceof ExecutionException || cause instanceof CompletionException) && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause.getClass().getSimpleName() + ": " + cause.getMessage();
    }

    static JsonArray numbersOf(Collection<TopicPartition> partitions) {
        JsonArray numbers = new JsonArray();
        partitions.stream().mapToInt(TopicPartition::partition).sorted().forEach(numbers::add);
        return numbers;
    }

    static JsonArray strings(Iterable<String> texts) {
        JsonArray array = new JsonArray();
        for (String text : texts) array.add(Json.value(text));
        return array;
    }
}
