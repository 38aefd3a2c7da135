/* Drill: retention in C. A buffer per request that no path frees.
   Arguments are key=value: rate (KiB per second), seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    srand((unsigned)arg(argc, argv, "seed", 1));
    double began = now(), stored = 0;
    struct timespec pause = {0, 5000000};
    for (;;) {
        while (stored < rate * (now() - began)) {
            size_t size = 200 + (size_t)(rand() % 1800);
            char *leaked = malloc(size);
            if (!leaked) return 1;
            memset(leaked, 1, size);
            stored += (double)size + 16;
            char *request = malloc(4096); /* freed, as it should be */
            if (request) memset(request, 2, 4096);
            free(request);
        }
        nanosleep(&pause, NULL);
    }
}
