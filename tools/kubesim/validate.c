#include "tools/kubesim/validate.h"

static bool lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool alnum(char c)
{
    return lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool mu_valid_dns_label(struct mu_str s)
{
    if (s.len == 0 || s.len > 63 || !lower_alnum(s.data[0]) || !lower_alnum(s.data[s.len - 1])) {
        return false;
    }
    for (uint32_t i = 0; i < s.len; i++) {
        if (!lower_alnum(s.data[i]) && s.data[i] != '-') {
            return false;
        }
    }
    return true;
}

bool mu_valid_dns_subdomain(struct mu_str s)
{
    if (s.len == 0 || s.len > 253) {
        return false;
    }
    bool edge = true; /* the character before is '.', or there is none */
    for (uint32_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool last = i + 1 == s.len || s.data[i + 1] == '.';
        if (c == '.' ? edge : !lower_alnum(c) && (c != '-' || edge || last)) {
            return false;
        }
        edge = c == '.';
    }
    return !edge;
}

/* The name part of a qualified name. */
static bool valid_name_part(struct mu_str s)
{
    if (s.len == 0 || s.len > 63 || !alnum(s.data[0]) || !alnum(s.data[s.len - 1])) {
        return false;
    }
    for (uint32_t i = 0; i < s.len; i++) {
        if (!alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_' && s.data[i] != '.') {
            return false;
        }
    }
    return true;
}

bool mu_valid_label_key(struct mu_str s)
{
    const char *slash = s.len == 0 ? NULL : memchr(s.data, '/', s.len);
    if (slash == NULL) {
        return valid_name_part(s);
    }
    uint32_t prefix = (uint32_t)(slash - s.data);
    return mu_valid_dns_subdomain((struct mu_str){s.data, prefix}) &&
           valid_name_part((struct mu_str){slash + 1, s.len - prefix - 1});
}

bool mu_valid_label_value(struct mu_str s)
{
    return s.len == 0 || valid_name_part(s);
}

bool mu_valid_config_key(struct mu_str s)
{
    bool dots = mu_str_equal(s, MU_STR(".")) || mu_str_starts_with(s, MU_STR(".."));
    if (s.len == 0 || s.len > 253 || dots) {
        return false;
    }
    for (uint32_t i = 0; i < s.len; i++) {
        if (!alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_' && s.data[i] != '.') {
            return false;
        }
    }
    return true;
}
