#ifndef MU_ENGINE_BASE_ERROR_H
#define MU_ENGINE_BASE_ERROR_H
/*
 * Error codes and the caller-owned error text.
 *
 * A function returns 0 or a negative code. Codes of libuv (small negative errno values) pass
 * unchanged; ours start at -10000. A code says what kind of thing went wrong; the text, filled on
 * cold paths only, names the object, the field and what was expected.
 */
#define MU_ERROR_LIST(X)                                                                           \
    X(MU_ENOMEM, -10000, "out of memory")                                                          \
    X(MU_ELIMIT, -10001, "a stated bound was reached")                                             \
    X(MU_EINVAL, -10002, "invalid input")                                                          \
    X(MU_ERANGE, -10003, "value out of range")                                                     \
    X(MU_ENOENT, -10004, "no such object")                                                         \
    X(MU_EEXIST, -10005, "object already exists")                                                  \
    X(MU_ECONFLICT, -10006, "conflicting version")                                                 \
    X(MU_EAGAIN, -10007, "not now, try again")                                                     \
    X(MU_EEXPIRED, -10008, "version too old")                                                      \
    X(MU_EPROTO, -10009, "protocol violated by the peer")                                          \
    X(MU_ETRUNCATED, -10010, "input ends early")                                                   \
    X(MU_ETIMEOUT, -10011, "deadline passed")                                                      \
    X(MU_ECANCELED, -10012, "cancelled")                                                           \
    X(MU_ECLOSED, -10013, "closed")                                                                \
    X(MU_EUNSUPPORTED, -10014, "not supported")                                                    \
    X(MU_EIO, -10015, "input or output failed")                                                    \
    X(MU_ETLS, -10016, "TLS failed")

#define MU_ERROR_ENUM(name, value, text) name = value,
enum mu_error_code { MU_ERROR_LIST(MU_ERROR_ENUM) };
#undef MU_ERROR_ENUM

#define MU_ERROR_TEXT_BYTES 256

struct mu_error {
    int code;
    char text[MU_ERROR_TEXT_BYTES]; /* NUL-terminated, cut to fit */
};

/* Fill *e (may be NULL) and return code. Thread: any. Cost: one formatting, cold paths only. */
int mu_error_set(struct mu_error *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Symbolic name ("MU_ENOMEM") and sentence of one of our codes; for others "error" and
 * "unknown error". Static storage. Thread: any. */
const char *mu_error_name(int code);
const char *mu_error_text(int code);

#endif
