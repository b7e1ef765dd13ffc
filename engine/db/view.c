#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"

/*
 * Looking up, and UIDs.
 *
 * A UID in the form that every API server writes, a lower-case UUID, is its 128 bits; any other
 * text is a symbol. The one UUID whose upper half is MU_UID_TEXT counts as text, so that the two
 * forms never meet.
 */

/* Of a lower-case digit, else above 15. Without branches: the digits of UIDs are random. */
static uint64_t hex_digit(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0';
    unsigned letter = (unsigned char)c - (unsigned)'a';
    unsigned value = letter < 6 ? letter + 10 : 16;
    return digit < 10 ? digit : value;
}

/* Append `digits` digits to *half. What is none of them shows in *bad. */
static void read_hex(const char *text, uint32_t digits, uint64_t *half, uint64_t *bad)
{
    for (uint32_t i = 0; i < digits; i++) {
        uint64_t digit = hex_digit(text[i]);
        *bad |= digit & 16;
        *half = *half << 4 | (digit & 15);
    }
}

static bool uuid_parse(struct mu_str text, struct mu_uid *out)
{
    uint64_t high = 0, low = 0, bad = 0;
    if (text.len != 36 || text.data[8] != '-' || text.data[13] != '-' || text.data[18] != '-' ||
        text.data[23] != '-')
        return false;
    read_hex(text.data, 8, &high, &bad);
    read_hex(text.data + 9, 4, &high, &bad);
    read_hex(text.data + 14, 4, &high, &bad);
    read_hex(text.data + 19, 4, &low, &bad);
    read_hex(text.data + 24, 12, &low, &bad);
    if (bad != 0 || high == MU_UID_TEXT)
        return false;
    *out = (struct mu_uid){high, low};
    return true;
}

static struct mu_symbol uid_symbol(struct mu_uid uid)
{
    MU_ASSERT(uid.hi == MU_UID_TEXT);
    return (struct mu_symbol){(uint32_t)uid.lo};
}

int mu_uid_obtain(struct mu_db *db, struct mu_str text, struct mu_uid *out)
{
    if (text.len == 0 || text.len > MU_UID_BYTES_MAX)
        return MU_EINVAL;
    if (uuid_parse(text, out))
        return 0;
    struct mu_symbol symbol;
    int rc = mu_symbol_intern(db->symbols, text, &symbol);
    if (rc == 0)
        *out = (struct mu_uid){MU_UID_TEXT, symbol.v};
    return rc;
}

void mu_uid_release(struct mu_db *db, struct mu_uid uid)
{
    if (uid.hi == MU_UID_TEXT)
        mu_symbol_unref(db->symbols, uid_symbol(uid), db->reach);
}

int mu_uid_compare(const struct mu_db *db, struct mu_uid a, struct mu_uid b)
{
    if (a.hi == MU_UID_TEXT && b.hi == MU_UID_TEXT)
        return mu_str_compare(mu_symbol_str(db->symbols, uid_symbol(a)),
                              mu_symbol_str(db->symbols, uid_symbol(b)));
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return (a.lo > b.lo) - (a.lo < b.lo);
}

int mu_db_uid_parse(struct mu_db *db, struct mu_str text, struct mu_uid *out)
{
    if (text.len == 0 || text.len > MU_UID_BYTES_MAX)
        return MU_EINVAL;
    if (uuid_parse(text, out))
        return 0;
    struct mu_symbol symbol;
    if (!mu_symbol_find(db->symbols, text, &symbol))
        return MU_ENOENT;
    *out = (struct mu_uid){MU_UID_TEXT, symbol.v};
    return 0;
}

/* The lowest `digits` hexadecimal digits of the value. Returns the end. */
static char *put_hex(char *at, uint64_t value, uint32_t digits)
{
    for (uint32_t i = digits; i-- > 0;)
        *at++ = "0123456789abcdef"[value >> (4 * i) & 15];
    return at;
}

uint32_t mu_db_uid_text(const struct mu_db *db, struct mu_uid uid, char *buf)
{
    if (uid.hi == MU_UID_TEXT) {
        struct mu_str text = mu_symbol_str(db->symbols, uid_symbol(uid));
        MU_ASSERT(text.len <= MU_UID_BYTES_MAX);
        if (text.len != 0)
            memcpy(buf, text.data, text.len);
        buf[text.len] = '\0';
        return text.len;
    }
    /* Twice for every bind: printf would take longer than the rest. */
    char *at = put_hex(buf, uid.hi >> 32, 8);
    *at++ = '-';
    at = put_hex(at, uid.hi >> 16, 4);
    *at++ = '-';
    at = put_hex(at, uid.hi, 4);
    *at++ = '-';
    at = put_hex(at, uid.lo >> 48, 4);
    *at++ = '-';
    at = put_hex(at, uid.lo, 12);
    *at = '\0';
    MU_ASSERT(at - buf == 36);
    return 36;
}

bool mu_db_pod_get(const struct mu_db *db, struct mu_pod_ix ix, struct mu_pod_view *out)
{
    if (ix.v >= db->pods.high)
        return false;
    const struct mu_pod_rec *p = mu_pod_at(db, ix.v);
    if ((p->flags & MU_POD_USED) == 0)
        return false;
    bool bound = (p->flags & MU_POD_BOUND) != 0;
    *out = (struct mu_pod_view){
        .ix = ix,
        .uid = p->uid,
        .ns = mu_symbol_str(db->symbols, p->ns),
        .name = mu_pod_name(p),
        .version = p->version,
        .node = {bound ? p->node.v : MU_NONE},
        .class_ix = p->class_ix,
        .kin = p->kin,
        .gang = p->gang,
        .priority = p->priority,
        .ours = (p->flags & MU_POD_OURS) != 0,
        .terminating = (p->flags & MU_POD_TERMINATING) != 0,
        .terminal = (p->flags & MU_POD_TERMINAL) != 0,
        .gated = (p->flags & MU_POD_GATED) != 0,
        .controlled = (p->flags & MU_POD_CONTROLLED) != 0,
        .unbuilt = p->unbuilt,
        .devices = bound ? p->devices : 0,
        .report = p->report,
    };
    return true;
}

bool mu_db_pod_find(const struct mu_db *db, struct mu_uid uid, struct mu_pod_view *out)
{
    uint32_t pod = mu_pod_find(db, uid);
    return pod != MU_NONE && mu_db_pod_get(db, (struct mu_pod_ix){pod}, out);
}

static const struct mu_gang_rec *gang_get(const struct mu_db *db, struct mu_gang_ix ix)
{
    const struct mu_gang_rec *g = ix.v < db->gangs.high ? mu_gang_at(db, ix.v) : NULL;
    return g != NULL && g->used ? g : NULL;
}

bool mu_db_gang_member(const struct mu_db *db, struct mu_gang_ix gang, struct mu_pod_ix *pod)
{
    const struct mu_gang_rec *g = gang_get(db, gang);
    if (g == NULL)
        return false;
    pod->v = pod->v == MU_NONE ? g->members : mu_pod_at(db, pod->v)->gang_next;
    return pod->v != MU_NONE;
}

struct mu_str mu_db_node_name(const struct mu_db *db, struct mu_node_ix ix)
{
    if (!mu_row_used(db, ix.v))
        return (struct mu_str){NULL, 0};
    return mu_symbol_str(db->symbols, mu_row_rec(db, ix.v)->name);
}

struct mu_str mu_db_gang_ns(const struct mu_db *db, struct mu_gang_ix ix)
{
    const struct mu_gang_rec *g = gang_get(db, ix);
    return g == NULL ? (struct mu_str){NULL, 0} : mu_symbol_str(db->symbols, g->ns);
}

const char *mu_db_gang_object_unknown(const struct mu_db *db, struct mu_gang_ix ix)
{
    const struct mu_gang_rec *g = gang_get(db, ix);
    return g == NULL ? NULL : db->group_unknown[g->source];
}

struct mu_str mu_db_gang_name(const struct mu_db *db, struct mu_gang_ix ix)
{
    const struct mu_gang_rec *g = gang_get(db, ix);
    if (g == NULL)
        return (struct mu_str){NULL, 0};
    if (g->source == MU_GANG_SOLO && g->members != MU_NONE)
        return mu_pod_name(mu_pod_at(db, g->members));
    return mu_symbol_str(db->symbols, g->name);
}
