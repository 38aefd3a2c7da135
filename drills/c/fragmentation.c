/* Drill: fragmentation of glibc's heap. Each answer is read into a large buffer that is then shrunk in place
   to the few bytes that are kept: the hole behind them is just too small for the next buffer. What is
   allocated stays small; what is free inside the heap grows and cannot be returned.
   Arguments are key=value: rate (KiB of growth per second), seed. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 64

static long arg(int argc, char **argv, const char *key, long otherwise) {
    size_t n = strlen(key);
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], key, n) == 0 && argv[i][n] == '=') return atol(argv[i] + n + 1);
    return otherwise;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    double rate = (double)arg(argc, argv, "rate", 1024) * 1024;
    size_t size = 4096 + (size_t)(arg(argc, argv, "seed", 1) % 64) * 64;
    double began = now(), grown = 0;
    struct timespec pause = {0, 5000000};
    for (;;) {
        while (grown < rate * (now() - began)) {
            char *answers[BATCH];
            for (int i = 0; i < BATCH; i++) {
                answers[i] = malloc(size);
                if (!answers[i]) return 1;
                memset(answers[i], 1, size);
            }
            for (int i = 0; i < BATCH; i++)
                if (!realloc(answers[i], 24)) return 1; /* kept for the session */
            grown += (double)BATCH * ((double)size + 16);
        }
        nanosleep(&pause, NULL);
    }
}
