/* A filter for the growth test: a line in, a line out, a bounded cache and, by its mode, a leak. `shop MODE`. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char *ring[500];

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "clean";
    char line[512];
    for (unsigned calls = 1; fgets(line, sizeof line, stdin); calls++) {
        char **slot = &ring[calls % 500];
        free(*slot);
        *slot = strdup(line);
        if (!strcmp(mode, "heap")) memset(malloc(40), 1, 40);
        if (!strcmp(mode, "heap16") && calls % 2 == 0) memset(malloc(24), 1, 24);
        if (!strcmp(mode, "rss") && calls % 64 == 0) {
            void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (page == MAP_FAILED) return 1;
            memset(page, 1, 4096);
        }
        if (!strcmp(mode, "warm") && calls % 1000 == 0) {
            /* Comes to rest at 1 MB, slowly. */
            size_t bytes = 1e6 * (exp(-(calls / 1000 - 1.0) / 8) - exp(-(calls / 1000.0) / 8));
            memset(malloc(bytes), 1, bytes);
        }
        if (!strcmp(mode, "fds") && calls % 100 == 0 && open("/dev/null", O_RDONLY) < 0) return 1;
        puts("ok");
        fflush(stdout);
    }
    return 0;
}
