#ifndef MU_TOOLS_MUSTERD_DAEMON_H
#define MU_TOOLS_MUSTERD_DAEMON_H
/*
 * The daemon's shell around the ring: one loop thread that does all I/O and is the DB's writer, one
 * session thread that sees nothing but snapshots. Between them two single-producer rings.
 */
#include "engine/session/session.h"
#include "tools/musterd/options.h"

/* Run until SIGTERM or SIGINT (drains: no new decisions, binds in flight are settled, at most
 * options->drain_ns), or until the server can not be reached at start. Returns the exit status. */
int mu_daemon_run(const struct mu_daemon_options *options);

#endif
