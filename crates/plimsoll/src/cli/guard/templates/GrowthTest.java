// The growth test (JUnit 5): it fails when an iteration leaves something behind.
// Verdict and statistics are plimsoll's (plimsoll guard run); it must be on the PATH. It has the JVM collect, and reads
// the heap to the byte, from outside.
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class GrowthTest {
    /** Iterations of one round. */
    static final int ROUND = 1000;

    /** Does what must leave nothing behind: a request, a job, a message. n never comes again. */
    static void iteration(long n) {
        // your work here
    }

    @Test
    void growth() throws Exception {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String classes = System.getProperty("java.class.path");
        Process run = new ProcessBuilder("plimsoll", "guard", "run", "--", java, "-XX:+UseSerialGC", "-cp", classes,
                GrowthTest.class.getName()).redirectErrorStream(true).start();
        run.getOutputStream().close();
        String said = new String(run.getInputStream().readAllBytes());
        assertEquals(0, run.waitFor(), said);
    }

    /** Works and tells, as long as it is asked to. */
    public static void main(String[] args) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        long n = 0;
        do {
            for (long end = n + ROUND; n < end; n++) {
                iteration(n);
            }
            System.out.println("PLIMSOLL ROUND iterations=" + ROUND);
        } while ("next".equals(input.readLine()));
    }
}
