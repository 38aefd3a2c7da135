// Drill: fragmentation. Ever larger bursts of large arrays over a small, flat live set: the collector commits for each burst and does not return it.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class Fragmentation {
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
        for (int i = 0; i < 40; i++) LIVE.add(new byte[1 << 20]);
        while (true) {
            // Live at once in this burst; garbage right after it. The peak grows with time.
            long peak = (long) (rate * age(began));
            List<byte[]> burst = new ArrayList<>();
            for (long held = 0; held < peak; ) {
                byte[] b = new byte[(1 << 20) + random.nextInt(3 << 20)];
                burst.add(b);
                held += b.length;
            }
            sink = burst;
            burst = null;
            // Ordinary requests until the next burst: young collections that show the floor.
            for (int i = 0; i < 60; i++) {
                for (int k = 0; k < 40; k++) {
                    byte[] small = new byte[64 << 10];
                    sink = small;
                }
                Thread.sleep(25);
            }
        }
    }

    /** Seconds since the start. */
    static double age(long began) {
        return (System.nanoTime() - began) / 1e9;
    }
}
