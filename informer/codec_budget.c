/*
 * A Kubernetes disruption budget, translated: whom it covers, and how many of them may go.
 *
 * What it allows is worked out by the disruption controller, and stands in the status. The wish
 * behind it is handed out for those who have no controller (manifests).
 */
#include "informer/codec.h"

#include "informer/codec_pod_priv.h"
#include "informer/decode_priv.h"

static void warn_of(struct mu_error *warn, const struct mu_budget_object *budget, int code,
                    const char *what)
{
    if (warn != NULL && warn->code == 0)
        (void)mu_error_set(warn, code, "budget %.*s/%.*s: %s", MU_STR_ARGS(budget->ns),
                           MU_STR_ARGS(budget->name), what);
}

/* The reader of pods' selectors, with a pod that stands for nobody: it is marked where the selector
 * cannot be read. */
static int read_selector(const struct mu_view_selector *from, struct mu_arena *arena,
                         struct mu_budget_object *out, struct mu_error *warn,
                         struct mu_error *error)
{
    struct mu_pod_object nobody = {.version = 0};
    struct mu_pod_reader r = {.arena = arena,
                              .out = &nobody,
                              .requirements_left = MU_REQUIREMENTS_MAX,
                              .values_left = MU_VALUES_MAX,
                              .error = error};
    int rc = mu_pod_selector(&r, from, NULL, "spec.selector", &out->selector);
    if (rc == MU_ENOMEM)
        return mu_pod_no_memory(&r, "spec.selector");
    if (rc != 0)
        warn_of(warn, out, MU_ELIMIT, "spec.selector: too many requirements; it covers nobody");
    else if (nobody.unbuilt != 0)
        warn_of(warn, out, MU_EINVAL,
                "spec.selector: expected requirements on labels; it covers "
                "nobody");
    if (rc != 0 || nobody.unbuilt != 0 || out->selector.requirement_count == 0)
        out->selector = (struct mu_selector){.nothing = true};
    return 0;
}

static int read_disrupted(const struct mu_view_budget_status *status, struct mu_arena *arena,
                          struct mu_budget_object *out, struct mu_error *error)
{
    uint32_t count = status->disrupted.count;
    if (count == 0)
        return 0;
    struct mu_str *names = mu_arena_calloc(arena, count, sizeof *names);
    if (names == NULL)
        return mu_error_set(error, MU_ENOMEM, "budget: status.disruptedPods: no memory");
    for (uint32_t i = 0; i < count; i++)
        names[i] = status->disrupted.items[i].name;
    out->disrupted = names;
    out->disrupted_count = count;
    return 0;
}

/* "50%": at least one digit and the sign. */
static bool read_percent(struct mu_str text, int32_t *value)
{
    uint64_t number;
    if (text.len < 2 || text.data[text.len - 1] != '%' ||
        !mu_str_to_u64((struct mu_str){text.data, text.len - 1}, &number) || number > INT32_MAX)
        return false;
    *value = (int32_t)number;
    return true;
}

static void read_wish(const struct mu_view_budget_spec *spec, const struct mu_budget_object *out,
                      struct mu_budget_wish *wish, struct mu_error *warn)
{
    const struct mu_view_int_or_text *asked = spec->min_available;
    wish->kind = MU_BUDGET_MIN_AVAILABLE;
    if (asked == NULL) {
        asked = spec->max_unavailable;
        wish->kind = MU_BUDGET_MAX_UNAVAILABLE;
    }
    bool sound = asked != NULL;
    if (asked != NULL && asked->type == 0) {
        wish->value = asked->number;
        sound = asked->number >= 0;
    } else if (asked != NULL) {
        wish->percent = true;
        sound = read_percent(asked->text, &wish->value);
    }
    if (sound)
        return;
    *wish = (struct mu_budget_wish){.kind = MU_BUDGET_ASKS_NOTHING, .stated = wish->stated};
    if (asked != NULL)
        warn_of(warn, out, MU_EINVAL,
                "spec.minAvailable or maxUnavailable: expected a number or a percentage");
}

int mu_budget_decode(struct mu_str raw, struct mu_arena *arena, struct mu_budget_object *out,
                     struct mu_budget_wish *wish, struct mu_error *warn, struct mu_error *error)
{
    static const struct mu_view_budget_spec no_spec = {.selector = NULL};
    struct mu_view_budget view;
    if (warn != NULL)
        warn->code = 0;
    int rc = mu_view_open(raw, &mu_view_of_budget, arena, "budget", &view, error);
    if (rc != 0)
        return rc;
    struct mu_decode_identity id;
    if ((rc = mu_decode_identity(view.meta, "budget", &id, error)) != 0)
        return rc;
    const struct mu_view_budget_spec *spec = view.spec != NULL ? view.spec : &no_spec;
    struct mu_budget_object object = {
        .ns = id.ns, .name = id.name, .uid = id.uid, .version = id.version};
    struct mu_budget_wish asked = {.kind = MU_BUDGET_ASKS_NOTHING};
    if ((rc = read_selector(spec->selector, arena, &object, warn, error)) != 0)
        return rc;
    if (view.status != NULL) {
        object.allowed = view.status->allowed;
        asked.stated = view.status->numbers != 0;
        if ((rc = read_disrupted(view.status, arena, &object, error)) != 0)
            return rc;
    }
    read_wish(spec, &object, &asked, warn);
    if (wish != NULL)
        *wish = asked;
    *out = object;
    return 0;
}
