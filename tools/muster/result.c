#include "tools/muster/result.h"
#include "tools/report/dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct sink {
    struct mu_report *report;
    struct mu_dump *dump;
    struct mu_error *error;
};

static int report_namespace(void *into, struct mu_str raw)
{
    struct sink *sink = into;
    return mu_report_add_namespace(sink->report, raw, sink->error);
}

static int report_node(void *into, struct mu_str raw)
{
    struct sink *sink = into;
    return mu_report_add_node(sink->report, raw, sink->error);
}

static int report_pod(void *into, struct mu_str raw)
{
    struct sink *sink = into;
    return mu_report_add_pod(sink->report, raw, sink->error);
}

static int dump_node(void *into, struct mu_str raw)
{
    struct sink *sink = into;
    return mu_dump_add(sink->dump, MU_STR("Node"), raw, sink->error);
}

static int dump_pod(void *into, struct mu_str raw)
{
    struct sink *sink = into;
    return mu_dump_add(sink->dump, MU_STR("Pod"), raw, sink->error);
}

/* The time from the first creation to the last bind is the report's to compute, from the same
 * pairs; pods that were never bound count with their creation only. */
static void add_times(const struct mu_result_source *source, struct mu_report *report)
{
    for (uint32_t i = 0; i < source->pod_count; i++) {
        uint64_t created_ns, bound_ns;
        source->times(source->context, i, &created_ns, &bound_ns);
        if (created_ns != 0 && bound_ns != 0)
            mu_report_add_latency(report, created_ns, bound_ns);
    }
}

int mu_result_compute(const struct mu_result_source *source, struct mu_report_result *out,
                      struct mu_error *error)
{
    struct sink sink = {.report = mu_report_create(), .error = error};
    if (sink.report == NULL)
        return mu_error_set(error, MU_ENOMEM, "report: out of memory");
    int rc = source->each(source->context, MU_RESULT_NAMESPACES, report_namespace, &sink);
    if (rc == 0)
        rc = source->each(source->context, MU_RESULT_NODES, report_node, &sink);
    if (rc == 0)
        rc = source->each(source->context, MU_RESULT_PODS, report_pod, &sink);
    if (rc == 0) {
        add_times(source, sink.report);
        rc = mu_report_compute(sink.report, out, error);
    }
    mu_report_destroy(sink.report);
    return rc;
}

bool mu_result_clean(const struct mu_report_result *result)
{
    return result->partial_gangs == 0 && result->overcommitted_nodes == 0 &&
           result->pending_that_fit == 0;
}

int mu_result_print(const struct mu_report_result *result, bool json, struct mu_error *error)
{
    struct mu_buf text = {0};
    int rc = json ? mu_report_write_json(result, &text) : mu_report_write_text(result, &text);
    if (rc == 0 && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        rc = MU_EIO;
    mu_buf_fini(&text);
    return rc == 0 ? 0 : mu_error_set(error, rc, "report: %s", mu_error_text(rc));
}

int mu_result_dump_check(const char *path, struct mu_error *error)
{
    FILE *file = path != NULL ? fopen(path, "we") : NULL;
    if (path != NULL && file == NULL)
        return mu_error_set(error, MU_EIO, "--dump: '%s' cannot be written: %s", path,
                            strerror(errno));
    if (file != NULL)
        (void)fclose(file);
    return 0;
}

int mu_result_dump(const struct mu_result_source *source, const char *path, struct mu_error *error)
{
    struct sink sink = {.error = error};
    struct mu_error ignored;
    int rc = mu_dump_open(path, &sink.dump, error);
    if (rc != 0)
        return rc;
    rc = source->each(source->context, MU_RESULT_NODES, dump_node, &sink);
    if (rc == 0)
        rc = source->each(source->context, MU_RESULT_PODS, dump_pod, &sink);
    int closed = mu_dump_close(sink.dump, rc == 0 ? error : &ignored);
    return rc != 0 ? rc : closed;
}
