/* muster place: where the pods of manifests would go. */
#include "engine/base/buf.h"
#include "tools/answer/settle.h"
#include "tools/answer/write.h"
#include "tools/muster/offline.h"
#include "tools/muster/offline_commands.h"

static int bind_pod(void *context, const struct mu_plan_bind *bind, uint64_t now_ns)
{
    struct mu_offline *o = context;
    return mu_manifest_bind(o->manifest, o->db, bind, now_ns);
}

static void show_bound(void *context, uint32_t bound, uint32_t waiting)
{
    mu_offline_show(context, "placing", bound, bound + waiting);
}

static int place(struct mu_offline *o, const struct mu_offline_options *options)
{
    struct mu_settle_config config = {.session = {.profile = options->profile},
                                      .now_ns = 2, /* behind the arrival of everything */
                                      .bind = bind_pod,
                                      .progress = show_bound,
                                      .context = o};
    struct mu_settled settled;
    struct mu_error error = {0, ""};
    int rc = mu_settle(o->db, &config, o->arena, &settled, &error);
    if (rc != 0)
        return mu_offline_fail(o, rc, error.text);
    struct mu_buf out = {.max = 0};
    if (options->output == MU_OUTPUT_JSON)
        (void)mu_settled_write_json(&settled, &out);
    else
        (void)mu_settled_write_table(&settled, &out);
    mu_progress_end(&o->progress);
    int status = mu_offline_write(o, &out);
    mu_buf_fini(&out);
    return status;
}

int mu_place_command_run(const struct mu_offline_options *options)
{
    struct mu_offline o;
    struct mu_uid unused;
    int status = mu_offline_open(&o, "muster place", options, NULL, &unused);
    if (status == 0)
        status = place(&o, options);
    mu_offline_close(&o);
    return status;
}
