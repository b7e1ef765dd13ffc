#ifndef MU_TOOLS_MUSTER_KEEP_H
#define MU_TOOLS_MUSTER_KEEP_H
/* What `muster demo --keep` says at its end: what runs on, what to try with kubectl, how to end
 * it. */
#include <stdio.h>
#include "engine/base/error.h"
#include "tools/muster/result.h"

struct mu_keep {
    const char *directory; /* of the logs, the kubeconfig and the manifest */
    const char *kubeconfig;
    const char *url;
    const char *scheduler_name;
    int kubesim_pid, musterd_pid;
};

/* Write the manifest of a pod that the scheduler takes (DIRECTORY/pod.yaml), and print. The pod to
 * describe is one that waits, if there is one. Errors: MU_EIO, with *error. */
int mu_keep_print(FILE *out, const struct mu_keep *keep, const struct mu_result_source *source,
                  struct mu_error *error);
/* The manifest's name in the folder. */
#define MU_KEEP_MANIFEST "pod.yaml"

#endif
