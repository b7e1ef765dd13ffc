/* Bars on a terminal, which is a pseudo-terminal here. */
#include "tools/muster/progress.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "engine/base/clock.h"
#include "tests/mu_test.h"

struct screen {
    int other; /* what the terminal shows is read here */
    int kept;  /* standard error, as it was */
    char text[4096];
};

static void screen_open(struct screen *s)
{
    s->other = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(s->other >= 0);
    assert_int_equal(grantpt(s->other), 0);
    assert_int_equal(unlockpt(s->other), 0);
    int terminal = open(ptsname(s->other), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    s->kept = dup(STDERR_FILENO);
    assert_true(s->kept >= 0);
    assert_true(dup2(terminal, STDERR_FILENO) >= 0);
    (void)close(terminal);
}

static void screen_close(struct screen *s)
{
    (void)fflush(stderr);
    assert_true(dup2(s->kept, STDERR_FILENO) >= 0);
    (void)close(s->kept);
    (void)close(s->other);
}

/* What was written since the last look. */
static const char *shown(struct screen *s)
{
    (void)fflush(stderr);
    ssize_t n = read(s->other, s->text, sizeof s->text - 1);
    s->text[n > 0 ? n : 0] = '\0';
    return s->text;
}

static void test_progress__terminal__no_bar_in_the_first_second_and_none_left(void **state)
{
    struct mu_progress p;
    struct screen s;
    (void)state;
    screen_open(&s);
    mu_progress_init(&p);
    assert_true(p.terminal);
    mu_progress_show(&p, "reading", 1, 4, "", MU_NS_PER_S);
    mu_progress_show(&p, "placing", 2, 4, "", 2 * MU_NS_PER_S - 1);
    mu_progress_end(&p);
    assert_string_equal(shown(&s), "");
    mu_progress_show(&p, "placing", 2, 4, "", 2 * MU_NS_PER_S);
    assert_non_null(strstr(shown(&s), "2/4"));
    mu_progress_show(&p, "placing", 3, 4, "", 2 * MU_NS_PER_S + 1); /* too soon again */
    assert_string_equal(shown(&s), "");
    mu_progress_show(&p, "writing", 1, 4, "", 2 * MU_NS_PER_S + 2);
    assert_true(strncmp(shown(&s), "\r\033[K\rwriting", 12) == 0);
    mu_progress_end(&p);
    assert_string_equal(shown(&s), "\r\033[K");
    mu_progress_end(&p);
    assert_string_equal(shown(&s), "");
    screen_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress__terminal__no_bar_in_the_first_second_and_none_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
