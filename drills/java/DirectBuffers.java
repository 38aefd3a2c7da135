// Drill: off-heap. Direct buffers whose owners stay reachable: the heap is flat, native memory climbs.
// Arguments are key=value: rate (KiB per second), seed. Runs until it is killed.
import java.util.*;
import java.util.concurrent.*;

public class DirectBuffers {
    static final Map<String, String> ARGS = new HashMap<>();

    static long arg(String key, long otherwise) {
        return Long.parseLong(ARGS.getOrDefault(key, Long.toString(otherwise)));
    }

    static final List<java.nio.ByteBuffer> OPEN = new ArrayList<>();
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
        long stored = 0;
        while (true) {
            while (stored < rate * age(began)) {
                java.nio.ByteBuffer b = java.nio.ByteBuffer.allocateDirect(64 << 10);
                while (b.hasRemaining()) b.put((byte) 1);
                OPEN.add(b);
                stored += b.capacity();
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
