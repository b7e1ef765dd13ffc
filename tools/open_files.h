#ifndef MU_TOOLS_OPEN_FILES_H
#define MU_TOOLS_OPEN_FILES_H
/* Raise the soft limit of open files to the hard one: shells give 1,024, and every connection is a
 * file. Programs that serve or connect call it first. Returns the limit now in force. Errors: none;
 * where it cannot be raised the old one stays. Inherited by children. Thread: before others
 * start. */
#include <stdint.h>

uint64_t mu_open_files_raise(void);

#endif
