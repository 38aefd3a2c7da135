// Drill: healthy. Requests make garbage, a collection takes it away; the floor is flat.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class Sawtooth {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final List<byte[]> LIVE = new ArrayList<>();
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
        for (int i = 0; i < 24; i++) LIVE.add(new byte[1 << 20]);
        long made = 0;
        while (true) {
            while (made < rate * age(began)) {
                byte[] b = new byte[1024 + random.nextInt(2048)];
                sink = b;
                made += b.length;
            }
            Thread.sleep(5);
        }
    }

    /** Seconds since the start. */
    static double age(long began) {
        return (System.nanoTime() - began) / 1e9;
    }
}
