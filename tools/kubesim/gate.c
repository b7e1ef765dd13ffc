#include "tools/kubesim/gate.h"

#include "engine/base/assert.h"
#include "engine/base/heap.h"
#include "engine/base/mem.h"
#include "tools/kubesim/api_priv.h"
#include "tools/kubesim/limits.h"

enum step_kind { STEP_ARRIVE, STEP_AGAIN, STEP_REPLY, STEP_RESET, STEP_KINDS };

struct step {
    struct mu_passage *passage;
    enum step_kind kind;
};

struct mu_passage {
    struct mu_passage *next, **link; /* all of the gate's */
    struct mu_fault_plan plan;
    struct mu_api_request request; /* views into `text`, peer: &peer or NULL */
    struct mu_tls_peer peer;
    struct mu_api_response response;
    bool has_response;
    bool over; /* called back, or abandoned */
    bool abandoned;
    uint32_t steps; /* in the heap */
    struct step step[STEP_KINDS];
    void *user;
    char text[];
};

struct mu_gate {
    struct mu_apiserver *server;
    struct mu_faults faults;
    struct mu_random random;
    struct mu_gate_callbacks callbacks;
    struct mu_heap heap;
    uint64_t step_count; /* ties: equal times come in the order of planning */
    struct mu_passage *passages;
    uint64_t fired[MU_FAULT_COUNT];
    uint64_t orphans;
};

struct mu_gate *mu_gate_create(struct mu_apiserver *server, const struct mu_faults *faults,
                               struct mu_random *random, const struct mu_gate_callbacks *callbacks)
{
    struct mu_gate *gate = mu_mem_zalloc(sizeof *gate);
    if (gate != NULL) {
        gate->server = server;
        gate->faults = *faults;
        gate->callbacks = *callbacks;
        mu_random_fork(random, &gate->random);
        mu_heap_init(&gate->heap, MU_KUBESIM_IN_FLIGHT_MAX);
    }
    return gate;
}

static void drop_response(struct mu_passage *passage)
{
    if (passage->has_response) {
        mu_buf_fini(&passage->response.body);
        mu_buf_fini(&passage->response.warnings);
        mu_api_watch_close(passage->response.watch);
        passage->has_response = false;
    }
}

static void destroy_passage(struct mu_passage *passage)
{
    drop_response(passage);
    *passage->link = passage->next;
    if (passage->next != NULL) {
        passage->next->link = passage->link;
    }
    mu_mem_free(passage);
}

/* A passage that is over stays until its last step has been made. */
static void settle(struct mu_passage *passage)
{
    if (passage->over && passage->steps == 0) {
        destroy_passage(passage);
    }
}

void mu_gate_destroy(struct mu_gate *gate)
{
    if (gate == NULL) {
        return;
    }
    while (gate->passages != NULL) {
        destroy_passage(gate->passages);
    }
    mu_heap_fini(&gate->heap);
    mu_mem_free(gate);
}

/* False: no room for another step. */
static bool schedule(struct mu_gate *gate, struct mu_passage *passage, enum step_kind kind,
                     uint64_t due_ns)
{
    passage->step[kind] = (struct step){passage, kind};
    struct mu_heap_entry entry = {due_ns, gate->step_count++, &passage->step[kind]};
    bool pushed = mu_heap_push(&gate->heap, entry) == 0;
    passage->steps += pushed;
    return pushed;
}

/* ---- sending ------------------------------------------------------------------------------ */

static struct mu_str copy(char **to, struct mu_str text)
{
    if (text.len > 0) {
        memcpy(*to, text.data, text.len);
    }
    struct mu_str out = {*to, text.len};
    *to += text.len;
    return out;
}

/* The connection may be gone before the request arrives. */
static size_t peer_bytes(const struct mu_tls_peer *peer)
{
    size_t bytes = peer != NULL ? peer->name.len : 0;
    for (uint32_t i = 0; peer != NULL && i < peer->group_count; i++) {
        bytes += peer->groups[i].len;
    }
    return bytes;
}

static void copy_peer(char **to, const struct mu_tls_peer *from, struct mu_tls_peer *out)
{
    out->name = copy(to, from->name);
    out->group_count = from->group_count;
    for (uint32_t i = 0; i < from->group_count; i++) {
        out->groups[i] = copy(to, from->groups[i]);
    }
}

static bool is_page(struct mu_str query)
{
    static const char mark[] = "continue=";
    return query.len > 0 && memmem(query.data, query.len, mark, sizeof mark - 1) != NULL;
}

struct mu_passage *mu_gate_submit(struct mu_gate *gate, const struct mu_api_request *request,
                                  bool watch, void *user, uint64_t now_ns)
{
    size_t bytes = (size_t)request->path.len + request->query.len + request->body.len +
                   request->accept.len + request->authorization.len + peer_bytes(request->peer);
    struct mu_passage *passage = mu_mem_zalloc(sizeof *passage + bytes);
    if (passage == NULL) {
        return NULL;
    }
    char *at = passage->text;
    passage->user = user;
    passage->request = *request;
    passage->request.path = copy(&at, request->path);
    passage->request.query = copy(&at, request->query);
    passage->request.body = copy(&at, request->body);
    passage->request.accept = copy(&at, request->accept);
    passage->request.authorization = copy(&at, request->authorization);
    if (request->peer != NULL)
        copy_peer(&at, request->peer, &passage->peer);
    passage->request.peer = request->peer != NULL ? &passage->peer : NULL;
    struct mu_fault_request about = {watch, request->method != MU_GET, is_page(request->query)};
    mu_fault_plan(&gate->faults, &gate->random, &about, &passage->plan);
    struct mu_fault_plan *plan = &passage->plan;
    if (plan->arrives && !schedule(gate, passage, STEP_ARRIVE, now_ns + plan->arrive_ns)) {
        mu_mem_free(passage);
        return NULL;
    }
    /* When memory is out a fault may not happen: that is all. */
    if (plan->again && !schedule(gate, passage, STEP_AGAIN, now_ns + plan->again_ns)) {
        plan->again = plan->second_answers = false;
    }
    if (plan->reset) {
        (void)schedule(gate, passage, STEP_RESET, now_ns + plan->reset_ns);
    }
    for (int i = 0; i < MU_FAULT_COUNT; i++) {
        gate->fired[i] += plan->fired >> i & 1;
    }
    passage->next = gate->passages;
    passage->link = &gate->passages;
    if (passage->next != NULL) {
        passage->next->link = &passage->next;
    }
    gate->passages = passage;
    return passage;
}

void mu_gate_abandon(struct mu_gate *gate, struct mu_passage *passage)
{
    (void)gate;
    MU_ASSERT(!passage->over);
    passage->over = passage->abandoned = true;
    settle(passage);
}

/* ---- steps -------------------------------------------------------------------------------- */

/* An answer that the server never gave. */
static void forced_response(const struct mu_api_request *request, int http,
                            struct mu_api_response *out)
{
    const char *reason = http == 409 ? "Conflict" : http == 410 ? "Expired" : "TooManyRequests";
    *out = (struct mu_api_response){.status = http, .media = MU_MEDIA_PROTOBUF};
    out->retry_after_s = http == 429 ? 1 : 0;
    struct mu_buf raw = {0};
    int code = 0;
    struct mu_api_form form;
    (void)mu_api_negotiate(request->accept, MU_OFFER_PROTOBUF | MU_OFFER_OBJECTS, &form);
    if (form.media != MU_MEDIA_PROTOBUF) {
        out->media = MU_MEDIA_JSON;
        code = mu_buf_printf(&out->body,
                             "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
                             "\"message\":\"injected fault\",\"reason\":\"%s\",\"code\":%d}\n",
                             reason, http);
    } else {
        code = mu_api_status_pack(&raw, http, reason, "injected fault", NULL);
        if (code == 0) {
            code = mu_envelope_wrap(&out->body, MU_STR("v1"), MU_STR("Status"),
                                    (struct mu_str){(const char *)raw.data, (uint32_t)raw.len});
        }
    }
    if (code != 0) {
        mu_buf_clear(&out->body);
        out->media = MU_MEDIA_TEXT;
    }
    mu_buf_fini(&raw);
}

static void deliver(struct mu_gate *gate, struct mu_passage *passage, uint64_t now_ns)
{
    MU_ASSERT(passage->has_response && !passage->over);
    passage->over = true;
    gate->callbacks.answer(gate->callbacks.context, passage->user, &passage->response,
                           passage->plan.expire_ns, passage->plan.cut_ns, now_ns);
    mu_buf_fini(&passage->response.body);
    mu_buf_fini(&passage->response.warnings);
    passage->has_response = false; /* a watch is the front's now */
}

/* The server handles the request, for the first or the second time. */
static void arrive(struct mu_gate *gate, struct mu_passage *passage, bool second, uint64_t now_ns)
{
    struct mu_api_response response;
    if (passage->plan.forced != 0 && !second) {
        forced_response(&passage->request, passage->plan.forced, &response);
    } else {
        gate->orphans += passage->abandoned && passage->request.method != MU_GET;
        mu_apiserver_handle(gate->server, &passage->request, now_ns, &response);
    }
    bool wanted = passage->plan.answers && !passage->over &&
                  second == passage->plan.second_answers && !passage->has_response;
    if (!wanted) {
        mu_buf_fini(&response.body);
        mu_buf_fini(&response.warnings);
        mu_api_watch_close(response.watch);
        return;
    }
    passage->has_response = true;
    passage->response = response;
    if (!schedule(gate, passage, STEP_REPLY, now_ns + passage->plan.reply_ns)) {
        deliver(gate, passage, now_ns); /* no room to wait in */
    }
}

bool mu_gate_step(struct mu_gate *gate, uint64_t now_ns)
{
    struct mu_heap_entry entry;
    if (!mu_heap_peek(&gate->heap, &entry) || entry.key > now_ns) {
        return false;
    }
    (void)mu_heap_pop(&gate->heap, &entry);
    const struct step *step = entry.item;
    struct mu_passage *passage = step->passage;
    MU_ASSERT(passage->steps > 0);
    switch (step->kind) {
    case STEP_ARRIVE:
    case STEP_AGAIN:
        arrive(gate, passage, step->kind == STEP_AGAIN, now_ns);
        break;
    case STEP_REPLY:
        if (!passage->over) {
            deliver(gate, passage, now_ns);
        }
        break;
    default:
        MU_ASSERT(step->kind == STEP_RESET);
        if (!passage->over) {
            passage->over = true;
            gate->callbacks.lost(gate->callbacks.context, passage->user, now_ns);
        }
        break;
    }
    passage->steps--;
    settle(passage);
    return true;
}

uint64_t mu_gate_next_ns(const struct mu_gate *gate)
{
    struct mu_heap_entry entry;
    return mu_heap_peek(&gate->heap, &entry) ? entry.key : UINT64_MAX;
}

void mu_gate_heal(struct mu_gate *gate)
{
    memset(gate->faults.permille, 0, sizeof gate->faults.permille);
}

uint64_t mu_gate_orphans(const struct mu_gate *gate)
{
    return gate->orphans;
}

uint64_t mu_gate_fired(const struct mu_gate *gate, enum mu_fault fault)
{
    MU_ASSERT(fault < MU_FAULT_COUNT);
    return gate->fired[fault];
}
