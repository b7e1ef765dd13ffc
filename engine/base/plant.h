#ifndef MU_ENGINE_BASE_PLANT_H
#define MU_ENGINE_BASE_PLANT_H
/*
 * Unsound shortcuts of the commit protocol, built in on purpose to see whether the simulation finds
 * them. They exist only where MU_PLANTS is defined (the library mu_planted, for muster-planted and
 * test_sim_plants): everywhere else MU_PLANTED() is the constant false, and no trace of them is
 * compiled. X(enum, id, step of the protocol: 1 writing, 2 fencing, what).
 */
#include <stdbool.h>

#define MU_PLANT_LIST(X)                                                                           \
    X(MU_PLANT_UNAWAITED, "unawaited", "1.2", "binds are sent before their entry is in")           \
    X(MU_PLANT_BLIND, "blind", "1.2", "slots are written whatever they hold")                      \
    X(MU_PLANT_LOST_IS_IN, "lost-is-in", "1.2", "a slot read back counts as written in any case")  \
    X(MU_PLANT_BIND_UID, "bind-uid", "1.3", "a bind names the UID only")                           \
    X(MU_PLANT_DELETE_UID, "delete-uid", "1.3", "a victim's delete names the UID only")            \
    X(MU_PLANT_LEAVING, "leaving", "1.3", "binds are sent before the victims are gone")            \
    X(MU_PLANT_BIND_RETRY, "bind-retry", "1.4", "a bind goes on at the version that is read back") \
    X(MU_PLANT_UNCHECKED, "unchecked", "1.4", "a delete goes on at another version unchecked")     \
    X(MU_PLANT_UNCHANGED, "unchanged", "1.5", "an unchanged pod settles its bind")                 \
    X(MU_PLANT_FREED, "freed", "1.6", "the reply to a bind takes its charge off the node")         \
    X(MU_PLANT_READ_ONLY, "read-only", "2.1", "a start reads the slots and does not close them")   \
    X(MU_PLANT_CLOSE_HEAD, "close-head", "2.1", "a start closes one slot of the ring only")        \
    X(MU_PLANT_NO_TOUCH, "no-touch", "2.2", "a start touches nobody")                              \
    X(MU_PLANT_NO_VICTIM, "no-victim", "2.2", "a start touches pods to be bound, not victims")     \
    X(MU_PLANT_SAME_BYTES, "same-bytes", "2.2", "a touch changes no bytes")

enum mu_plant {
    MU_PLANT_NONE,
#define MU_PLANT_ENUM(name, id, step, what) name,
    MU_PLANT_LIST(MU_PLANT_ENUM)
#undef MU_PLANT_ENUM
        MU_PLANTS_END
};

#ifdef MU_PLANTS
#define MU_PLANTED(plant) (mu_planted == (plant))
/* The one in force. Written between runs only; read by the one thread that runs them. */
extern enum mu_plant mu_planted;

struct mu_plant_info {
    const char *id;
    const char *step; /* of the commit protocol */
    const char *what; /* it does wrong */
};
/* Static. Asserts that it is one of the list, MU_PLANT_NONE is not. */
const struct mu_plant_info *mu_plant_info(enum mu_plant plant);
/* The one of this id; MU_PLANT_NONE: there is none. */
enum mu_plant mu_plant_find(const char *id);
#else
#define MU_PLANTED(plant) false
#endif

#endif
