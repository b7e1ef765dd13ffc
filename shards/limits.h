#ifndef MU_SHARDS_LIMITS_H
#define MU_SHARDS_LIMITS_H
/* Every bound of this folder. Reaching one is a reported condition, never a crash. */
#include <stdint.h>

#define MU_BUCKETS    16384u /* part of the published table: never changes within a hash version */
#define MU_SHARDS_MAX 1024u

#define MU_JOURNAL_SLOT_BYTES  (64u << 10) /* largest slot */
#define MU_JOURNAL_SLOTS       64u
#define MU_JOURNAL_ENTRIES_MAX (1u << 16) /* entries not yet cleared */
/* An entry of up to so many writes fits a slot whatever its names (of legal length) are. A larger
 * plan is split over several entries, all of which are durable before its first write. */
#define MU_JOURNAL_ENTRY_WRITES_MAX 128u
/* What a recovery holds of a ring: no slot has room for more writes than this. */
#define MU_RECOVERY_WRITES_MAX (MU_JOURNAL_SLOTS * (MU_JOURNAL_SLOT_BYTES / 16u))

_Static_assert(MU_SHARDS_MAX < UINT16_MAX, "a shard's number is not MU_BUCKET_NONE");

#endif
