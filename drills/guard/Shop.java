import com.sun.net.httpserver.HttpServer;
import java.lang.reflect.Field;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** A service for the growth test: a bounded cache and, by its mode, a leak. `Shop MODE PORT`. */
public class Shop {
    static final String[] RING = new String[500];
    static final Map<String, Integer> SEEN = new ConcurrentHashMap<>();
    static final List<byte[]> KEPT = new ArrayList<>(1 << 20);
    static final AtomicInteger CALLS = new AtomicInteger();

    public static void main(String[] args) throws Exception {
        String mode = args[0];
        // Without it each answer waits 40 ms for a packet.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])), 64);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/u/", exchange -> {
            int call = CALLS.incrementAndGet();
            String key = exchange.getRequestURI().getPath();
            RING[call % RING.length] = call + key;
            switch (mode) {
                case "keys" -> SEEN.merge(key, 1, Integer::sum);
                case "heap" -> keep();
                case "native" -> memory(200);
                case "threads" -> thread(call);
                default -> { }
            }
            byte[] answer = "ok".getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }

    static synchronized void keep() {
        KEPT.add(new byte[16]);
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
