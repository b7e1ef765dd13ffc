#ifndef MU_TESTS_MEMORY_SCAN_H
#define MU_TESTS_MEMORY_SCAN_H
/*
 * Is a secret anywhere in the memory of this process? For tests that it was wiped: freed blocks,
 * stacks and the libraries' memory are all looked through.
 *
 * A secret is made from a seed, byte by byte, so that the one who searches does not hold a copy.
 */
#include <fcntl.h>
#include "tests/mu_test.h"

enum { MU_SCAN_SECRET_BYTES = 32, MU_SCAN_PIECE_BYTES = 1 << 20 };

/* Byte i of the secret of that seed: a letter. */
static inline char mu_scan_byte(unsigned seed, unsigned i)
{
    unsigned x = (seed * 2654435761u) ^ (i * 40503u + 7u) * 2246822519u;
    return (char)('a' + (x >> 16) % 26);
}

static inline void mu_scan_secret(unsigned seed, char out[MU_SCAN_SECRET_BYTES])
{
    for (unsigned i = 0; i < MU_SCAN_SECRET_BYTES; i++)
        out[i] = mu_scan_byte(seed, i);
}

static inline unsigned mu_scan_bytes(const char *data, size_t len, unsigned seed)
{
    unsigned found = 0;
    for (size_t at = 0; at + MU_SCAN_SECRET_BYTES <= len; at++) {
        unsigned same = 0;
        while (same < MU_SCAN_SECRET_BYTES && data[at + same] == mu_scan_byte(seed, same))
            same++;
        found += same == MU_SCAN_SECRET_BYTES;
    }
    return found;
}

static inline unsigned mu_scan_range(int memory, uintptr_t from, uintptr_t end, unsigned seed)
{
    static char piece[MU_SCAN_PIECE_BYTES]; /* itself not looked at: it mirrors the rest */
    uintptr_t own = (uintptr_t)piece;
    unsigned found = 0;
    while (from < end) {
        size_t want = end - from < sizeof piece ? end - from : sizeof piece;
        if (from < own && from + want > own)
            want = own - from;
        if (from >= own && from < own + sizeof piece) {
            from = own + sizeof piece;
            continue;
        }
        ssize_t got = pread(memory, piece, want, (off_t)from);
        if (got <= 0)
            return found;
        found += mu_scan_bytes(piece, (size_t)got, seed);
        bool last = (size_t)got < sizeof piece || from + (size_t)got >= end;
        /* A secret may lie across two pieces. */
        from += last ? (size_t)got : (size_t)got - MU_SCAN_SECRET_BYTES + 1;
    }
    return found;
}

/* How often the secret of that seed is in memory that can be written. */
static inline unsigned mu_scan_memory(unsigned seed)
{
    char line[512], rights[8];
    unsigned found = 0;
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_true(memory >= 0);
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, end;
        if (sscanf(line, "%lx-%lx %7s", &from, &end, rights) != 3)
            continue;
        /* Larger ones are the sanitizers' shadows. */
        if (rights[0] == 'r' && rights[1] == 'w' && end - from < (1ul << 30))
            found += mu_scan_range(memory, from, end, seed);
    }
    (void)fclose(maps);
    (void)close(memory);
    return found;
}

#endif
