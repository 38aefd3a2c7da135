// Drill for the reader of collection logs: a program whose floor is known. It leaks `leak` KiB per second, holds a ring
// of objects that live for a while, and makes garbage. Once a second it prints what it holds: the truth.
// Arguments are key=value: leak (KiB/s), churn (KiB/s), ring (MiB), seconds, seed.
import java.util.*;

public class GcFloor {
    static final Map<String, String> ARGS = new HashMap<>();
    /** Garbage of one round, bytes. */
    static final long ROUND = 4 << 20;
    static final List<byte[]> LEAK = new ArrayList<>();
    /** What is stored here escapes: the compiler may not leave the allocation out. */
    static volatile Object sink;

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    public static void main(String[] args) throws Exception {
        for (String a : args) {
            String[] kv = a.split("=", 2);
            if (kv.length == 2) ARGS.put(kv[0], kv[1]);
        }
        final long leak = arg("leak", 3072) * 1024, churn = arg("churn", 65536) * 1024;
        final long seconds = arg("seconds", 20);
        final Random random = new Random(arg("seed", 1));
        final byte[][] ring = new byte[(int) arg("ring", 14) * 512][];
        final long began = System.nanoTime();
        long leaked = 0, made = 0, told = 0;
        double age = 0;
        while ((age = (System.nanoTime() - began) / 1e9) < seconds) {
            while (leaked < leak * age) {
                byte[] b = new byte[512 + random.nextInt(1024)];
                LEAK.add(b);
                // The head, what the length is rounded up to, and the list's own room (a half more than it needs at most).
                leaked += (b.length + 16 + 7) / 8 * 8 + 5;
            }
            // Garbage that a busy machine is late with waits for the next round: the leak, which is the truth, is in time.
            for (long most = made + ROUND; made < Math.min(churn * age, most); ) {
                byte[] b = new byte[1024 + random.nextInt(2048)];
                sink = b;
                made += b.length;
                // One object in eight lives for as long as the ring turns.
                if (random.nextInt(8) == 0) ring[random.nextInt(ring.length)] = b;
            }
            if (age >= told) {
                System.out.printf(Locale.ROOT, "truth %.3f %d%n", age, leaked);
                told++;
            }
            if (made >= churn * age) Thread.sleep(2);
        }
    }
}
