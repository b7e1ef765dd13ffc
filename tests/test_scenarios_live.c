/*
 * The reference scenarios of gangs and preemption with the programs as people run them: musterd
 * against muster-kubesim, over sockets and in real time.
 */
#include "tests/cli_rig.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/scenario_kit.h"

#define ANSWER_BYTES (1u << 20)
#define TURN_MS      20
#define TURNS_MAX    3000 /* a minute */
#define CALM_TURNS   25   /* nothing more happens for half a second: it is over */

struct site {
    struct place place;
    pid_t kubesim, musterd;
    char url[128];
    uint16_t port;
};

/* ---- requests ----------------------------------------------------------------------------- */

static int dial(const struct site *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
    }
}

/* One request on a connection of its own. Returns the status; the body is in `answer`. */
static int request(const struct site *s, const char *method, const char *path, const char *body,
                   char answer[ANSWER_BYTES])
{
    char head[512];
    size_t len = 0;
    ssize_t n;
    int status, fd = dial(s);
    (void)snprintf(head, sizeof head,
                   "%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\naccept: "
                   "application/json\r\ncontent-type: application/json\r\ncontent-length: "
                   "%zu\r\n\r\n",
                   method, path, strlen(body));
    send_all(fd, head, strlen(head));
    send_all(fd, body, strlen(body));
    while ((n = recv(fd, answer + len, ANSWER_BYTES - 1 - len, 0)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    (void)close(fd);
    answer[len] = '\0';
    assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
    char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    memmove(answer, end + 4, strlen(end + 4) + 1);
    return status;
}

static void site_post(void *context, const char *path, const char *body)
{
    static char answer[ANSWER_BYTES];
    int status = request(context, "POST", path, body, answer);
    if (status != 201)
        fail_msg("%s: %d %s", path, status, answer);
}

/* Owns: caller, json_decref. */
static json_t *site_pods(const struct site *s)
{
    static char answer[ANSWER_BYTES];
    assert_int_equal(request(s, "GET", "/api/v1/pods", "", answer), 200);
    json_t *list = json_loads(answer, 0, NULL);
    assert_non_null(list);
    return list;
}

/* ---- programs ----------------------------------------------------------------------------- */

static void site_open(struct site *s)
{
    unsigned port;
    s->place = place_make();
    s->kubesim = start("muster-kubesim", (const char *const[]){"--announce", s->place.url, NULL},
                       "/dev/null", "/dev/null");
    wait_for_url(s->place.url, s->url);
    assert_int_equal(sscanf(s->url, "http://127.0.0.1:%u", &port), 1);
    s->port = (uint16_t)port;
}

static void site_schedule(struct site *s)
{
    s->musterd = start("musterd", (const char *const[]){"--server", s->url, NULL}, s->place.out,
                       s->place.err);
}

static void site_close(struct site *s)
{
    assert_int_equal(kill(s->musterd, SIGTERM), 0);
    assert_int_equal(finish(s->musterd), 0);
    assert_int_equal(kill(s->kubesim, SIGTERM), 0);
    assert_int_equal(finish(s->kubesim), 0);
    place_drop(&s->place);
}

/* Wait until the pods are as they are to be in the end, and stay so. Each look holds the nodes to
 * their room. */
static void wait_until_over(struct site *s, const struct scenario *scenario, size_t back)
{
    static char log[OUTPUT_BYTES];
    struct scenario_view view = {0};
    int calm = 0;
    for (int turn = 0; turn < TURNS_MAX && calm < CALM_TURNS; turn++) {
        json_t *list = site_pods(s);
        view = scenario_look(list);
        json_decref(list);
        calm = scenario_is_over(scenario, &view, back) ? calm + 1 : 0;
        (void)poll(NULL, 0, TURN_MS);
    }
    if (calm == CALM_TURNS)
        return;
    read_file(s->place.err, log);
    fail_msg("%s: %zu high and %zu low run, %zu and %zu wait, %zu leave\n%s", scenario->name,
             view.high, view.low, view.high_waits, view.low_waits, view.terminating, log);
}

static void play(const struct scenario *scenario)
{
    static struct site s;
    json_t *items = scenario_read(scenario->name);
    site_open(&s);
    (void)scenario_create_part(items, SCENARIO_CLUSTER, site_post, &s);
    const struct scenario first = {
        .name = scenario->name, .low = scenario_create_part(items, SCENARIO_FIRST, site_post, &s)};
    if (first.low > 0) {
        site_schedule(&s);
        wait_until_over(&s, &first, 0);
    }
    (void)scenario_create_part(items, SCENARIO_THEN, site_post, &s);
    if (first.low == 0)
        site_schedule(&s);
    wait_until_over(&s, scenario, 0);
    json_t *list = site_pods(&s);
    size_t back = scenario_bring_back(items, list, site_post, &s);
    json_decref(list);
    assert_int_equal(back, scenario->evicted);
    wait_until_over(&s, scenario, back);
    site_close(&s);
    json_decref(items);
}

static void test_musterd__reference_scenarios__as_the_rules_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCENARIOS; i++)
        play(&scenarios[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_musterd__reference_scenarios__as_the_rules_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
