/* Compiled for mu_planted only: plant.h says what for. */
#include "engine/base/plant.h"

#include <string.h>

#include "engine/base/assert.h"

enum mu_plant mu_planted;

const struct mu_plant_info *mu_plant_info(enum mu_plant plant)
{
    static const struct mu_plant_info plants[MU_PLANTS_END] = {
#define PLANT_ROW(name, id, step, what) [name] = {id, step, what},
        MU_PLANT_LIST(PLANT_ROW)
#undef PLANT_ROW
    };
    MU_ASSERT(plant > MU_PLANT_NONE && plant < MU_PLANTS_END);
    return &plants[plant];
}

enum mu_plant mu_plant_find(const char *id)
{
    for (int plant = MU_PLANT_NONE + 1; plant < MU_PLANTS_END; plant++)
        if (strcmp(mu_plant_info((enum mu_plant)plant)->id, id) == 0)
            return (enum mu_plant)plant;
    return MU_PLANT_NONE;
}
