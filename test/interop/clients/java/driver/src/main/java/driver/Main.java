package driver;

import com.eclipsesource.json.Json;
import com.eclipsesource.json.JsonObject;

/** DRIVER COMMAND JSON, as test/interop/clients/README.md has it. */
public final class Main {
    private Main() {}

    public static void main(String[] args) {
        String name = args.length > 0 ? args[0] : "";
        try {
            JsonObject json = Json.parse(args.length > 1 ? args[1] : "{}").asObject();
            run(name, new Arguments(json));
        } catch (Exception error) {
            error.printStackTrace();
            Answers.tell(new JsonObject().add("error", Answers.messageOf(error)));
            end(1);
        }
        end(0);
    }

    private static void run(String name, Arguments args) throws Exception {
        switch (name) {
            case "about" -> About.run();
            case "produce" -> new Produce(args).run();
            case "consume" -> new Consume(args).run();
            case "seek-timestamp" -> new SeekTimestamp(args).run();
            case "member" -> new Member(args).run();
            case "admin" -> new AdminCalls(args).run();
            default -> throw new IllegalArgumentException("there is no command " + name);
        }
    }

    /** A thread that still reads stdin must not keep the process. */
    private static void end(int code) {
        System.out.flush();
        System.exit(code);
    }
}
