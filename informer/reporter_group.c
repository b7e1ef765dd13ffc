/*
 * The status of a group object is written as a pod's condition is, with what a pod does not need:
 *
 *   what it says  is made up at the moment of sending, from the gang as it is then; text and item
 *                 only say that it may have changed, and what the gang waits for. A change while
 *                 the request is open makes the item look again
 *   where         Volcano's resource may have a status of its own or not, which nothing but trying
 *                 tells: a status that is not found is written to the object, and if that is taken
 *                 at the same resourceVersion, there is none. (An object that came anew under the
 *                 name has another version: 409.)
 */
#include "informer/reporter_priv.h"

#include "engine/base/assert.h"

void mu_rep_group_send(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns,
                       struct mu_outbox *out)
{
    struct mu_report_group group = {.source = MU_GANG_SOLO};
    struct mu_group_said said;
    const struct mu_report_text *text = pod->wanted;
    MU_ASSERT(text != NULL && pod->key.group);
    pod->moved = false;
    if (!r->config.group(r->config.context, (uint32_t)pod->key.uid.lo, &group) ||
        !mu_group_say(&group, mu_report_reason_text(text->reason),
                      (struct mu_str){text->data, text->len}, &said)) {
        r->stats.groups_moot++;
        mu_rep_pod_idle(r, pod, now_ns);
        return;
    }
    uint64_t digest = mu_group_said_digest(&said);
    if (digest == group.report && group.version > pod->doubt) {
        r->stats.groups_same++;
        mu_rep_pod_idle(r, pod, now_ns);
        return;
    }
    struct mu_request request = {.method = MU_PATCH,
                                 .json = true, /* custom resources have no other form */
                                 .content = group.source == MU_GANG_NATIVE
                                                ? MU_MEDIA_STRATEGIC_PATCH
                                                : MU_MEDIA_MERGE_PATCH};
    pod->main = group.source == MU_GANG_VOLCANO && (r->status_on_main || pod->main);
    mu_group_status_path(&request.path, &group, pod->main);
    mu_group_status_body(&request.body, &group, &said, (now_ns + r->wall_offset_ns) / MU_NS_PER_S);
    pod->sent = text->digest;
    pod->sent_version = group.version;
    pod->report = digest;
    pod->shown = said.shown;
    if (!mu_rep_item_send(r, &pod->item, &request, now_ns, out))
        mu_rep_try_later(r, &pod->item, MU_REP_BACKOFF_FIRST_NS, 0, now_ns);
}

bool mu_rep_group_elsewhere(struct mu_reporter *r, struct mu_rep_pod *pod)
{
    struct mu_report_group group = {.source = MU_GANG_SOLO};
    bool tried = pod->main;
    pod->main = !tried && r->config.group(r->config.context, (uint32_t)pod->key.uid.lo, &group) &&
                group.source == MU_GANG_VOLCANO;
    return pod->main;
}

void mu_rep_group_taken(struct mu_reporter *r, struct mu_rep_pod *pod)
{
    r->stats.groups++;
    r->status_on_main = r->status_on_main || pod->main;
    pod->main = false;
    r->config.group_written(r->config.context, (uint32_t)pod->key.uid.lo, pod->report, pod->shown);
}
