// What the artifacts of an allocator are taken from: 4 MiB in use among 4 MiB that are free, in small blocks.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 16384 };
static void *blocks[BLOCKS];

int main(int argc, char **argv) {
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(496);
        memset(blocks[i], 1, 496);
    }
    for (int i = 0; i < BLOCKS; i += 2) free(blocks[i]);
    if (argc > 1 && strcmp(argv[1], "malloc_info") == 0) return malloc_info(0, stdout);
    return 0;
}
