// Drill: retention. A static map keyed by the full request URL: every distinct URL stays for ever.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class UnboundedCache {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final ConcurrentHashMap<String, byte[]> METRICS = new ConcurrentHashMap<>();
    /** What is stored here escapes: the compiler may not leave the allocation out. */
    static volatile Object sink;

    public static void main(String[] args) throws Exception {
        for (String a : args) {
            String[] kv = a.split("=", 2);
            if (kv.length == 2) ARGS.put(kv[0], kv[1]);
        }
        final long rate = arg("rate", 1024) * 1024;
        final Random random = new Random(arg("seed", 1));
        final long began = System.nanoTime();
        long stored = 0, n = 0;
        while (true) {
            while (stored < rate * age(began)) {
                String url = "/users/" + n + "/orders?page=" + random.nextInt(1000) + "&session=" + random.nextLong();
                byte[] stats = new byte[500 + random.nextInt(500)];
                METRICS.put(url, stats);
                stored += stats.length + 2L * url.length() + 120;
                n++;
                // The request itself: garbage that a young collection takes away.
                byte[] body = new byte[2048];
                sink = body;
            }
            Thread.sleep(5);
        }
    }

    /** Seconds since the start. */
    static double age(long began) {
        return (System.nanoTime() - began) / 1e9;
    }
}
