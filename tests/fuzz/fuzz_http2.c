/*
 * HTTP/2 frames behind the preface, as the server reads them: nothing crashes or leaks, whatever
 * memory there is, and what waits for the peer is bounded. Held answers go out now and then.
 *
 * covers: informer/http_server_h2.c informer/http_exchange.c
 * covers: informer/http_h2.c:mu_h2_input,mu_h2_output,mu_h2_error,mu_h2_done
 */
#include "tests/fuzz/http_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    if (size <= FUZZ_HEAD || size > FUZZ_INPUT_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct fuzz_server f;
    fuzz_begin(&f, data);
    mu_server_conn_input(f.conn, preface, sizeof preface); /* with an empty SETTINGS */
    MU_ASSERT(f.conn->protocol == MU_PROTOCOL_H2 || f.oom);
    size_t step = 1 + (size_t)data[0] * 4;
    for (size_t at = FUZZ_HEAD; at < size; at += step) {
        mu_server_conn_input(f.conn, data + at, size - at < step ? size - at : step);
        fuzz_pull(&f);
        if (at / step % 8 == 7)
            fuzz_release(&f);
    }
    fuzz_after(&f);
    MU_ASSERT(f.server->queued_bytes <= (uint64_t)FUZZ_LONG_MAX * FUZZ_LONG + FUZZ_PULL_MAX);
    fuzz_end(&f);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
