#include "codi_plugin.h"
CODI_PLUGIN("sketch-to-image", "1.0.0", 0)
