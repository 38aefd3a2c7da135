// Drill: off-heap. Deflaters that are never ended: zlib state outside the heap, which native memory tracking does not see.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class NativeDeflater {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final List<java.util.zip.Deflater> OPEN = new ArrayList<>();
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
        // One deflater holds about 260 KiB of native memory once it has compressed something.
        final long each = 260 << 10;
        long stored = 0;
        byte[] in = new byte[64 << 10], out = new byte[64 << 10];
        random.nextBytes(in);
        while (true) {
            while (stored < rate * age(began)) {
                java.util.zip.Deflater d = new java.util.zip.Deflater();
                d.setInput(in);
                d.deflate(out);
                OPEN.add(d);
                stored += each;
                sink = new byte[4096];
            }
            Thread.sleep(10);
        }
    }

    /** Seconds since the start. */
    static double age(long began) {
        return (System.nanoTime() - began) / 1e9;
    }
}
