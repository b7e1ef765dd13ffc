#include "informer/utf8.h"

uint32_t mu_utf8_length(const uint8_t *s, size_t left, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t len = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (len == 0 || len > left || s[0] >= 0xF8)
        return 0;
    *code = len == 1 ? s[0] : s[0] & (0x7Fu >> len);
    for (uint32_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        *code = *code << 6 | (s[i] & 0x3Fu);
    }
    bool surrogate = *code >= 0xD800 && *code <= 0xDFFF;
    return *code < smallest[len] || surrogate || *code > 0x10FFFF ? 0 : len;
}

bool mu_utf8_is_sound(const char *text, size_t len)
{
    uint32_t code;
    uint32_t step;
    for (size_t at = 0; at < len; at += step) {
        step = mu_utf8_length((const uint8_t *)text + at, len - at, &code);
        if (step == 0)
            return false;
    }
    return true;
}
