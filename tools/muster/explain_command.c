/* muster explain: which nodes could take a pod, and what keeps it from the others. */
#include "engine/base/buf.h"
#include "tools/answer/explain.h"
#include "tools/answer/write.h"
#include "tools/muster/offline.h"
#include "tools/muster/offline_commands.h"

#include <stdio.h>

static int explain(struct mu_offline *o, const struct mu_offline_options *options,
                   struct mu_uid pod)
{
    struct mu_explanation explanation = {.row_count = 0};
    struct mu_snapshot *snapshot = mu_db_replica_create(o->db);
    int rc = snapshot == NULL ? MU_ENOMEM : 1;
    mu_settle_ask_occupants(o->db);
    while (rc == 1)
        rc = mu_db_replica_sync(o->db, snapshot, 0);
    if (rc == 0)
        rc = mu_explain(o->db, snapshot, options->profile, pod, o->arena, &explanation);
    struct mu_manifest_was was;
    mu_manifest_was(o->manifest, &was);
    explanation.was_on = was.node;
    explanation.was_finished = was.finished;
    explanation.was_deleted = was.deleted;
    struct mu_buf out = {.max = 0};
    if (rc == 0)
        rc = options->output == MU_OUTPUT_JSON ? mu_explanation_write_json(&explanation, &out)
                                               : mu_explanation_write_table(&explanation, &out);
    int status = rc != 0 ? mu_offline_fail(o, rc, "") : mu_offline_write(o, &out);
    mu_buf_fini(&out);
    if (snapshot != NULL)
        mu_db_replica_destroy(o->db, snapshot);
    return status;
}

int mu_explain_command_run(const struct mu_offline_options *options)
{
    struct mu_offline o;
    struct mu_uid pod;
    if (options->pod == NULL) {
        (void)fprintf(stderr, "muster explain: expected a pod: NAMESPACE/NAME\n");
        return 2;
    }
    int status = mu_offline_open(&o, "muster explain", options, options->pod, &pod);
    if (status == 0)
        status = explain(&o, options, pod);
    mu_offline_close(&o);
    return status;
}
