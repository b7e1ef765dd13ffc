#ifndef MU_TOOLS_ANSWER_WRITE_H
#define MU_TOOLS_ANSWER_WRITE_H
/* Answers as JSON for programs and as tables for people. All append; the return value is the
 * buffer's sticky error. */
#include "engine/base/buf.h"
#include "tools/answer/explain.h"
#include "tools/answer/settle.h"

int mu_settled_write_json(const struct mu_settled *settled, struct mu_buf *out);
int mu_settled_write_table(const struct mu_settled *settled, struct mu_buf *out);
/* What is to be known beside the nodes: a line each. */
int mu_explanation_write_notes(const struct mu_explanation *explanation, struct mu_buf *out);
int mu_explanation_write_json(const struct mu_explanation *explanation, struct mu_buf *out);
int mu_explanation_write_table(const struct mu_explanation *explanation, struct mu_buf *out);

#endif
