// Holds SIZE MiB and so many threads; `burn RATE TOTAL` (MiB a second, MiB) then takes more at that rate, up to that much.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

public class Burner {
    static final Map<Integer, byte[]> KEPT = new HashMap<>();
    static final List<byte[]> BURNT = new ArrayList<>();

    static void burn(double rate, double total) {
        long began = System.nanoTime();
        try {
            for (long n = 0; n < total * 4; Thread.sleep(2)) {
                double due = Math.min((System.nanoTime() - began) / 1e9 * rate, total) * 4;
                for (; n < due; n++) {
                    byte[] piece = new byte[256 << 10];
                    java.util.Arrays.fill(piece, (byte) 1);
                    BURNT.add(piece);
                }
            }
        } catch (InterruptedException e) {
            // It ends with the program.
        }
    }

    public static void main(String[] args) throws Exception {
        int entries = (int) ((Long.parseLong(args[0]) << 20) / 88);
        for (int i = 0; i < entries; i++) KEPT.put(i, new byte[16]);
        int threads = args.length > 1 ? Integer.parseInt(args[1]) : 0;
        for (int i = 0; i < threads; i++) {
            Thread waiting = new Thread(() -> {
                try {
                    Thread.sleep(Long.MAX_VALUE);
                } catch (InterruptedException e) {
                    // It ends with the program.
                }
            }, "worker-" + i);
            waiting.setDaemon(true);
            waiting.start();
        }
        // Classes of which there is one instance each, as many as a real program has.
        List<Object> lone = new ArrayList<>();
        for (int i = Integer.getInteger("classes", 0); i > 0; i--) {
            ClassLoader loader = new ClassLoader(Burner.class.getClassLoader()) {};
            lone.add(Proxy.newProxyInstance(loader, new Class<?>[] {Runnable.class}, (proxy, method, given) -> null));
        }
        System.gc();
        System.out.println("ready " + args[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("burn")) {
                double rate = Double.parseDouble(words[1]), total = Double.parseDouble(words[2]);
                Thread burning = new Thread(() -> burn(rate, total));
                burning.setDaemon(true);
                burning.start();
            }
            System.out.println("lap " + (lone.size() < 0 ? 1 : 0));
        }
    }
}
