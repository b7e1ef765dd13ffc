/* Secrets: base64, files, and that nothing of them is left behind. */
#include "tests/mu_test.h"

#include <sys/stat.h>

#include "informer/secret.h"
#include "tests/memory_scan.h"

static void check_base64(const char *text, const char *expected)
{
    struct mu_secret out = {0};
    assert_int_equal(mu_secret_base64(mu_str_of(text), &out), 0);
    assert_string_equal(out.data, expected);
    assert_int_equal(out.len, strlen(expected));
    mu_secret_fini(&out);
}

static void test_secret_base64__good__is_decoded(void **state)
{
    (void)state;
    check_base64("aGVsbG8=", "hello");
    check_base64("aGVsbG8h", "hello!");
    check_base64("aA==", "h");
    check_base64("  aGVs\n\tbG8=\r\n ", "hello");
    check_base64("Pz8+Pj8/", "?"
                             "?>>?"
                             "?");
    struct mu_secret out = {0};
    assert_int_equal(mu_secret_base64(MU_STR("AP8A"), &out), 0); /* any byte */
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "\0\xff", 3);
    mu_secret_fini(&out);
}

static void test_secret_base64__bad__is_refused_whole(void **state)
{
    static const char *const bad[] = {
        "",     "a",    "aGVsbG8",   "aGVsbG8!", "aGVsbG8=aGVs", "=aaa",      "aa=a",
        "a===", "====", "aGVsbG8==", "aA== x",   "-_-_",         "aGVs bG8=="};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mu_secret out = {0};
        assert_int_equal(mu_secret_base64(mu_str_of(bad[i]), &out), MU_EINVAL);
        assert_null(out.data);
    }
}

static void test_secret_fini__storage__is_wiped(void **state)
{
    char text[MU_SCAN_SECRET_BYTES];
    struct mu_secret secret = {0};
    (void)state;
    mu_scan_secret(1, text);
    assert_int_equal(mu_secret_copy((struct mu_str){text, sizeof text}, &secret), 0);
    explicit_bzero(text, sizeof text);
    assert_int_equal(mu_scan_memory(1), 1);
    mu_secret_fini(&secret);
    assert_int_equal(mu_scan_memory(1), 0);
    assert_null(secret.data);
    mu_secret_fini(&secret); /* empty is fine */
}

struct folder {
    char dir[64], file[96];
};

static struct folder folder_make(void)
{
    struct folder f;
    (void)snprintf(f.dir, sizeof f.dir, "/tmp/muster-secret-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    (void)snprintf(f.file, sizeof f.file, "%s/f", f.dir);
    return f;
}

static void folder_drop(const struct folder *f)
{
    (void)unlink(f->file);
    assert_int_equal(rmdir(f->dir), 0);
}

static void fill(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < bytes; i++)
        assert_true(fputc('a' + (int)(i % 26), file) != EOF);
    assert_int_equal(fclose(file), 0);
}

static void test_secret_read__sizes__are_read_whole_up_to_the_bound(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 20000};
    struct folder f = folder_make();
    struct mu_error error;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mu_secret out = {0};
        fill(f.file, sizes[i]);
        assert_int_equal(mu_secret_read(f.file, 20000, true, &out, &error), 0);
        assert_int_equal(out.len, sizes[i]);
        for (uint32_t b = 0; b < out.len; b++)
            assert_int_equal(out.data[b], 'a' + (int)(b % 26));
        mu_secret_fini(&out);
    }
    struct mu_secret out = {0};
    assert_int_equal(mu_secret_read(f.file, 19999, true, &out, &error), MU_ELIMIT);
    assert_non_null(strstr(error.text, "larger than the bound"));
    assert_null(out.data);
    folder_drop(&f);
}

static void test_secret_read__no_file__names_the_path(void **state)
{
    struct folder f = folder_make();
    struct mu_error error;
    struct mu_secret out = {0};
    (void)state;
    assert_int_equal(mu_secret_read(f.file, 100, true, &out, &error), MU_ENOENT);
    assert_non_null(strstr(error.text, f.file));
    assert_int_equal(mu_secret_read(f.dir, 100, true, &out, &error), MU_EIO);
    assert_non_null(strstr(error.text, "is a directory"));
    assert_int_equal(mkfifo(f.file, 0600), 0);
    assert_int_equal(mu_secret_read(f.file, 100, true, &out, &error), MU_EIO); /* returns */
    assert_non_null(strstr(error.text, "expected a regular file"));
    char deep[400];
    memset(deep, 'x', sizeof deep);
    deep[0] = '/';
    deep[sizeof deep - 1] = '\0';
    assert_int_not_equal(mu_secret_read(deep, 100, true, &out, &error), 0);
    assert_true(strncmp(error.text, "...", 3) == 0);
    assert_null(out.data);
    folder_drop(&f);
}

/* Growing leaves no copy of the beginning behind. */
static void test_secret_read__growing__wipes_what_it_leaves(void **state)
{
    struct folder f = folder_make();
    char text[MU_SCAN_SECRET_BYTES];
    struct mu_secret out = {0};
    struct mu_error error;
    (void)state;
    fill(f.file, 50000);
    mu_scan_secret(2, text);
    int fd = open(f.file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, text, sizeof text, 0), sizeof text);
    (void)close(fd);
    explicit_bzero(text, sizeof text);
    assert_int_equal(mu_secret_read(f.file, 1 << 20, true, &out, &error), 0);
    assert_int_equal(mu_scan_memory(2), 1);
    mu_secret_fini(&out);
    assert_int_equal(mu_scan_memory(2), 0);
    folder_drop(&f);
}

static bool read_once(void *context)
{
    struct mu_secret out = {0};
    struct mu_error error;
    int status = mu_secret_read(context, 1 << 20, true, &out, &error);
    assert_true(status == 0 || status == MU_ENOMEM);
    assert_true(status == 0 || out.data == NULL);
    mu_secret_fini(&out);
    return status == 0;
}

static void test_secret_read__out_of_memory__leaves_nothing(void **state)
{
    struct folder f = folder_make();
    (void)state;
    fill(f.file, 30000);
    assert_true(mu_test_fail_each(read_once, f.file) >= 3);
    folder_drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_base64__good__is_decoded),
        cmocka_unit_test(test_secret_base64__bad__is_refused_whole),
        cmocka_unit_test(test_secret_fini__storage__is_wiped),
        cmocka_unit_test(test_secret_read__sizes__are_read_whole_up_to_the_bound),
        cmocka_unit_test(test_secret_read__no_file__names_the_path),
        cmocka_unit_test(test_secret_read__growing__wipes_what_it_leaves),
        cmocka_unit_test(test_secret_read__out_of_memory__leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
