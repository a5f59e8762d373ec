#include "codi_plugin.h"
CODI_PLUGIN("depth-to-image", "1.0.0", 0)
