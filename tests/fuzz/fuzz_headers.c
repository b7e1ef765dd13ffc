/*
 * Header sections of every size, near all limits and beyond: the input is a small program that
 * writes them, since no mutation of bytes would build a section of 32 KiB. In HTTP/2 it writes
 * fields with and without indexing, references, changes of the table's size and CONTINUATION
 * frames without end; in HTTP/1.1 the same fields as text.
 *
 * Whatever is written, what the server holds for the peer is bounded at all times, each section is
 * answered or its connection ended, and the next connection is served.
 *
 * covers: informer/http_server_h2.c:on_begin_headers,on_header,on_frame,on_stream_close
 * covers: informer/http_server_h1.c:on_begin,piece,on_url,commit_field,on_field,on_value,trimmed
 * covers: informer/http_exchange.c:mu_exchange_count,mu_exchange_method,field_store,view
 * covers: informer/http_exchange.c:mu_exchange_field,mu_exchange_fields_done,mu_exchange_refuse
 */
#include "tests/fuzz/http_fuzz.h"

#include "informer/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    WRITTEN_MAX = 2 << 20,
    FRAME_MAX = 16384,
    HELD_MAX = 4 << 20, /* by one connection: 20 sections of 32 KiB, tables, buffers */
    HTTP1 = 128         /* option: text */
};

enum op { OP_FIELD, OP_INDEXED, OP_REFER, OP_TABLE, OP_KNOWN, OP_FLUSH, OP_END, OP_RAW, OP_COUNT };

struct writer {
    struct fuzz_server f;
    bool text;
    const uint8_t *at, *end; /* of the program */
    struct mu_buf block;     /* of the section, what has not been sent */
    struct mu_buf last;      /* text: the field written last */
    uint32_t stream;
    bool open;      /* a HEADERS frame without END_HEADERS is out */
    size_t written; /* bytes in all */
    size_t base;    /* live bytes before the first */
};

static uint8_t next(struct writer *w)
{
    return w->at < w->end ? *w->at++ : 0;
}

/* 0 to 65,280, the small ones exactly. */
static uint32_t next_length(struct writer *w)
{
    uint32_t byte = next(w);
    return byte < 128 ? byte : (byte - 127) * 510;
}

static void put(struct mu_buf *to, const void *data, size_t len)
{
    int r = len > 0 ? mu_buf_append(to, data, len) : 0;
    MU_ASSERT(r == 0);
}

static void put_letters(struct mu_buf *to, uint32_t len, uint8_t first)
{
    static char letters[70000];
    MU_ASSERT(len <= sizeof letters);
    memset(letters, 'a' + first % 26, len);
    put(to, letters, len);
}

/* An integer of HPACK with a prefix of so many bits. */
static void put_number(struct mu_buf *to, uint8_t head, int bits, uint32_t value)
{
    uint32_t most = (1u << bits) - 1;
    uint8_t byte = (uint8_t)(head | (value < most ? value : most));
    put(to, &byte, 1);
    if (value < most)
        return;
    for (value -= most; value >= 128; value >>= 7) {
        byte = (uint8_t)(value | 128);
        put(to, &byte, 1);
    }
    byte = (uint8_t)value;
    put(to, &byte, 1);
}

static void put_field(struct writer *w, uint8_t head, struct mu_str name, uint32_t name_len,
                      uint32_t value_len, uint8_t letter)
{
    struct mu_buf *to = w->text ? &w->last : &w->block;
    if (w->text)
        mu_buf_clear(to);
    else {
        put(to, &head, 1);
        put_number(to, 0, 7, name.len + name_len);
    }
    put(to, name.data, name.len);
    put_letters(to, name_len, letter);
    if (w->text)
        put(to, ": ", 2);
    else
        put_number(to, 0, 7, value_len);
    put_letters(to, value_len, (uint8_t)(letter + 1));
    if (w->text) {
        put(to, "\r\n", 2);
        put(&w->block, to->data, to->len);
    }
}

static void put_known(struct writer *w)
{
    static const char *const known[] = {
        ":method",        ":scheme",           ":path",      ":authority", "content-type",
        "accept",         "authorization",     "user-agent", "expect",     "cookie",
        "content-length", "transfer-encoding", "host",       "connection", "te"};
    struct mu_str name = mu_str_of(known[next(w) % (sizeof known / sizeof *known)]);
    put_field(w, 0, name, 0, next_length(w), 7);
}

static void feed(struct writer *w, const void *data, size_t len)
{
    mu_server_conn_input(w->f.conn, data, len);
    w->written += len;
    MU_ASSERT(mu_mem_live_bytes() <= w->base + w->block.cap + w->last.cap + HELD_MAX);
    fuzz_pull(&w->f);
    mu_buf_fini(&w->f.out);
}

static void frame(struct writer *w, const uint8_t *payload, size_t len, uint8_t flags)
{
    uint8_t head[9 + FRAME_MAX] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,
                                   w->open ? 9 : 1, /* CONTINUATION : HEADERS */
                                   flags};
    head[7] = (uint8_t)(w->stream >> 8);
    head[8] = (uint8_t)w->stream;
    MU_ASSERT(len <= FRAME_MAX);
    if (len > 0)
        memcpy(head + 9, payload, len);
    feed(w, head, 9 + len);
    w->open = true;
}

/* Send what is written. The section ends with it, or goes on. */
static void flush(struct writer *w, bool end)
{
    if (w->text) {
        if (end)
            put(&w->block, "\r\n", 2);
        feed(w, w->block.data, w->block.len);
    } else {
        size_t at = 0;
        do {
            size_t len = w->block.len - at < FRAME_MAX ? w->block.len - at : FRAME_MAX;
            bool last = end && at + len == w->block.len;
            /* END_STREAM on HEADERS, END_HEADERS on the last. */
            frame(w, w->block.data + at, len, (uint8_t)((w->open ? 0 : 1) | (last ? 4 : 0)));
            at += len;
        } while (at < w->block.len);
    }
    mu_buf_clear(&w->block);
}

/* What every request begins with. */
static void begin_section(struct writer *w)
{
    w->open = false;
    w->stream += 2;
    if (w->text)
        put(&w->block, "GET /x HTTP/1.1\r\nHost: a\r\n", 26);
    else
        put(&w->block,
            "\x82\x86\x04\x02/x\x41\x01"
            "a",
            9);
}

static void run_op(struct writer *w)
{
    enum op op = next(w) % OP_COUNT;
    uint32_t name_len, times;
    switch (op) {
    case OP_FIELD:
    case OP_INDEXED:
        name_len = next_length(w);
        times = next_length(w);
        put_field(w, op == OP_FIELD ? 0 : 0x40, MU_STR(""), name_len, times, next(w));
        break;
    case OP_REFER: /* to the newest entry of the table, or further back */
        name_len = next(w);
        for (times = next_length(w); times > 0 && w->block.len < WRITTEN_MAX; times--) {
            if (w->text)
                put(&w->block, w->last.data, w->last.len);
            else
                put_number(&w->block, 0x80, 7, name_len);
        }
        break;
    case OP_TABLE:
        put_number(&w->block, 0x20, 5, next_length(w));
        break;
    case OP_KNOWN:
        put_known(w);
        break;
    case OP_FLUSH:
        for (times = next_length(w); times > 0 && w->written < WRITTEN_MAX; times--)
            flush(w, false);
        break;
    case OP_END:
        flush(w, true);
        begin_section(w);
        break;
    case OP_RAW:
        for (times = next(w); times > 0 && w->at < w->end; times--) {
            uint8_t byte = next(w);
            put(&w->block, &byte, 1);
        }
        break;
    default:
        MU_ASSERT(false);
    }
}

/* A well-behaved client of the same server. */
static void check_others(struct fuzz_server *f)
{
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    uint8_t room[256];
    struct mu_server_conn *conn = mu_server_conn_new(f->server);
    MU_ASSERT(conn != NULL && mu_wire_start(&conn->wire) == 0);
    mu_server_conn_input(conn, (const uint8_t *)request, sizeof request - 1);
    ptrdiff_t n = mu_server_conn_output(conn, room, sizeof room);
    MU_ASSERT(n > 12 && memcmp(room, "HTTP/1.1 404", 12) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    if (size <= FUZZ_HEAD || size > 4096)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct writer w = {.text = (data[2] & HTTP1) != 0, .at = data + FUZZ_HEAD, .end = data + size};
    uint8_t head[FUZZ_HEAD] = {0, 0, data[2] & (FUZZ_EOF | FUZZ_LOOK | FUZZ_SMALL)};
    w.stream = (uint32_t)-1;
    fuzz_begin(&w.f, head);
    w.base = mu_mem_live_bytes();
    if (!w.text)
        feed(&w, preface, sizeof preface);
    begin_section(&w);
    while (w.at < w.end && !w.f.conn->dead && w.written < WRITTEN_MAX)
        run_op(&w);
    flush(&w, true);
    MU_ASSERT(w.f.held_count == 0);
    fuzz_after(&w.f);
    check_others(&w.f);
    fuzz_end(&w.f);
    mu_buf_fini(&w.block);
    mu_buf_fini(&w.last);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
