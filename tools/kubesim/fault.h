#ifndef MU_TOOLS_KUBESIM_FAULT_H
#define MU_TOOLS_KUBESIM_FAULT_H
/*
 * Faults between a client and the API core. Pure: what happens to a request is decided at once from
 * a seeded stream, as a plan that a front carries out (tools/kubesim/gate.h).
 *
 *   drop        the request never arrives; its client hears nothing (or that the connection broke)
 *   delay       the request or its reply takes up to delay_ns_max longer
 *   duplicate   the request is handled twice; the client sees one of the two replies
 *   reorder     the request takes a little longer, so that later ones overtake it
 *   410         a watch, or a page of a list, ends with Expired
 *   409         a write is answered Conflict without having been tried
 *   429         any request is answered TooManyRequests with Retry-After
 *   lost-reply  the request is handled, its reply is lost
 *   late        the client is told that the request was lost; then it lands
 *   cut         a watch breaks off at some time, also inside a frame
 */
#include "engine/base/error.h"
#include "engine/base/random.h"

enum mu_fault {
    MU_FAULT_DROP,
    MU_FAULT_DELAY,
    MU_FAULT_DUPLICATE,
    MU_FAULT_REORDER,
    MU_FAULT_410,
    MU_FAULT_409,
    MU_FAULT_429,
    MU_FAULT_LOST_REPLY,
    MU_FAULT_LATE,
    MU_FAULT_CUT,
    MU_FAULT_COUNT
};

struct mu_faults {
    uint32_t permille[MU_FAULT_COUNT]; /* of requests; of watches for 410 and cut */
    uint64_t latency_ns_min;           /* each way, of every request; both 0: 100 us to 1 ms */
    uint64_t latency_ns_max;
    uint64_t delay_ns_max; /* 0: 2 s */
    uint64_t late_ns_max;  /* from being reported lost to landing; 0: 10 s */
    uint64_t cut_ns_max;   /* from the start of a watch to its cut or 410; 0: 10 s */
};

#define MU_FAULTS_ALL "drop,delay,duplicate,reorder,410,409,429,lost-reply,late,cut"

/* Read "drop=5,delay,409": names with an optional permille (0 to 1000), each with a default of its
 * own. "" is no fault. Times are left 0. Errors: MU_EINVAL, one line; *out is unchanged. */
int mu_faults_parse(const char *list, struct mu_faults *out, struct mu_error *error);
const char *mu_fault_name(enum mu_fault fault);

/* What will happen to one request. Times count from its sending. */
struct mu_fault_plan {
    bool arrives; /* the server handles it, at arrive_ns */
    uint64_t arrive_ns;
    bool again; /* and once more, at again_ns */
    uint64_t again_ns;
    bool second_answers; /* of two handlings, the second's reply is the one delivered */
    int forced;          /* 409, 410 or 429: answered so at arrive_ns, not handled */
    bool answers;        /* the reply is delivered, reply_ns after it was made */
    uint64_t reply_ns;
    bool reset; /* no reply: the client learns of it at reset_ns (else by timeout) */
    uint64_t reset_ns;
    uint64_t expire_ns; /* watches: 410 as an event, so long after the start; 0: never */
    uint64_t cut_ns;    /* watches: the stream breaks; 0: never */
    uint32_t fired;     /* set of 1 << enum mu_fault */
};
struct mu_fault_request {
    bool watch, write, page; /* page: a list goes on (continue=) */
};
void mu_fault_plan(const struct mu_faults *faults, struct mu_random *random,
                   const struct mu_fault_request *request, struct mu_fault_plan *out);

#endif
