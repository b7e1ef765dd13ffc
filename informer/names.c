#include "informer/names.h"

#define PART_BYTES_MAX      63u
#define SUBDOMAIN_BYTES_MAX 253u

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool mu_name_is_part(struct mu_str s)
{
    if (s.len == 0 || s.len > PART_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < s.len; i++) {
        bool inner = i > 0 && i + 1 < s.len;
        char c = s.data[i];
        if (!is_alnum(c) && !(inner && (c == '-' || c == '_' || c == '.')))
            return false;
    }
    return true;
}

bool mu_name_is_subdomain(struct mu_str s)
{
    if (s.len == 0 || s.len > SUBDOMAIN_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool letter = is_alnum(c) && !(c >= 'A' && c <= 'Z');
        bool edge = i == 0 || i + 1 == s.len || s.data[i - 1] == '.' || s.data[i + 1] == '.';
        if (!letter && (edge || (c != '-' && c != '.')))
            return false;
    }
    return true;
}

bool mu_name_is_label_key(struct mu_str s)
{
    const char *slash = s.len == 0 ? NULL : memchr(s.data, '/', s.len);
    if (slash == NULL)
        return mu_name_is_part(s);
    uint32_t prefix = (uint32_t)(slash - s.data);
    return mu_name_is_subdomain((struct mu_str){s.data, prefix}) &&
           mu_name_is_part((struct mu_str){slash + 1, s.len - prefix - 1});
}

bool mu_name_is_label_value(struct mu_str s)
{
    return s.len == 0 || mu_name_is_part(s);
}
