// What the artifacts of a JVM are taken from: a map that holds 20,000 entries, and eleven threads that wait for one lock.
import java.util.*;
import java.util.concurrent.*;

public class Held {
    static final Map<String, byte[]> CACHE = new HashMap<>();

    public static void main(String[] args) throws Exception {
        Object lock = new Object();
        ExecutorService pool = Executors.newFixedThreadPool(12);
        for (int i = 0; i < 12; i++) {
            pool.submit(() -> {
                synchronized (lock) {
                    Thread.sleep(600_000);
                    return null;
                }
            });
        }
        for (int i = 0; i < 20_000; i++) CACHE.put("user:" + i, new byte[200]);
        System.out.println("ready");
        Thread.sleep(600_000);
    }
}
