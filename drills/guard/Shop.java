import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Field;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A service for the growth test: a bounded cache and, by its mode, a leak. `Shop MODE PORT`; without a port it calls
 * itself, and tells of its rounds.
 */
public class Shop {
    static final String[] RING = new String[500];
    static final Map<String, Integer> SEEN = new ConcurrentHashMap<>();
    static final List<byte[]> KEPT = new ArrayList<>(1 << 20);
    static final AtomicInteger CALLS = new AtomicInteger();

    static final int ROUND = 1000;

    public static void main(String[] args) throws Exception {
        String mode = args[0];
        if (args.length == 1) {
            rounds(mode);
            return;
        }
        // Without it each answer waits 40 ms for a packet.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])), 64);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/u/", exchange -> {
            call(mode, exchange.getRequestURI().getPath());
            byte[] answer = "ok".getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }

    static void call(String mode, String key) {
        int call = CALLS.incrementAndGet();
        RING[call % RING.length] = call + key;
        switch (mode) {
            case "keys" -> SEEN.merge(key, 1, Integer::sum);
            // With the head of an array: 16, 32 and 64 B.
            case "heap16" -> keep(0);
            case "heap" -> keep(16);
            case "rss" -> keep(48);
            case "native" -> memory(200);
            case "threads" -> thread(call);
            default -> { }
        }
    }

    /** Calls and tells, as long as it is asked to. "warm" comes to rest at 1 MB, slowly. */
    static void rounds(String mode) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        int n = 0;
        do {
            for (int i = 0; i < ROUND; i++) {
                call(mode, "/u/" + CALLS.get());
            }
            if (mode.equals("warm")) {
                keep((int) (1e6 * (Math.exp(-n / 8.0) - Math.exp(-(n + 1) / 8.0))));
            }
            n++;
            // The heap is read from outside; all resident memory only where the heap is told from here.
            String heap = mode.startsWith("rss") ? " heap=" + live() : "";
            System.out.println("PLIMSOLL ROUND iterations=" + ROUND + heap);
        } while ("next".equals(input.readLine()));
    }

    static long live() {
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 2; i++) {
            System.gc();
            least = Math.min(least, ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
        }
        return least;
    }

    static synchronized void keep(int bytes) {
        KEPT.add(new byte[bytes]);
    }

    static void memory(long bytes) {
        try {
            Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            sun.misc.Unsafe unsafe = (sun.misc.Unsafe) field.get(null);
            unsafe.setMemory(unsafe.allocateMemory(bytes), bytes, (byte) 1);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    static void thread(int call) {
        if (call % 200 == 0) {
            Thread thread = new Thread(() -> {
                try {
                    Thread.sleep(Long.MAX_VALUE);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }, "forgotten-" + call);
            thread.setDaemon(true);
            thread.start();
        }
    }
}
