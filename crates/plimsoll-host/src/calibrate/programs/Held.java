// Holds a heap of a given size (MiB) of small objects, and tells for how long it stood still.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;

public class Held {
    static final Map<Integer, byte[]> KEPT = new HashMap<>();
    /** Bytes of an entry of the map with its key and its value. */
    static final long ENTRY = 88;
    static long longest;
    static long since = System.nanoTime();
    static int laps;

    static synchronized int begin() {
        since = System.nanoTime();
        return laps;
    }

    /** A beat that a lap has come between is in that lap already. */
    static synchronized void end(int lap) {
        if (lap == laps) longest = Math.max(longest, System.nanoTime() - since);
    }

    static synchronized long lap() {
        long answer = Math.max(longest, System.nanoTime() - since);
        laps++;
        longest = 0;
        return answer / 1000;
    }

    public static void main(String[] args) throws Exception {
        int entries = (int) ((Long.parseLong(args[0]) << 20) / ENTRY);
        for (int i = 0; i < entries; i++) KEPT.put(i, new byte[16]);
        System.gc();
        Thread beat = new Thread(() -> {
            try {
                while (true) {
                    int lap = begin();
                    Thread.sleep(1);
                    end(lap);
                }
            } catch (InterruptedException e) {
                // It ends with the program.
            }
        });
        beat.setDaemon(true);
        beat.start();
        Runtime r = Runtime.getRuntime();
        System.out.println("ready " + (r.totalMemory() - r.freeMemory()));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        while (in.readLine() != null) System.out.println("lap " + lap());
    }
}
