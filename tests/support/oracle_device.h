#ifndef MU_TESTS_SUPPORT_ORACLE_DEVICE_H
#define MU_TESTS_SUPPORT_ORACLE_DEVICE_H
/* The part of the naive twin that is about devices: the rules of engine/device.h and of
 * engine/place/fragment.h once more, by trying every set of devices. */
#include "engine/place/profile.h"
#include "engine/snapshot.h"
#include "engine/verdict.h"

/* What a class that asks for `amount` > 0 of a resource is told by a row with less free. */
enum mu_verdict_kind mu_oracle_short(const struct mu_snapshot *snapshot, uint32_t resource,
                                     int64_t amount, uint32_t row);
bool mu_oracle_is_tracked(const struct mu_snapshot *snapshot, uint32_t row);
/* True when some of the row's devices go with a pod of the class. */
bool mu_oracle_asks_devices(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                            uint32_t row);
/* How much less fragmented a row is with a pod of the class, which fits, on the best of its
 * devices: these. 0 where none are tracked. */
int64_t mu_oracle_worth(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                        uint32_t row, uint16_t *devices);
/* The devices that a pod of the class, which fits, gets there under a profile. */
uint16_t mu_oracle_devices(const struct mu_snapshot *snapshot, const struct mu_profile *profile,
                           const struct mu_class *class_, uint32_t row);
/* Take (1) or give back (-1) devices for a pod of the class, and derive the columns anew. */
void mu_oracle_devices_move(struct mu_snapshot *snapshot, const struct mu_class *class_,
                            uint32_t row, uint16_t devices, int sign);
/* The two columns that follow from a tracked row's devices. */
void mu_oracle_devices_derive(struct mu_snapshot *snapshot, uint32_t row);

#endif
