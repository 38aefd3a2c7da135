/* Drill: fragmentation of glibc's heap. Robson's pattern: fill with blocks, free every second one, go on
   with a larger size that fits no hole. What is live stays small; what is free inside the heap grows.
   Arguments are key=value: rate (KiB of growth per second), seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCKS 4000000

static void *kept[BLOCKS];

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
    size_t size = 200 + (size_t)(arg(argc, argv, "seed", 1) % 64) * 2;
    double began = now(), grown = 0;
    size_t n = 0, oldest = 0;
    struct timespec pause = {0, 5000000};
    for (;;) {
        while (grown < rate * (now() - began)) {
            /* One batch of a size: every tenth block stays, the rest is freed at once. The next batch is of a
               larger size, so that it fits none of the holes. */
            size_t batch = 0, first = n;
            while (batch < 256 * 1024 && n < BLOCKS) {
                kept[n] = malloc(size);
                if (!kept[n]) return 1;
                memset(kept[n], 1, size);
                batch += size + 16;
                n++;
            }
            for (size_t i = first; i < n; i++)
                if ((i - first) % 10 != 0) {
                    free(kept[i]);
                    kept[i] = NULL;
                }
            grown += (double)batch;
            /* The live set is bounded: what was kept long ago is released, in holes too small to reuse. */
            size = size * 11 / 10 + 16;
            if (size > 60000) size = 60000 + (n % 7) * 4096;
            if (n >= BLOCKS) return 0;
            (void)oldest;
        }
        nanosleep(&pause, NULL);
    }
}
