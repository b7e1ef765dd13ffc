#ifndef MU_INFORMER_UTF8_H
#define MU_INFORMER_UTF8_H
/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at s[0, left), left > 0, with its code point; 0: there is
 * none. Thread: any. */
uint32_t mu_utf8_length(const uint8_t *s, size_t left, uint32_t *code);
/* Whether all of it is UTF-8. Cost: O(len). */
bool mu_utf8_is_sound(const char *text, size_t len);

#endif
