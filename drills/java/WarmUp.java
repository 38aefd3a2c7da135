// Drill: healthy. Classes, pools and first requests fill memory that then stays: a plateau, exponentially reached.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class WarmUp {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final List<byte[]> POOL = new ArrayList<>();
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
        // 60 MiB within a time constant of 12 s, whatever the rate; then steady garbage at the rate.
        final double full = 60 << 20;
        double pooled = 0;
        long made = 0;
        while (true) {
            double target = full * (1 - Math.exp(-age(began) / 12.0));
            while (pooled < target) {
                byte[] b = new byte[32 << 10];
                POOL.add(b);
                pooled += b.length;
            }
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
