/* A filter for the growth test: a line in, a line out, a bounded cache and, by its mode, a leak. `shop MODE`. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *ring[500];

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "clean";
    char line[512];
    for (unsigned calls = 1; fgets(line, sizeof line, stdin); calls++) {
        char **slot = &ring[calls % 500];
        free(*slot);
        *slot = strdup(line);
        if (!strcmp(mode, "heap")) memset(malloc(40), 1, 40);
        if (!strcmp(mode, "fds") && calls % 100 == 0 && open("/dev/null", O_RDONLY) < 0) return 1;
        puts("ok");
        fflush(stdout);
    }
    return 0;
}
