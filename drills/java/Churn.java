// Drill: churn. Garbage made as fast as one core can: the collector runs without pause over a flat floor.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class Churn {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final byte[][] SLOTS = new byte[256][];
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
        long made = 0;
        while (true) {
            for (int i = 0; i < 200; i++) {
                byte[] b = new byte[2048 + random.nextInt(8192)];
                SLOTS[i & 255] = b;
                sink = b;
                made += b.length;
            }
            // rate is the garbage per second here.
            double ahead = made / (double) rate - age(began);
            if (ahead > 0.002) Thread.sleep((long) (ahead * 1000));
        }
    }

    /** Seconds since the start. */
    static double age(long began) {
        return (System.nanoTime() - began) / 1e9;
    }
}
