/* HTTP/1.1 as the server reads it: nothing crashes or leaks, and how the bytes were cut into reads
 * changes nothing in the answer.
 *
 * covers: informer/http_server_h1.c informer/http_exchange.c
 * covers: informer/http_server.c:detect,mu_server_conn_input,mu_server_conn_output */
#include "tests/fuzz/http_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct fuzz_server *f, const uint8_t *data, size_t size, size_t step)
{
    fuzz_begin(f, data);
    for (size_t at = FUZZ_HEAD; at < size; at += step) {
        size_t len = size - at < step ? size - at : step;
        mu_server_conn_input(f->conn, data + at, len);
        fuzz_pull(f);
    }
    if ((f->options & FUZZ_EOF) == 0)
        fuzz_release(f);
    fuzz_after(f);
    fuzz_release(f);
    mu_mem_debug_set((struct mu_mem_debug){0}); /* the other run counts from the start */
}

/* Bytes of out up to a refusal that ends the connection. Its status may differ: the parser shows a
 * field cut in two as pieces, so it may be too large (431) before it is seen to be bad (400). */
static size_t answers(const struct fuzz_server *f)
{
    size_t len = f->out.len;
    while (len > 0) {
        const uint8_t *line = memrchr(f->out.data, 'H', len);
        if (line == NULL)
            break;
        len = (size_t)(line - f->out.data);
        if (f->out.len - len > 10 && memcmp(line, "HTTP/1.1 4", 10) == 0 &&
            memmem(line, f->out.len - len, "connection: close\r\n\r\n", 21) != NULL)
            return len;
    }
    return f->out.len;
}

static void compare(const struct fuzz_server *whole, const struct fuzz_server *cut)
{
    /* In HTTP/2 what is sent when depends on the reads (WINDOW_UPDATE, the limits of a flood). */
    MU_ASSERT((whole->conn->h2.session == NULL) == (cut->conn->h2.session == NULL));
    MU_ASSERT(whole->conn->h2.session != NULL || whole->conn->dead == cut->conn->dead);
    /* A reset drops the connection, and whatever was not pulled yet with it. */
    if (whole->conn->h2.session != NULL || whole->conn->dead)
        return;
    MU_ASSERT(whole->conn->protocol == cut->conn->protocol);
    size_t same = answers(whole);
    MU_ASSERT(same == answers(cut));
    MU_ASSERT(same == 0 || memcmp(whole->out.data, cut->out.data, same) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= FUZZ_HEAD || size > FUZZ_INPUT_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct fuzz_server whole;
    struct fuzz_server cut;
    run(&whole, data, size, size);
    run(&cut, data, size, 1 + (size_t)data[0]);
    if (!cut.oom && (cut.options & FUZZ_SMALL) == 0) /* that cuts chunks in two */
        compare(&whole, &cut);
    fuzz_end(&whole);
    fuzz_end(&cut);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
