/* HTTP/2 frames behind the preface, as the server reads them: nothing crashes or leaks. The first
 * byte chooses how the bytes are cut into reads and after which of them held answers go out. */
#include "tests/fuzz/http_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    if (size < 2 || size > FUZZ_INPUT_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct fuzz_server f;
    fuzz_begin(&f);
    mu_server_conn_input(f.conn, preface, sizeof preface); /* with an empty SETTINGS */
    MU_ASSERT(f.conn->protocol == MU_PROTOCOL_H2);
    size_t step = 1 + (size_t)data[0] * 4;
    for (size_t at = 1; at < size; at += step) {
        mu_server_conn_input(f.conn, data + at, size - at < step ? size - at : step);
        fuzz_pull(&f);
        if (at / step % 8 == 7)
            fuzz_release(&f);
    }
    MU_ASSERT(f.server->queued_bytes <= (uint64_t)FUZZ_LONG_MAX * FUZZ_LONG + FUZZ_PULL_MAX);
    fuzz_end(&f);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
