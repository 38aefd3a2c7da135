// Drill: accumulation. A pool per request that is never shut down: threads pile up, each with its stack.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class ThreadLeak {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final List<ExecutorService> POOLS = new ArrayList<>();
    /** What is stored here escapes: the compiler may not leave the allocation out. */
    static volatile Object sink;

    /** Touches some stack, then waits for work that never comes. */
    static long dig(int depth) {
        return depth == 0 ? 1 : dig(depth - 1) + depth;
    }

    public static void main(String[] args) throws Exception {
        for (String a : args) {
            String[] kv = a.split("=", 2);
            if (kv.length == 2) ARGS.put(kv[0], kv[1]);
        }
        final long rate = arg("rate", 1024) * 1024;
        final Random random = new Random(arg("seed", 1));
        final long began = System.nanoTime();
        // One thread with a touched stack costs about 90 KiB.
        final long each = 90 << 10;
        long stored = 0;
        while (true) {
            while (stored < rate * age(began)) {
                ExecutorService pool = Executors.newFixedThreadPool(1);
                pool.submit(() -> { sink = dig(600); });
                POOLS.add(pool);
                stored += each;
            }
            Thread.sleep(10);
        }
    }

    /** Seconds since the start. */
    static double age(long began) {
        return (System.nanoTime() - began) / 1e9;
    }
}
