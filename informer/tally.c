#include "informer/tally_priv.h"

#include "engine/quantity.h"
#include "informer/names.h"

/* 253, less the "requests." that quota puts in front of a name. */
#define QUALIFIED_PREFIX_BYTES_MAX 244u

/* The item of `name`, added with 0 when new; NULL when the list is full. */
static struct mu_amount *item_of(struct mu_tally *tally, struct mu_str name)
{
    for (uint32_t i = 0; i < tally->count; i++) {
        if (mu_str_equal(tally->items[i].resource, name))
            return &tally->items[i];
    }
    if (tally->count == MU_RESOURCES_MAX) {
        tally->overflow = true;
        return NULL;
    }
    struct mu_amount *item = &tally->items[tally->count++];
    *item = (struct mu_amount){name, 0};
    return item;
}

void mu_tally_set(struct mu_tally *tally, struct mu_str name, int64_t value)
{
    struct mu_amount *item = item_of(tally, name);
    if (item != NULL)
        item->value = value;
}

void mu_tally_max(struct mu_tally *tally, struct mu_str name, int64_t value)
{
    struct mu_amount *item = item_of(tally, name);
    if (item != NULL && item->value < value)
        item->value = value;
}

void mu_tally_add(struct mu_tally *tally, struct mu_str name, int64_t value)
{
    struct mu_amount *item = item_of(tally, name);
    if (item != NULL)
        item->value = mu_amount_add(item->value, value);
}

void mu_tally_max_all(struct mu_tally *tally, const struct mu_tally *other)
{
    for (uint32_t i = 0; i < other->count; i++)
        mu_tally_max(tally, other->items[i].resource, other->items[i].value);
    tally->overflow = tally->overflow || other->overflow;
}

void mu_tally_add_all(struct mu_tally *tally, const struct mu_tally *other)
{
    for (uint32_t i = 0; i < other->count; i++)
        mu_tally_add(tally, other->items[i].resource, other->items[i].value);
    tally->overflow = tally->overflow || other->overflow;
}

/* --- names --------------------------------------------------------------------------------- */

/* Extended resources, huge pages, attachable volumes and the kubernetes.io/ names. */
static bool is_scalar_name(struct mu_str name)
{
    if (mu_str_starts_with(name, MU_STR("hugepages-")) ||
        mu_str_starts_with(name, MU_STR("attachable-volumes-")))
        return true;
    const char *slash = name.len == 0 ? NULL : memchr(name.data, '/', name.len);
    if (slash == NULL)
        return false;
    const struct mu_str native = MU_STR("kubernetes.io/");
    if (memmem(name.data, name.len, native.data, native.len) != NULL)
        return true;
    if (mu_str_starts_with(name, MU_STR("requests.")))
        return false;
    uint32_t prefix = (uint32_t)(slash - name.data);
    return prefix <= QUALIFIED_PREFIX_BYTES_MAX && mu_name_is_label_key(name);
}

enum mu_tally_unit mu_tally_unit(struct mu_str name, bool node)
{
    if (mu_str_equal(name, MU_STR("cpu")))
        return MU_UNIT_MILLI;
    if (mu_str_equal(name, MU_STR("memory")) || mu_str_equal(name, MU_STR("ephemeral-storage")))
        return MU_UNIT_VALUE;
    if (mu_str_equal(name, MU_STR("pods")))
        return node ? MU_UNIT_VALUE : MU_UNIT_NONE;
    return is_scalar_name(name) ? MU_UNIT_VALUE : MU_UNIT_NONE;
}

/* --- quantities ---------------------------------------------------------------------------- */

/* Nearly every quantity: a whole number of up to 12 digits, with no suffix, m, Ki, Mi or Gi, that
 * is a whole number of the unit. Any other is mu_quantity_parse's. */
static bool read_plain(struct mu_str text, enum mu_tally_unit unit, int64_t *value)
{
    int64_t number = 0;
    uint32_t at = 0;
    for (; at < text.len && at < 12 && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        number = number * 10 + (text.data[at] - '0');
    uint32_t left = text.len - at;
    if (at == 0 || left > 2 || (unit == MU_UNIT_MILLI && left == 2))
        return false;
    if (left == 0) {
        *value = unit == MU_UNIT_MILLI ? number * 1000 : number;
        return true;
    }
    char suffix = text.data[at];
    if (left == 1) {
        *value = number;
        return unit == MU_UNIT_MILLI && suffix == 'm';
    }
    if (text.data[at + 1] != 'i' || number > MU_AMOUNT_MAX >> 31)
        return false;
    *value = number << (suffix == 'K' ? 10 : suffix == 'M' ? 20 : 30);
    return suffix == 'K' || suffix == 'M' || suffix == 'G';
}

enum mu_tally_fault mu_tally_read(struct mu_str quantity, enum mu_tally_unit unit, int64_t *value)
{
    struct mu_quantity q;
    *value = 0;
    if (quantity.data == NULL)
        return MU_TALLY_OK; /* absent on the wire is the zero value */
    int64_t plain;
    if (read_plain(quantity, unit, &plain)) {
        *value = plain;
        return MU_TALLY_OK;
    }
    if (mu_quantity_parse(quantity, &q, NULL) != 0)
        return MU_TALLY_UNREADABLE;
    if (q.negative)
        return MU_TALLY_NEGATIVE;
    int64_t amount = unit == MU_UNIT_MILLI ? mu_quantity_milli_value(&q) : mu_quantity_value(&q);
    if (q.saturated || amount >= MU_AMOUNT_MAX) {
        *value = MU_AMOUNT_MAX;
        return MU_TALLY_HUGE;
    }
    *value = amount;
    return MU_TALLY_OK;
}

const char *mu_tally_fault_text(enum mu_tally_fault fault)
{
    switch (fault) {
    case MU_TALLY_OK:
        return "readable";
    case MU_TALLY_UNREADABLE:
        return "expected a quantity such as 500m or 2Gi";
    case MU_TALLY_NEGATIVE:
        return "expected no negative amount";
    case MU_TALLY_HUGE:
        return "expected an amount below 2^63";
    }
    return "unknown";
}
